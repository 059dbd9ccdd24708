"""python -m benchmarks shadow: what a candidate in the shadow costs the requests, however it misbehaves."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
import urllib.request
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from benchmarks.command import clean_up_on_signals, report_errors, scratch_folder, steps, write_json
from benchmarks.errors import BenchmarkError
from benchmarks.flights import load_sample
from benchmarks.rounds import QUICK, Measured, Target, measure
from benchmarks.servers import PinnedServer, choose_cores, require_model, settings_of
from benchmarks.shadow_comparison import COUNTED, KINDS, NONE, SCENARIOS, ShadowComparison, named
from features.problem import PROBLEM
from tabular_bento.errors import TabularBentoError
from tabular_bento.scoring.manifest import write_manifest
from tabular_bento.serving.ports import free_port
from tabular_bento.traffic.schema import PREDICTIONS

ROUNDS = 5
CANDIDATE = f"{PROBLEM.name}:shadow"
MISBEHAVING = Path(__file__).parent / "misbehaving"
READY_SECONDS = 120.0

EPILOG = """\
Each server, started for its turn, has one worker on one core, its shadow beside it on the same core, and the load is on
another core. They take turns for five rounds (about six minutes); the table shows medians. Ratios are of the medians
over those without a shadow. Every row that was returned must be in the log.

exit codes: 0 measured; 1 a ratio is above --check, a request failed or a line is missing; 2 the arguments are wrong;
3 it cannot be measured.
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks shadow",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--check", type=float, metavar="RATIO", help="highest ratio of p99, such as 1.10")
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N", help="(default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured to FILE")
    parser.add_argument("--quick", action="store_true", help="one round of a few seconds; too short to quote")
    options = parser.parse_args(arguments)
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    clean_up_on_signals()
    try:
        comparison = compare(1 if options.quick else options.rounds, QUICK.share if options.quick else 1)
        write_json(comparison.document(), options.json)
    except (BenchmarkError, TabularBentoError, OSError) as error:
        print(f"benchmarks shadow: {error}", file=sys.stderr)
        return 3
    print(comparison.table())
    return judge(comparison, options.check)


def compare(rounds: int, factor: float) -> ShadowComparison:
    """Start, load and stop a server with each kind of shadow in turn.

    Raises BenchmarkError or TabularBentoError where that cannot be done.
    """
    require_model()
    cores = choose_cores()
    measured: dict[str, list[dict[str, Measured]]] = {kind: [] for kind in KINDS}
    counted = {kind: dict.fromkeys(COUNTED, 0.0) for kind in KINDS if kind != NONE}
    missing = dict.fromkeys(KINDS, 0)
    with scratch_folder() as folder, steps(1 + rounds * len(KINDS)) as step:
        step("reading flights")
        load_sample().write(folder / "rows.jsonl")
        environment = _store_with_candidate(folder.absolute() / "store")
        for number in range(rounds):
            for kind, misbehaviour in KINDS.items():
                step(f"round {number + 1}: {kind}")
                own = folder / f"{number}-{misbehaviour}"
                with _server(cores[0], own, environment, misbehaviour) as server:
                    _await_shadow(server, misbehaviour)
                    target = Target(f"{server.url}/predict")
                    measured[kind].append(
                        {
                            name: measure(target, folder / "rows.jsonl", scenario, cores[1], factor)
                            for name, scenario in SCENARIOS.items()
                        }
                    )
                    metrics = _metrics(server.url)
                    missing[kind] += missing_rows(own / "traffic", metrics["tabular_bento_predicted_rows_total"])
                if misbehaviour is not None:
                    for name in COUNTED:
                        counted[kind][name] += metrics[f"tabular_bento_shadow_{name}_total"]
                shutil.rmtree(own)
    return ShadowComparison(measured, counted, cores, missing)


def judge(comparison: ShadowComparison, highest: float | None) -> int:
    """The exit code of a finished comparison, with a message for each reason that it is not 0."""
    code = 1 if report_errors("benchmarks shadow", comparison.rounds) else 0
    for kind, rows in comparison.missing.items():
        if rows:
            print(f"benchmarks shadow: {rows:,} rows returned with {named(kind)} are not in the log", file=sys.stderr)
            code = 1
    for kind in comparison.rounds if highest is not None else ():
        for scenario in SCENARIOS:
            ratio = comparison.ratio(kind, scenario, "p99")
            if kind != NONE and (ratio is None or ratio > float(highest or 0)):
                known = "not known" if ratio is None else f"{ratio:.2f}"
                print(
                    f"benchmarks shadow: p99 with a shadow {kind} over that without, {scenario}: {known}, "
                    f"above {highest:g}",
                    file=sys.stderr,
                )
                code = 1
    return code


def _store_with_candidate(home: Path) -> dict[str, str]:
    """A store with the model and, as a candidate, the same under another tag; what to set to serve from it."""
    located = require_model()
    version = located.tag.split(":")[1]
    model, candidate = (home / "models" / tag.replace(":", "/") for tag in (located.tag, CANDIDATE))
    for folder in (model, candidate):
        shutil.copytree(located.directory, folder)
    entry = candidate / "model.yaml"
    entry.write_text(entry.read_text().replace(version, CANDIDATE.split(":")[1]))
    (candidate / "manifest.json").unlink()
    write_manifest(candidate)
    return {"BENTOML_HOME": str(home), "TABULAR_BENTO_MODEL": located.tag}


def _server(core: int | None, folder: Path, environment: dict[str, str], misbehaviour: str | None) -> PinnedServer:
    folder.mkdir()
    own = environment | settings_of(folder / "traffic", free_port()) | {"TABULAR_BENTO_DRAIN_SECONDS": "0"}
    if misbehaviour is not None:
        own["TABULAR_BENTO_SHADOW_MODEL"] = CANDIDATE
    if misbehaviour:
        own |= {"MISBEHAVE": misbehaviour, "PYTHONPATH": os.pathsep.join([str(MISBEHAVING), os.getcwd()])}
    return PinnedServer(core, folder / "server.log", own)


def _await_shadow(server: PinnedServer, misbehaviour: str | None) -> None:
    """Wait until the shadow scores: its start is not what is measured."""
    deadline = time.monotonic() + READY_SECONDS
    while misbehaviour is not None and _shadow_state(server.url) != "scoring":
        if time.monotonic() > deadline:
            raise BenchmarkError(f"The shadow did not score within {READY_SECONDS:.0f} s: {_shadow_state(server.url)}.")
        time.sleep(0.2)


def _shadow_state(url: str) -> str:
    with urllib.request.urlopen(f"{url}/model", timeout=30) as response:
        return str((json.load(response)["shadow"] or {}).get("state"))


def _metrics(url: str) -> dict[str, float]:
    """What /metrics says of rows, over all protocols, and of the shadow."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=30) as response:
        families = list(text_string_to_metric_families(response.read().decode()))
    metrics: dict[str, float] = {}
    for sample in (sample for family in families for sample in family.samples):
        if sample.name == "tabular_bento_predicted_rows_total" or sample.name.startswith("tabular_bento_shadow_"):
            metrics[sample.name] = metrics.get(sample.name, 0) + sample.value
    return metrics


def missing_rows(traffic: Path, returned: float) -> int:
    """How many of the rows that were returned are not in the log: it counts each prediction_id of a whole line once."""
    ids = {
        json.loads(line)["prediction_id"]
        for path in (traffic / PREDICTIONS).glob("*.jsonl")
        for line in path.read_bytes().split(b"\n")[:-1]
    }
    return max(int(returned) - len(ids), 0)


if __name__ == "__main__":
    sys.exit(main())
