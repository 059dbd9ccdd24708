"""`tabular-bento demo`: the whole way in one go. Each step is a command that can be run by hand."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tabular_bento.cli.common import FAILED, Json, fail, project
from tabular_bento.cli.report import show_report
from tabular_bento.errors import TabularBentoError

if TYPE_CHECKING:
    from tabular_bento.problem import Declaration

DRIFT = {0: "no drift", 1: "drift", 2: "not enough data"}
COMPARISON = {0: "accepted", 1: "refused", 2: "cannot tell"}
SKEW = {0: "none", 1: "rows differ"}


class StepError(TabularBentoError):
    """A step of the demo failed."""


def demo(
    months: Annotated[
        str | None,
        typer.Option(
            metavar="FIRST:LAST",
            help="Months of the event time to send, such as 2025-07:2025-09, or one; by default the test part.",
        ),
    ] = None,
    rows: Annotated[int | None, typer.Option(min=1, metavar="N", help="Rows to send; by default all.")] = None,
    port: Annotated[int, typer.Option(envvar="PORT", metavar="PORT", help="Port of HTTP.")] = 3000,
    grpc_port: Annotated[
        int, typer.Option(envvar="TABULAR_BENTO_GRPC_PORT", metavar="PORT", help="Port of gRPC; 0 leaves gRPC out.")
    ] = 3001,
    folder: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for all that is written; it is emptied first.")
    ] = Path("var/demo"),
    seed: Annotated[
        int, typer.Option(metavar="N", help="Seed of the second model, which is compared with the first.")
    ] = 1,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="TAG",
            help="Serve this model of the store, NAME:VERSION or latest, such as an imported one; none is trained.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Train the project's model, serve it, send past rows over every protocol, post their labels, and report.

    The reports are of drift, of the comparison with a model of another seed, and of skew. They are in --folder, with
    the traffic log and the server's output. On a terminal with a display the drift report is opened in the browser.

    The model becomes the champion where there is none yet, so that `bentoml build` has one to pack.

    Exit codes: 0 done, whatever the verdicts; 2 wrong arguments, or there is no project; 3 a step failed.
    """
    from tabular_bento.scoring.releases import Releases
    from tabular_bento.scoring.store import find_model, store_home
    from tabular_bento.serving.ports import why_not
    from tabular_bento.serving.process import ServerProcess

    here = project()
    declaration = here.load_problem().declaration
    champion = Releases(store_home(), declaration.name).champion()
    for wanted in filter(None, (port, grpc_port)):
        if fault := why_not(wanted):
            raise fail(f"Port {wanted} {fault}, or name others by --port and --grpc-port.")
    shutil.rmtree(folder, ignore_errors=True)
    steps = _Steps(here.root, {"TABULAR_BENTO_TRAFFIC_DIR": str((folder / "traffic").absolute())})
    try:
        count = 6 if model is None else 4
        if model is None:
            steps.say(f"1/{count} train")
            tag = steps.json("train")["tag"]
        else:
            tag = find_model(f"{declaration.name}:latest" if model == "latest" else model).tag
        if champion is None:
            steps.json("release", tag)
        first = 2 if model is None else 1
        steps.say(f"{first}/{count} serve {tag} on port {port}")
        served = {**steps.environment, "TABULAR_BENTO_MODEL": tag, "TABULAR_BENTO_GRPC_PORT": str(grpc_port)}
        with ServerProcess(port, folder / "serve.log", directory=here.root, environment=served) as server:
            steps.say(f"{first + 1}/{count} send past rows, a part over each protocol, then their labels")
            replayed = _replay(steps, server.url, grpc_port, months, rows)
        window = _window(declaration, replayed)
        steps.say(f"{first + 2}/{count} drift")
        drift = steps.json("drift", *window, "--out", folder / "drift", accepted=DRIFT)
        comparison = None
        if model is None:
            steps.say(f"5/{count} train with seed {seed}, and compare on what was logged")
            other = steps.json("train", "--seed", seed)["tag"]
            models = ("--baseline", tag, "--candidate", other)
            comparison = steps.json(
                "compare", *models, "--on", "traffic", "--not-worse", "--out", folder / "compare", accepted=COMPARISON
            )
        steps.say(f"{count}/{count} recompute what was logged, and compare to the bit")
        skew = steps.json("skew", *window, "--out", folder / "skew", accepted=SKEW)
    except TabularBentoError as error:
        raise fail(error, FAILED) from error
    steps.say("done")
    found = {"model": tag, "replay": replayed, "drift": drift, "compare": comparison, "skew": skew}
    print(_table(declaration, found))
    show_report(Path(drift["report"]))
    if as_json:
        print(json.dumps(found))


