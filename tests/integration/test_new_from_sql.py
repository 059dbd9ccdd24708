"""A new project of a query: it trains from the database, whose password is in the environment and in no file."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests.integration.data.conftest import postgresql
from tests.integration.examples.projects import Project
from tests.models import run_command
from tests.postgres import PostgreSQL
from tests.tables import customers, rentals

__all__ = ["postgresql"]

VARIABLE = "TABULAR_BENTO_DATABASE"

TYPES = {
    "int64": "bigint",
    "float64": "double precision",
    "bool": "boolean",
    "datetime64[us]": "timestamp",
    "datetime64[ns]": "timestamp",
}


def literal(value: object) -> str:
    if pd.isna(value):  # type: ignore[call-overload]
        return "NULL"
    return str(value) if isinstance(value, int | float) else "'{}'".format(str(value).replace("'", "''"))


def put(table: pd.DataFrame, name: str, server: PostgreSQL) -> None:
    """Make a table of a server."""
    columns = ", ".join(f'"{column}" {TYPES.get(str(kind), "text")}' for column, kind in table.dtypes.items())
    rows = ", ".join(f"({', '.join(map(literal, row))})" for row in table.itertuples(index=False))
    server.execute(f'CREATE TABLE "{name}" ({columns})')
    server.execute(f'INSERT INTO "{name}" VALUES {rows}')


@pytest.mark.slow
def test_of_postgresql_with_the_password_in_the_environment_alone(postgresql: PostgreSQL, tmp_path: Path) -> None:
    put(customers(600), "customers", postgresql)
    query = tmp_path / "customers.sql"
    query.write_text('SELECT * FROM customers WHERE "Tenure (months)" < 70;\n')
    folder = tmp_path / "leavers"
    arguments = ("new", str(folder), "--from", str(query), "--target", "Leaves?")
    made = run_command(*arguments, **{VARIABLE: postgresql.uri})
    assert made.returncode == 0, made.stderr
    for workflow, steps in (("test.yml", ["make test"]), ("retrain.yml", ["make train", "make release"])):
        (job,) = yaml.safe_load((folder / ".github" / "workflows" / workflow).read_text())["jobs"].values()
        given = {step["run"]: step.get("env", {}).get(VARIABLE) for step in job["steps"] if "run" in step}
        assert [step for step, value in given.items() if value == "${{ secrets.DATABASE }}"] == steps
    project = Project(folder, tmp_path / "bentoml", tmp_path / "out")
    printed = project.make("train", "release", "test", **{VARIABLE: postgresql.uri})
    assert "saved leavers:" in printed
    assert "6 passed" in printed
    refused = project.run("train", expect=3)
    assert f"{VARIABLE} is not set" in refused.stderr
    for text in [
        made.stdout,
        made.stderr,
        printed,
        *(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()),
    ]:
        content = text.encode() if isinstance(text, str) else text
        assert postgresql.password.encode() not in content
        assert postgresql.uri.encode() not in content


@pytest.mark.slow
def test_of_sqlite_with_its_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = rentals(600)
    table["when"] = pd.DatetimeIndex(table["when"]).as_unit("s").astype("int64")  # SQLite has no type for times
    with sqlite3.connect(tmp_path / "shop.db") as database:
        table.to_sql("rentals", database, index=False)
    database.close()
    monkeypatch.setenv(VARIABLE, f"sqlite:///{tmp_path / 'shop.db'}")
    folder = tmp_path / "rides"
    options = ("--target", "rented", "--time", "when", "--id", "ride_no")
    made = run_command("new", str(folder), "--from", "SELECT * FROM rentals", *options)
    assert made.returncode == 0, made.stderr
    assert "'when' is read as seconds since 1970" in made.stderr
    demo = Project(folder, tmp_path / "bentoml", tmp_path / "out").demo()
    assert not any(part["errors"] for part in demo["replay"])
    assert sum(part["rows_served"] for part in demo["replay"]) == demo["skew"]["checked"] > 100
    assert demo["skew"]["differing"] == 0
    for report in (demo["drift"]["report"], demo["compare"]["report"], demo["skew"]["result"]):
        assert Path(report).stat().st_size > 0
