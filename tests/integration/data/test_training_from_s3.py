"""Training from an object store: one line names the table, and the environment names server and credentials."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pandas as pd
import pytest
import yaml

from tabular_bento.data import TableSource
from tabular_bento.errors import SourceError
from tabular_bento.serving.ports import free_port
from tests.integration.data.projects import Parcels, parcels_csv
from tests.integration.examples.projects import Project
from tests.models import ROOT, run_command
from tests.releases import check_one_line
from tests.seaweedfs import SeaweedFS

pytestmark = pytest.mark.slow

ROWS = 400
CSV = parcels_csv(ROWS)
BUCKET = "tables"
NAMES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_SESSION_TOKEN")


def parquet(text: str) -> bytes:
    """A CSV table as Parquet."""
    content = io.BytesIO()
    pd.read_csv(io.StringIO(text)).to_parquet(content, index=False)
    return content.getvalue()


@pytest.fixture
def store(s3: SeaweedFS, monkeypatch: pytest.MonkeyPatch) -> SeaweedFS:
    """The server with fresh tables, named by the environment."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")  # no credentials are looked for on the network
    s3.put(f"{BUCKET}/parcels.csv", CSV.encode())
    head, *lines = CSV.splitlines()
    for number, half in enumerate((lines[:250], lines[250:])):
        s3.put(f"{BUCKET}/parcels/part-{number}.parquet", parquet("\n".join([head, *half])))
    return s3


