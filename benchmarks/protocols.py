"""python -m benchmarks protocols: the protocols of one server beside each other, in one run."""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from benchmarks.callers import FaultError
from benchmarks.command import clean_up_on_signals, report_errors, scratch_folder, steps, write_json
from benchmarks.errors import BenchmarkError
from benchmarks.flights import load_sample
from benchmarks.load import CALLERS
from benchmarks.report import describe_hardware, hardware, show_number
from benchmarks.requests import encode_requests
from benchmarks.rounds import QUICK, SCENARIOS, Measured, Pace, Target, median, run_rounds
from benchmarks.servers import bento_server, choose_cores, require_model
from features.problem import PROBLEM
from tabular_bento.errors import TabularBentoError
from tabular_bento.serving.ports import free_port

HTTP, REST, GRPC, STREAM = "POST /predict", "REST", "gRPC", "gRPC stream"
METRICS = {"one_row": "requests_per_second", "thousand_rows": "rows_per_second"}
FORMS = {
    "json": "JSON",
    "rest": "JSON tensors",
    "rest-binary": "binary tensors",
    "grpc": "raw contents",
    "grpc-stream": "raw contents",
}
COMPARED_ROWS = 2_000
PACE = Pace(rounds=9, share=0.3)
"""Short rounds, so that a machine that changes its speed meanwhile changes it for all protocols of a round alike."""

