"""python -m benchmarks classic: this service beside the classic scaffold (FastAPI, pandas, a scikit-learn Pipeline)."""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path

from benchmarks.accuracy import measure_rmse
from benchmarks.command import clean_up_on_signals, report_errors, scratch_folder, steps, write_json
from benchmarks.errors import BenchmarkError
from benchmarks.flights import prepare
from benchmarks.report import CLASSIC, OURS, Comparison
from benchmarks.rounds import QUICK, SCENARIOS, Pace, Target, run_rounds
from benchmarks.servers import bento_server, choose_cores, classic_server, require_model
from tabular_bento.errors import TabularBentoError
from tabular_bento.serving.ports import free_port

CLASSIC_PYTHON = Path(".venv-bench/bin/python")

EPILOG = """\
Both serve a model of the same months, the classic one trained now, each in one process on one core, with the load on
another core. They take turns for three rounds (about three minutes). The table shows medians.

exit codes: 0 measured; 1 the ratio is below --check, or a request failed; 2 the arguments are wrong;
3 the comparison cannot be made.
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks classic",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--check", type=float, metavar="RATIO", help="least ratio of one-row throughput")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured to FILE")
    parser.add_argument("--quick", action="store_true", help="one round of a few seconds; too short to quote")
    parser.add_argument(
        "--classic-python",
        type=Path,
        default=CLASSIC_PYTHON,
        metavar="FILE",
        help=f"Python of the classic scaffold's environment (default: {CLASSIC_PYTHON})",
    )
    options = parser.parse_args(arguments)
    clean_up_on_signals()
    try:
        comparison = compare(options.classic_python, QUICK if options.quick else Pace())
        write_json(comparison.document(), options.json)
    except (BenchmarkError, TabularBentoError, OSError) as error:
        print(f"benchmarks classic: {error}", file=sys.stderr)
        return 3
    print(comparison.table())
    return judge(comparison, options.check)


def compare(classic_python: Path, pace: Pace) -> Comparison:
    """Start both servers, check that both predict, load them in turn, and stop them.

    Raises BenchmarkError or TabularBentoError where the comparison cannot be made.
    """
    if not classic_python.exists():
        raise BenchmarkError(f"There is no {classic_python}: run `make bench`, which makes its environment.")
    require_model()
    cores = choose_cores()
    with ExitStack() as stack:
        folder = stack.enter_context(scratch_folder())
        step = stack.enter_context(steps(4 + pace.rounds * 2 * len(SCENARIOS)))
        step("training the classic scaffold")
        sample, model = prepare(folder, classic_python)
        sample.write(folder / "rows.jsonl")
        step("starting both servers")
        servers = {
            OURS: stack.enter_context(bento_server(cores[0], folder, free_port())),
            CLASSIC: stack.enter_context(classic_server(cores[0], folder, classic_python, model)),
        }
        urls = {name: f"{server.url}/predict" for name, server in servers.items()}
        step("comparing their predictions")
        rmse = {name: measure_rmse(name, url, sample) for name, url in urls.items()}
        targets = {name: dict.fromkeys(SCENARIOS, Target(url)) for name, url in urls.items()}
        rounds = run_rounds(targets, folder / "rows.jsonl", cores[1], pace, step)
        step("stopping both servers")
    return Comparison(rounds, rmse, cores)


def judge(comparison: Comparison, required: float | None) -> int:
    """The exit code of a finished comparison, with a message where it is not 0."""
    if report_errors("benchmarks classic", comparison.rounds):
        return 1
    if required is not None and (comparison.ratio is None or comparison.ratio < required):
        ratio = f"{comparison.ratio:.1f}" if comparison.ratio else "not known"
        print(f"benchmarks classic: the ratio of one-row throughput is {ratio}, below {required:g}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
