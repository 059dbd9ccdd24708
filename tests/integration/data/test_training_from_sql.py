"""Training from a database, and the same training again from what its package says."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest

from tests.integration.data.projects import Parcels, parcels_csv
from tests.postgres import PostgreSQL

ROWS = 400
QUERY = "SELECT weight, pieces, kind, cost FROM parcels"


@pytest.fixture
def server(postgresql: PostgreSQL, monkeypatch: pytest.MonkeyPatch) -> PostgreSQL:
    """The server with a fresh table of parcels."""
    rows = [line.split(",") for line in parcels_csv(ROWS).splitlines()[1:]]
    values = ", ".join(f"({weight}, {pieces}, '{kind}', {cost or 'NULL'})" for weight, pieces, kind, cost in rows)
    postgresql.execute("DROP TABLE IF EXISTS parcels")
    postgresql.execute("CREATE TABLE parcels (weight float8, pieces int, kind text, cost numeric)")
    postgresql.execute(f"INSERT INTO parcels VALUES {values}")
    monkeypatch.setenv("TABULAR_BENTO_DATABASE", postgresql.uri)
    return postgresql


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Parcels:
    return Parcels.make(tmp_path_factory.mktemp("project"), f'SQLSource(PROBLEM, "{QUERY}")')


@pytest.fixture
def tag(project: Parcels, server: PostgreSQL) -> str:  # noqa: ARG001
    """The first model, which is trained once."""
    found = sorted(project.models())
    return f"parcels:{found[0]}" if found else str(project.trained()["tag"])


def test_a_training_is_repeated_from_its_package(project: Parcels, server: PostgreSQL) -> None:
    result = project.train()
    assert "400 rows; 40 without cost are left out" in result.stdout
    first = json.loads(result.stdout.splitlines()[-1])
    provenance = project.provenance(first["tag"])
    snapshot = provenance["snapshot"]
    assert snapshot["origin"] == {"database": server.where, "query": QUERY}
    assert (snapshot["rows"], snapshot["rows_without_label"]) == (400, 40)
    assert snapshot["fingerprint"] == first["data_fingerprint"] == provenance["data_fingerprint"]

    with project.settings("seed = 3", "seed = 4"):
        server.execute("UPDATE parcels SET pieces = pieces WHERE kind = 'tube'")  # the server gives them later now
        again = project.trained("--from-package", first["tag"])
        other = project.trained()
    assert again["fingerprint"] == first["fingerprint"]
    assert again["tag"] != first["tag"]
    assert again["from_package"] == {"tag": first["tag"], "same": True, "differences": [], "notes": []}
    assert other["fingerprint"] != first["fingerprint"], "the seed of the project's file is another one"


def test_where_the_data_differ_nothing_is_trained(project: Parcels, tag: str, server: PostgreSQL) -> None:
    before = project.models()
    server.execute("DELETE FROM parcels WHERE cost IS NULL; UPDATE parcels SET kind = 'barrel' WHERE weight < 10")
    refused = project.train("--from-package", tag, expect=3)
    assert f"The data are not those that {tag} was trained on:" in refused.stderr
    differences = [
        "rows: 360 where there were 400",
        "rows without label: 0 where there were 40",
        "part train: the values of kind differ",
        "part left out: 0 rows where there were 40",
    ]
    for difference in [*differences, "fingerprint: "]:
        assert f"\n- {difference}" in refused.stderr
    assert "Nothing was trained" in refused.stderr
    assert project.models() == before

    allowed = project.trained("--from-package", tag, "--allow-other-data")
    assert allowed["from_package"]["same"] is False
    assert set(differences) < set(allowed["from_package"]["differences"])
    assert len(project.models()) == len(before) + 1


def test_settings_beside_those_of_the_package_are_refused(project: Parcels, tag: str) -> None:
    for option in (("--seed", "5"), ("--runner", "sklearn"), ("--config", "training/config.toml")):
        refused = project.train("--from-package", tag, *option, expect=2)
        assert f"--from-package takes the settings of the model {tag}: leave {option[0]} out." in refused.stderr
    assert "There is no model parcels:nothing" in project.train("--from-package", "nothing", expect=3).stderr


def test_no_password_is_in_a_package_or_in_what_is_printed(project: Parcels, server: PostgreSQL) -> None:
    with project.settings("report = false", "report = true"):
        printed = [project.train(), project.train("--source", server.uri, expect=2)]
    printed.append(project.train(TABULAR_BENTO_DATABASE=server.uri.replace("/sales", "/nowhere"), expect=3))
    assert "refuses the connection" in printed[2].stderr
    files = [path for path in project.store.rglob("*") if path.is_file()]
    assert any(path.name == "model_card.html" for path in files)
    shown = [result.stdout.encode() + result.stderr.encode() for result in printed]
    for content in [*shown, *(path.read_bytes() for path in files)]:
        for spelling in {server.password, quote(server.password, safe=""), server.password.split("?")[1]}:
            assert spelling.encode() not in content


def test_a_table_larger_than_memory_is_not_read(project: Parcels, server: PostgreSQL) -> None:
    before = project.models()
    refused = project.train(TABULAR_BENTO_MEMORY_LIMIT="10 MB", expect=3)
    assert "Training parcels on 400 rows of 3 fields and 3 features needs about" in refused.stderr
    assert "10 MB may be taken (TABULAR_BENTO_MEMORY_LIMIT). Nothing was read." in refused.stderr
    wrong = project.train(TABULAR_BENTO_MEMORY_LIMIT="much", expect=2)
    assert "TABULAR_BENTO_MEMORY_LIMIT: 'much' is no size, such as 4 GB" in wrong.stderr
    server.execute("ALTER TABLE parcels RENAME TO few")
    server.execute("CREATE VIEW parcels AS SELECT few.* FROM few, generate_series(1, 25000)")
    try:
        refused = project.train(TABULAR_BENTO_MEMORY_LIMIT="2.5 GB", expect=3)
    finally:
        server.execute("DROP VIEW parcels; DROP TABLE few")
    assert "on 10,000,000 rows of 3 fields" in refused.stderr
    assert project.models() == before


def test_a_database_that_is_down_leaves_nothing_behind(project: Parcels, server: PostgreSQL) -> None:
    before = project.models()
    server.stop()
    try:
        refused = project.train(expect=3)
    finally:
        server.start()
    assert f"{server.where} cannot be reached" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert project.models() == before