EPILOG = """\
One server with one worker on one core, the load on another core. The protocols take turns for nine short rounds (about
five minutes). The table shows medians: of what each protocol did, and of its ratios to POST /predict in the same round.
Before that, all protocols must predict the same bits for the same flights.

exit codes: 0 measured; 1 a ratio is below what is asked for, or a request failed; 2 the arguments are wrong;
3 they cannot be measured.
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks protocols",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--check-requests", type=float, metavar="RATIO", help="least one-row requests/s of gRPC over POST /predict"
    )
    parser.add_argument(
        "--check-rows", type=float, metavar="RATIO", help="least 1000-row rows/s of REST and gRPC over POST /predict"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured to FILE")
    parser.add_argument("--quick", action="store_true", help="one round of a few seconds; too short to quote")
    options = parser.parse_args(arguments)
    clean_up_on_signals()
    try:
        comparison = compare(QUICK if options.quick else PACE)
        write_json(comparison.document(), options.json)
    except (BenchmarkError, TabularBentoError, OSError) as error:
        print(f"benchmarks protocols: {error}", file=sys.stderr)
        return 3
    print(comparison.table())
    return judge(comparison, options.check_requests, options.check_rows)


@dataclass(frozen=True)
class ProtocolComparison:
    """Measurements by protocol, round and scenario, and what was loaded by protocol and scenario."""

    rounds: dict[str, list[dict[str, Measured]]]
    targets: dict[str, dict[str, Target]]
    cores: tuple[int | None, int | None]

    def ratio(self, protocol: str, scenario: str) -> float | None:
        """Throughput of a protocol over that of POST /predict, the median of the rounds; None where one has none."""
        metric, ratios = METRICS[scenario], []
        for ours, http in zip(self.rounds[protocol], self.rounds[HTTP], strict=True):
            if not ours[scenario][metric] or not http[scenario][metric]:
                return None
            ratios.append(ours[scenario][metric] / http[scenario][metric])
        return statistics.median(ratios)

    def table(self) -> str:
        """The comparison for people to read."""
        lines = describe_hardware(self.cores)
        for scenario, metric in METRICS.items():
            load = SCENARIOS[scenario]
            rows = "one row" if load.rows == 1 else f"{load.rows} rows"
            title = f"{rows} a request, {load.connections} callers"
            columns = (metric.replace("_per_second", "/s"), "ratio", "p50, ms", "p99, ms", "load busy")
            lines.append(f"{title:<40}" + "".join(f"{column:>12}" for column in columns))
            lines += [self._line(protocol, scenario) for protocol in self.rounds]
            lines.append("")
        lines.append("ratio: throughput over that of POST /predict in the same round")
        lines.append("load busy: share of a core that the callers took")
        return "\n".join(lines)

    def document(self) -> dict[str, Any]:
        """All of it as plain JSON values."""
        return {
            "hardware": hardware(self.cores),
            "ratios": {
                protocol: {scenario: self.ratio(protocol, scenario) for scenario in METRICS} for protocol in self.rounds
            },
            "medians": {
                protocol: {
                    scenario: {name: median(rounds, scenario, name) for name in (metric, "p50", "p90", "p99")}
                    for scenario, metric in METRICS.items()
                }
                for protocol, rounds in self.rounds.items()
            },
            "targets": {
                protocol: {name: asdict(target) for name, target in each.items()}
                for protocol, each in self.targets.items()
            },
            "scenarios": {name: asdict(SCENARIOS[name]) for name in METRICS},
            "rounds": self.rounds,
        }

    def _line(self, protocol: str, scenario: str) -> str:
        label = f"    {protocol}, {FORMS[self.targets[protocol][scenario].protocol]}"
        values = [median(self.rounds[protocol], scenario, METRICS[scenario]), self.ratio(protocol, scenario)]
        values += [median(self.rounds[protocol], scenario, name) for name in ("p50", "p99", "load_busy")]
        return f"{label:<40}" + "".join(f"{show_number(value):>12}" for value in values)


def compare(pace: Pace) -> ProtocolComparison:
    """Start the server, check that its protocols predict the same, load them in turn, and stop it.

    Raises BenchmarkError or TabularBentoError where that cannot be done.
    """
    require_model()
    cores = choose_cores()
    with ExitStack() as stack:
        folder = stack.enter_context(scratch_folder())
        step = stack.enter_context(steps(4 + pace.rounds * 4 * len(METRICS)))
        step("reading flights")
        sample = load_sample()
        sample.write(folder / "rows.jsonl")
        step("starting the server")
        grpc_port = free_port()
        server = stack.enter_context(bento_server(cores[0], folder, grpc_port))
        targets = targets_of(server.url, grpc_port)
        step("comparing the predictions of all protocols")
        check_bits(targets, sample.rows[:COMPARED_ROWS])
        rounds: dict[str, list[dict[str, Measured]]] = {
            protocol: [{} for _ in range(pace.rounds)] for protocol in targets
        }
        for scenario in METRICS:
            one = {protocol: {scenario: each[scenario]} for protocol, each in targets.items()}
            for protocol, measured in run_rounds(one, folder / "rows.jsonl", cores[1], pace, step).items():
                for whole, part in zip(rounds[protocol], measured, strict=True):
                    whole |= part
        step("stopping the server")
    return ProtocolComparison(rounds, targets, cores)


def targets_of(url: str, grpc_port: int) -> dict[str, dict[str, Target]]:
    """What to load, by protocol and scenario."""
    http, infer = Target(f"{url}/predict"), f"{url}/v2/models/{PROBLEM.name}/infer"
    address = f"{urlsplit(url).hostname}:{grpc_port}"
    grpc, stream = Target(address, "grpc"), Target(address, "grpc-stream")
    return {
        HTTP: {"one_row": http, "thousand_rows": http},
        REST: {"one_row": Target(infer, "rest"), "thousand_rows": Target(infer, "rest-binary")},
        GRPC: {"one_row": grpc, "thousand_rows": grpc},
        STREAM: {"one_row": stream, "thousand_rows": stream},
    }


def check_bits(targets: dict[str, dict[str, Target]], rows: Sequence[bytes]) -> None:
    """Raise BenchmarkError unless all protocols predict the same bits for `rows`, alone and by the thousand."""
    for rows_per_request, chosen in ((1, rows[:50]), (1_000, rows)):
        predicted = {
            f"{protocol}, {FORMS[target.protocol]}": asyncio.run(_predict(target, chosen, rows_per_request))
            for protocol, each in targets.items()
            for target in each.values()
        }
        first, *others = predicted
        for other in others:
            if predicted[other] != predicted[first]:
                raise BenchmarkError(f"{other} predicts other values than {first}: their speeds are not comparable.")


async def _predict(target: Target, rows: Sequence[bytes], rows_per_request: int) -> bytes:
    caller = CALLERS[target.protocol](target.url)
    predictions: list[float] = []
    try:
        for request in encode_requests(target.url, rows, rows_per_request, target.protocol):
            predictions += await caller.send(request)
    except (FaultError, OSError) as error:
        raise BenchmarkError(f"{target.url} does not predict ({target.protocol}): {error}") from error
    finally:
        await caller.close()
    return np.array(predictions, dtype=np.float64).tobytes()


def judge(comparison: ProtocolComparison, requests: float | None, rows: float | None) -> int:
    """The exit code of a finished comparison, with a message where it is not 0."""
    code = 1 if report_errors("benchmarks protocols", comparison.rounds) else 0
    for protocol, scenario, required in (
        (STREAM, "one_row", requests),
        (REST, "thousand_rows", rows),
        (GRPC, "thousand_rows", rows),
    ):
        ratio = comparison.ratio(protocol, scenario)
        if required is not None and (ratio is None or ratio < required):
            known = "not known" if ratio is None else f"{ratio:.2f}"
            what = METRICS[scenario].replace("_per_second", "/s")
            print(
                f"benchmarks protocols: {what} of {protocol} over {HTTP}: {known}, below {required:g}", file=sys.stderr
            )
            code = 1
    return code


if __name__ == "__main__":
    sys.exit(main())