@dataclass
class _Steps:
    """Runs commands of `tabular-bento` in a project, their progress on this terminal."""

    root: Path
    environment: Mapping[str, str]

    def say(self, what: str) -> None:
        print(f"\n== {what}", flush=True)

    def json(self, *arguments: object, accepted: Mapping[int, str] | None = None) -> dict[str, Any]:
        """What a command printed as JSON on its last line, the rest being shown."""
        command = [sys.executable, "-m", "tabular_bento", *map(str, arguments), "--json"]
        result = subprocess.run(
            command,
            env={**os.environ, **self.environment, "PYTHONPATH": _path()},
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        *shown, last = result.stdout.splitlines() or [""]
        if result.returncode not in (accepted or (0,)) or not last.startswith("{"):
            print("\n".join([*shown, last]))
            raise StepError(f"`tabular-bento {' '.join(command[3:])}` ended with {result.returncode}.")
        print("\n".join(shown))
        document: dict[str, Any] = json.loads(last)
        return document


def _path() -> str:
    """PYTHONPATH of the commands, so that they are those of this copy of the library."""
    import tabular_bento

    library = str(Path(tabular_bento.__file__).resolve().parent.parent)
    return os.pathsep.join(filter(None, (library, os.environ.get("PYTHONPATH"))))


def _replay(steps: _Steps, url: str, grpc_port: int, months: str | None, rows: int | None) -> list[dict[str, Any]]:
    from tabular_bento.client import PROTOCOLS

    protocols = [name for name in PROTOCOLS if grpc_port or not name.startswith("grpc")]
    chosen: list[object] = ["--url", url]
    if grpc_port:
        chosen += ["--grpc", f"127.0.0.1:{grpc_port}"]
    if months:
        chosen += ["--months", months]
    if rows:
        chosen += ["--sample", rows]
    return [
        steps.json("replay", *chosen, "--protocol", name, "--part", f"{part}/{len(protocols)}")
        for part, name in enumerate(protocols, start=1)
    ]


def _window(declaration: Declaration, replayed: Sequence[Mapping[str, Any]]) -> list[str]:
    """The days of the rows that were sent; without an event time, those of the requests."""
    events = [str(part[name]) for part in replayed for name in ("first_event", "last_event") if part[name]]
    if declaration.event_time is None or not events:
        today = datetime.now(UTC).date()
        first, last = str(today - timedelta(days=1)), str(today)
    else:
        first, last = min(events)[:10], max(events)[:10]
    window = ["--from", first, "--to", str(datetime.fromisoformat(last).date() + timedelta(days=1))]
    return window if declaration.event_time is None else [*window, "--window-on", declaration.event_time]


def _table(declaration: Declaration, found: Mapping[str, Any]) -> str:
    from tabular_bento.evaluation.evaluators import evaluator_of, metric_title

    replayed, drift, comparison, skew = found["replay"], found["drift"], found["compare"], found["skew"]

    def mean(metric: str, power: int = 1) -> float | None:
        """Over all rows with a label, of the parts' power means."""
        parts = [(part["labels_sent"], part[metric]) for part in replayed if part[metric] is not None]
        count = sum(labels for labels, _ in parts)
        return (sum(labels * value**power for labels, value in parts) / count) ** (1 / power) if count else None

    evaluator = evaluator_of(declaration.task)
    unit = f" {declaration.target.unit}" if declaration.target.unit and evaluator.in_target_unit else ""
    first, second = evaluator.losses
    power = 2 if evaluator.in_target_unit else 1  # squared errors have a mean, their root has not
    model, other, naive = mean(first, power), mean(second), mean(f"naive_{first}", power)
    rows = [
        ("rows served", f"{sum(part['rows_served'] for part in replayed):,}, over {len(replayed)} protocols"),
        ("errors", f"{sum(part['errors'] for part in replayed):,}"),
    ]
    title = metric_title(first)
    if model is not None and other is not None:
        rows += [(f"{title}, model", f"{model:.4g}{unit}"), (f"{metric_title(second)}, model", f"{other:.4g}{unit}")]
    if model is not None and naive:
        baseline = "offset alone" if declaration.offset else "class shares"
        rows += [(f"{title}, {baseline}", f"{naive:.4g}{unit}"), (f"{title}, ratio", f"{model / naive:.3f}")]
    rows += [
        ("drift", drift["verdict"].replace("_", " ")),
        ("report", drift["report"]),
    ]
    if comparison is not None:
        rows += [
            ("comparison", f"{comparison['verdict'].replace('_', ' ')}: {' '.join(comparison['reasons'])}"),
            ("report", comparison["report"]),
        ]
    rows += [
        ("rows that differ offline", f"{skew['differing']:,} of {skew['checked']:,}"),
        ("report", skew["result"]),
    ]
    return "\n".join(f"{name:<26}{value}" for name, value in rows)
