"""What is wrong is one line that says what, where and what to do, and ends with the exit code of the help."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.models import ROOT, run_command

PROJECT = ROOT / "examples" / "diabetes"
WINDOW = "--from 2025-01-01 --to 2025-02-01 --out {tmp}/out"
MODELS = "--baseline diabetes:v1 --candidate diabetes:v2 --out {tmp}/out"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        ("train --config {tmp}/nowhere.toml", 2, "{tmp}/nowhere.toml cannot be read: No such file or directory."),
        (
            "train --config {tmp}/wrong.toml",
            2,
            "wrong.toml: runer: there is no such setting; there are: source, runner, ",
        ),
        ("train --config {tmp}/broken.toml", 2, "broken.toml is not TOML: "),
        ("train --runner torch", 2, "train: runner: there is no runner 'torch'; there are auto, "),
        ("train --tuned x.toml", 2, "--tuned is for --tune: leave it out."),
        (
            "train --from-package diabetes:v1",
            3,
            "There is no model diabetes:v1 in the store {tmp}/store: run `tabular-",
        ),
        ("import model.onnx", 2, "model.onnx: models are imported from files that end in .keras, .skops, "),
        ("import nowhere.keras", 3, "nowhere.keras cannot be read: No such file or directory."),
        ("card", 3, "There is no model diabetes:latest in the store {tmp}/store: run `tabular-bento train`."),
        ("release latest", 3, "There is no model diabetes:latest in the store"),
        ("release latest --force why --metric mae", 2, "--metric has no use where nothing is compared: leave it out."),
        ("rollback", 3, "There is no champion before this one to go back to"),
        ("reload --port 1", 3, "Nothing listens at port 1 of this machine: name the server's port by --port."),
        ("replay --url http://127.0.0.1:1", 3, "No server listens at http://127.0.0.1:1"),
        (
            "replay --months 2025-07",
            2,
            "The problem has no event time, so rows have no months: leave --months 2025-07 out.",
        ),
        ("replay --part 4/3", 2, "--part: there is no part 4 of 3"),
        ("drift --from 2025-02-01 --to 2025-01-01 --out {tmp}/out", 2, "--from must be before --to"),
        (f"drift {WINDOW} --workers 1 --scheduler tcp://x:1", 2, "--workers and --scheduler exclude each other"),
        (f"drift {WINDOW} --model diabetes:v1", 3, "There is no model diabetes:v1 in the store"),
        (f"compare {MODELS} --on test", 2, "give one of --equivalent and --not-worse"),
        (f"compare {MODELS} --on test --not-worse", 3, "There is no model diabetes:v2 in the store"),
        (
            f"compare {MODELS} --on trafic --not-worse",
            2,
            "--on trafic: this is neither `test`, `traffic` nor `shadow`, and there is no Parquet file there.",
        ),
        ("report skew --dir {tmp}", 3, "There is no skew report in {tmp}: make one with `tabular-bento skew --from"),
        ("report nothing", 2, "'nothing' is neither a folder nor one of latest, drift, compare, skew."),
        ("features --model diabetes:v1", 3, "There is no model diabetes:v1 in the store"),
        ("new {tmp} --from {tmp}/rows.csv --target y", 2, "{tmp} is there already: name a folder that is not there"),
        ("new {tmp}/new --from {tmp}/rows.csv --target y", 3, "{tmp}/rows.csv: there is no such file."),
        ("log seal --dir s3://bucket/log", 2, "--dir s3://bucket/log: only a folder of this machine can be sealed."),
        ("demo --model diabetes:v1 --port 0 --grpc-port 0", 3, "There is no model diabetes:v1 in the store"),
    ],
    ids=lambda value: value.split(" --")[0].replace("{tmp}/", "") if isinstance(value, str) else None,
)
def test_wrong_usage_is_one_line_with_its_exit_code(command: str, code: int, message: str, tmp_path: Path) -> None:
    (tmp_path / "wrong.toml").write_text('runer = "linear"\n')
    (tmp_path / "broken.toml").write_text("runner = \n")
    settings = {"BENTOML_HOME": str(tmp_path / "store"), "PYTHONPATH": str(ROOT)}
    arguments = [word.format(tmp=tmp_path) for word in command.split()]
    result = run_command(*arguments, cwd=PROJECT, **settings)
    assert result.returncode == code, result.stderr
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("tabular-bento ")
    assert message.format(tmp=tmp_path) in line


@pytest.mark.parametrize("command", ["train", "import model.skops"])
def test_a_store_that_cannot_be_written_is_reported_before_the_data_are_read(command: str, tmp_path: Path) -> None:
    (tmp_path / "store").write_text("in the way")
    settings = {"BENTOML_HOME": str(tmp_path / "store"), "PYTHONPATH": str(ROOT)}
    result = run_command(*command.split(), "--source", str(tmp_path / "nowhere.csv"), cwd=PROJECT, **settings)
    assert result.returncode == 3, result.stderr
    (line,) = result.stderr.strip().splitlines()
    store = tmp_path / "store"
    assert f"{command.split()[0]}: The model store {store} cannot be written: {store}: Not a directory. Name " in line