@pytest.fixture(scope="module", params=["parcels", "parcels.csv"])
def project(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Parcels:
    """The project of a folder of Parquet files, and of a CSV file."""
    return Parcels.make(tmp_path_factory.mktemp("project"), f'TableSource(PROBLEM, "s3://{BUCKET}/{request.param}")')


@pytest.fixture(scope="module")
def csv_project(tmp_path_factory: pytest.TempPathFactory) -> Parcels:
    return Parcels.make(tmp_path_factory.mktemp("csv"), f'TableSource(PROBLEM, "s3://{BUCKET}/parcels.csv")')


def hidden(store: SeaweedFS) -> Iterator[bytes]:
    """What may be in no file: key, secret and address, as they are and as URLs spell them."""
    for text in store.environment.values():
        yield from (spelling.encode() for spelling in {text, quote(text, safe=""), text.removeprefix("http://")})


def test_a_training_is_repeated_from_its_package_and_where_the_object_differs_it_is_not(
    project: Parcels, store: SeaweedFS
) -> None:
    with project.settings("report = false", "report = true"):
        result = project.train()
    assert "400 rows; 40 without cost are left out" in result.stdout
    (version,) = project.models()
    tag = f"parcels:{version}"
    snapshot = project.provenance(tag)["snapshot"]
    path = "parcels.csv" if "parcels.csv" in (project.folder / "training" / "source.py").read_text() else "parcels"
    assert snapshot["origin"] == {"uri": f"s3://{BUCKET}/{path}"}

    again = project.train("--from-package", tag)
    assert "again, byte for byte" in again.stdout
    written = [path for path in project.folder.rglob("*") if path.is_file()]
    assert any(path.name == "model_card.html" for path in written)
    shown = [text.encode() for one in (result, again) for text in (one.stdout, one.stderr)]
    for content in [*shown, *(path.read_bytes() for path in written)]:
        assert not [text for text in hidden(store) if text in content]

    changed = CSV.replace("tube", "roll")
    if path == "parcels":
        store.put(f"{BUCKET}/parcels/part-0.parquet", parquet(changed))
    else:
        store.put(f"{BUCKET}/parcels.csv", changed.encode())
    before = project.models()
    refused = project.train("--from-package", tag, expect=3)
    assert f"The data are not those that {tag} was trained on:" in refused.stderr
    assert "Nothing was trained" in refused.stderr
    assert project.models() == before


def test_an_object_is_the_same_data_as_a_file(csv_project: Parcels, store: SeaweedFS, tmp_path: Path) -> None:
    file = tmp_path / "parcels.csv"
    file.write_text(CSV)
    remote = csv_project.trained()
    local = csv_project.trained("--source", str(file))
    assert remote["data_fingerprint"] == local["data_fingerprint"]
    assert store.files().exists(f"{BUCKET}/parcels.csv")


WRONG = {
    "no such object": ({}, "nothing.csv", "s3://tables/nothing.csv: there is no such file"),
    "no such bucket": (
        {},
        "s3://elsewhere/parcels.csv",
        "s3://elsewhere/parcels.csv: there is no bucket 'elsewhere' at {url}. Correct the URI, or AWS_ENDPOINT_URL",
    ),
    "wrong secret": ({"AWS_SECRET_ACCESS_KEY": "guessed"}, "parcels.csv", "access is refused at {url}: "),
    "unknown key": ({"AWS_ACCESS_KEY_ID": "NOBODY"}, "parcels.csv", "access is refused at {url}: "),
    "may not read": (
        {"AWS_ACCESS_KEY_ID": "{key}", "AWS_SECRET_ACCESS_KEY": "{secret}"},
        "parcels.csv",
        "must be those of a user that may list and read it: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    ),
    "no credentials": (
        {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""},
        "parcels.csv",
        "Set credentials in the environment: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
    ),
    "no such profile": ({"AWS_PROFILE": "nobody"}, "parcels.csv", "The config profile (nobody) could not be found"),
    "nothing listens": (
        {"AWS_ENDPOINT_URL": "http://127.0.0.1:{free}"},
        "parcels.csv",
        "Is it running, and is that its address? AWS_ENDPOINT_URL names another",
    ),
    "no address": ({"AWS_ENDPOINT_URL": "127.0.0.1:{free}"}, "parcels.csv", "Invalid endpoint: 127.0.0.1:"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_read_is_one_message_and_nothing_is_written(
    case: str, csv_project: Parcels, store: SeaweedFS, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment, name, message = WRONG[case]
    key, secret = store.stranger
    values = {"url": store.url, "key": key, "secret": secret, "free": free_port()}
    given = {variable: text.format(**values) for variable, text in environment.items()}
    for variable in [variable for variable, text in given.items() if not text]:
        monkeypatch.delenv(variable)
        del given[variable]
    uri = name if "://" in name else f"s3://{BUCKET}/{name}"
    before = csv_project.models()
    printed = [csv_project.train("--source", uri, expect=3, **given)]
    made = run_command("new", str(tmp_path / "new"), "--from", uri, "--target", "cost", **given)
    assert made.returncode == 3, made.stdout + made.stderr
    printed.append(made)
    for result in printed:
        check_one_line(result, message.format(**values))
        assert uri in result.stderr
        for secret_text in (store.secret, secret, "guessed"):
            assert secret_text not in result.stdout + result.stderr
    assert csv_project.models() == before
    assert not list(tmp_path.iterdir())


def test_the_page_names_the_messages() -> None:
    explained = (ROOT / "docs" / "object-store.md").read_text().split("## When it fails")[1]
    for message in ("there is no such file", "there is no bucket", "access is refused", "server cannot be reached"):
        assert message in explained


def test_a_server_that_stops_is_reported_and_once_it_is_back_the_training_goes_on(
    csv_project: Parcels, store: SeaweedFS
) -> None:
    before = csv_project.models()
    store.stop()
    try:
        check_one_line(csv_project.train(expect=3), "the server cannot be reached")
    finally:
        store.start()
    assert csv_project.models() == before
    csv_project.train()
    assert len(csv_project.models()) == len(before) + 1


def test_credentials_in_a_uri_are_refused() -> None:
    from tests.unit.data.test_sources import PARCELS

    with pytest.raises(SourceError, match="the URI holds a password or a key"):
        TableSource(PARCELS, f"s3://key:secret@{BUCKET}/parcels.csv")


def test_a_new_project_of_an_object_needs_no_edit(store: SeaweedFS, tmp_path: Path) -> None:
    for name in ("parcels.csv", "parcels"):
        folder = tmp_path / name.partition(".")[2] / "costs"
        made = run_command("new", str(folder), "--from", f"s3://{BUCKET}/{name}", "--target", "cost")
        assert made.returncode == 0, made.stderr
        assert "requirements.txt" not in made.stderr
        assert f'TableSource(PROBLEM, "s3://{BUCKET}/{name}")' in (folder / "training" / "source.py").read_text()
        assert "\ns3fs==" in (folder / "requirements.txt").read_text()
    for workflow, steps in (("test.yml", ["make test"]), ("retrain.yml", ["make train", "make release"])):
        text = (folder / ".github" / "workflows" / workflow).read_text()
        assert "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in text.replace("\n# ", " ")
        (job,) = yaml.safe_load(text)["jobs"].values()
        given = {step["run"]: set(step.get("env", {})) for step in job["steps"] if "run" in step}
        assert [step for step, found in given.items() if found >= set(store.environment)] == steps
    printed = Project(folder, tmp_path / "bentoml", tmp_path / "out").run("train").stdout
    assert "saved costs:" in printed
    for content in (path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()):
        assert not [text for text in hidden(store) if text in content]
