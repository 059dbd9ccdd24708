"""The whole way in one go: train, serve, replay three months of real flights, report their outcomes, look for
drift, and for rows that come out otherwise when they are computed again.

Each step is a command that can be run by hand; `make demo` makes the environment and runs this.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from tabular_bento.errors import ScoringError
from tabular_bento.serving.ports import tell_taken
from tabular_bento.serving.process import ServerProcess

MONTHS = ("2013-07", "2013-09")
WINDOW = ("2013-07-01", "2013-10-01")
VERDICTS = {0: "no drift", 1: "drift", 2: "not enough data"}


class StepError(Exception):
    """A step of the demo failed."""


def main() -> int:
    """Run the demo and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="make demo", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--flights", type=int, default=6000, help="flights to replay (default: 6000)")
    parser.add_argument("--port", type=int, default=int(os.environ.get("PORT", "3000")), help="default: PORT or 3000")
    parser.add_argument(
        "--folder", type=Path, default=Path("var/demo"), help="emptied, then filled (default: var/demo)"
    )
    options = parser.parse_args()
    folder: Path = options.folder
    grpc_port = int(os.environ.get("GRPC_PORT", "3001"))
    if tell_taken([options.port, grpc_port]):
        return 1
    doors = ["http", "rest", "grpc"] if grpc_port else ["http", "rest"]

    shutil.rmtree(folder, ignore_errors=True)
    os.environ.update({"TRAFFIC_DIR": str((folder / "traffic").absolute()), "BENTOML_DO_NOT_TRACK": "True"})
    try:
        _say("1/5 train")
        trained = _json(*_run("training", "--json"))
        _say(f"2/5 serve {trained['tag']} on port {options.port}")
        with ServerProcess(options.port, folder / "serve.log", environment={"MODEL_TAG": trained["tag"]}) as server:
            _say("3/5 replay flights as requests, a part through each door, then their outcomes")
            replayed = [
                _json(
                    *_run(
                        "monitoring", "replay", "--months", ":".join(MONTHS), "--sample", str(options.flights),
                        "--door", door, "--part", f"{part}/{len(doors)}", "--url", server.url, "--json",
                    )
                )
                for part, door in enumerate(doors, start=1)
            ]  # fmt: skip
        _say("4/5 drift")
        out = folder / "drift"
        code, _ = _run(
            "monitoring", "drift", "--from", WINDOW[0], "--to", WINDOW[1], "--on", "sched_dep", "--out", str(out),
            accepted=tuple(VERDICTS),
        )  # fmt: skip
        _say("5/5 recompute what was logged, and compare to the bit")
        skew = _json(
            *_run(
                "monitoring", "skew", "--from", WINDOW[0], "--to", WINDOW[1], "--on", "sched_dep",
                "--out", str(folder / "skew"), "--json",
            )
        )  # fmt: skip
    except (ScoringError, StepError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    _say("done")
    print(_table(replayed, VERDICTS[code], out / "report.html", skew))
    return 0


def _run(module: str, *arguments: str, accepted: tuple[int, ...] = (0,)) -> tuple[int, str]:
    """Run `python -m module`, its progress on this terminal; its exit code and what it printed."""
    command = [sys.executable, "-m", module, *arguments]
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    lines = result.stdout.splitlines()
    print("\n".join(line for line in lines if not line.startswith("{")))
    if result.returncode not in accepted:
        raise StepError(f"`{' '.join(['python', *command[1:]])}` ended with {result.returncode}")
    return result.returncode, result.stdout


def _json(_: int, output: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(output.splitlines()[-1])
    return document


def _say(what: str) -> None:
    print(f"\n== {what}", flush=True)


def _table(replayed: list[dict[str, Any]], verdict: str, report: Path, skew: dict[str, Any]) -> str:
    def total(metric: str) -> int:
        return sum(part[metric] for part in replayed)

    def mean(metric: str, power: int = 1) -> float:
        """Over all flights with an outcome, of the parts' power means."""
        weighted: float = sum(part["outcomes_posted"] * part[metric] ** power for part in replayed)
        return float((weighted / total("outcomes_posted")) ** (1 / power))

    model, zero_gain = mean("rmse", 2), mean("zero_gain_rmse", 2)
    rows = [
        ("flights served", f"{total('flights_served'):,}"),
        ("errors", f"{total('errors'):,}"),
        ("RMSE, model", f"{model:.2f} min"),
        ("RMSE, arr_delay = dep_delay", f"{zero_gain:.2f} min"),
        ("RMSE, ratio", f"{model / zero_gain:.3f}"),
        ("MAE, model", f"{mean('mae'):.2f} min"),
        ("MAE, arr_delay = dep_delay", f"{mean('zero_gain_mae'):.2f} min"),
        ("drift", verdict),
        ("report", str(report)),
        ("rows that differ offline", f"{skew['differing']:,} of {skew['checked']:,}"),
    ]
    return "\n".join(f"{name:<30}{value}" for name, value in rows)


if __name__ == "__main__":
    sys.exit(main())
