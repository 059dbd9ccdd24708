"""python -m benchmarks revision: the service beside an earlier commit of itself, in paired rounds of one run."""

from __future__ import annotations

import argparse
import math
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from scipy.stats import t as student

from benchmarks.accuracy import ROWS, measure_rmse
from benchmarks.command import clean_up_on_signals, report_errors, scratch_folder, steps, write_json
from benchmarks.errors import BenchmarkError
from benchmarks.flights import load_sample
from benchmarks.report import OURS, describe_hardware, hardware, show_number
from benchmarks.rounds import QUICK, Measured, Pace, Scenario, Target, median, run_pairs
from benchmarks.servers import bento_server, choose_cores, require_model, revision_server
from tabular_bento.errors import TabularBentoError
from tabular_bento.serving.ports import free_port

COMMIT = "50fcb23"
LIMIT = 0.95
CONFIDENCE = 0.95
CACHE = Path(".cache/revisions")
PACE = Pace(rounds=9, share=0.3)

SCENARIOS = {
    "one_row": Scenario(1, 32, 8, 2),
    "thousand_rows": Scenario(1_000, 4, 8, 2),
    "lone": Scenario(1, 1, 4, 0.5),
}
TITLES = {
    "one_row": ("one row, 32 connections, requests/s", "requests_per_second"),
    "thousand_rows": ("1000 rows, 4 connections, rows/s", "rows_per_second"),
    "lone": ("one row, 1 connection, requests/s", "requests_per_second"),
}

EPILOG = f"""\
The earlier commit is checked out into {CACHE} as a worktree of this repository. Its own model is trained there once,
into a store of its own. Both servers have one worker on one core, and the load is on another core. They take turns for
nine rounds (about five minutes); within a round each load runs on both, one directly after the other.

The ratio is the throughput of this checkout over that of the commit: the geometric mean over the rounds, with its
95 % interval (Student's t on the logarithms of the rounds' ratios). A limit is missed when the whole interval is below
it.

exit codes: 0 measured; 1 a limit is missed, or a request failed; 2 the arguments are wrong; 3 it cannot be measured.
"""


@dataclass(frozen=True)
class Ratio:
    """A ratio of two throughputs with its 95 % interval, which is None where there is one round only."""

    value: float
    low: float | None = None
    high: float | None = None

    @classmethod
    def of_pairs(cls, numerators: Sequence[float], denominators: Sequence[float]) -> Ratio:
        """The geometric mean of the pairs' ratios, and the interval of Student's t on their logarithms."""
        logs = [math.log(above / below) for above, below in zip(numerators, denominators, strict=True)]
        mean = statistics.fmean(logs)
        if len(logs) < 2:
            return cls(math.exp(mean))
        half = student.ppf((1 + CONFIDENCE) / 2, len(logs) - 1) * statistics.stdev(logs) / math.sqrt(len(logs))
        return cls(math.exp(mean), math.exp(mean - half), math.exp(mean + half))

    def misses(self, limit: float) -> bool:
        """Whether the whole interval is below `limit`."""
        return (self.value if self.high is None else self.high) < limit

    def __str__(self) -> str:
        interval = "" if self.low is None or self.high is None else f" ({self.low:.3f} to {self.high:.3f})"
        return f"{self.value:.3f}{interval}"


@dataclass(frozen=True)
class RevisionComparison:
    """Measurements by server, round and scenario, and the RMSE of each server's predictions in minutes."""

    commit: str
    rounds: dict[str, list[dict[str, Measured]]]
    rmse: dict[str, float]
    cores: tuple[int | None, int | None]

    @property
    def peer(self) -> str:
        """The name of the earlier commit in tables."""
        return named(self.commit)

    def ratio(self, scenario: str) -> Ratio | None:
        """Throughput of this checkout over that of the commit; None where a round has none."""
        metric = TITLES[scenario][1]
        ours, peers = ([measured[scenario][metric] for measured in self.rounds[n]] for n in (OURS, self.peer))
        return Ratio.of_pairs(ours, peers) if all(ours) and all(peers) else None

    def table(self) -> str:
        """The comparison for people to read."""
        lines = [*describe_hardware(self.cores), f"{'':<38}{OURS:>14}{self.peer:>18}   ratio (95 % interval)"]
        for scenario, (title, metric) in TITLES.items():
            values = [show_number(median(self.rounds[name], scenario, metric)) for name in (OURS, self.peer)]
            lines.append(f"{title:<38}{values[0]:>14}{values[1]:>18}   {self.ratio(scenario) or '-'}")
            values = [show_number(median(self.rounds[name], scenario, "p99")) for name in (OURS, self.peer)]
            lines.append(f"{'    p99, ms':<38}{values[0]:>14}{values[1]:>18}")
        label = f"RMSE on {ROWS:,} flights, minutes"
        lines.append(f"{label:<38}{self.rmse[OURS]:>14.2f}{self.rmse[self.peer]:>18.2f}")
        return "\n".join(lines)

    def document(self) -> dict[str, Any]:
        """All of it as plain JSON values."""
        ratios = {scenario: self.ratio(scenario) for scenario in SCENARIOS}
        return {
            "hardware": hardware(self.cores),
            "commit": self.commit,
            "ratios": {scenario: ratio and asdict(ratio) for scenario, ratio in ratios.items()},
            "rmse": self.rmse,
            "scenarios": {name: asdict(scenario) for name, scenario in SCENARIOS.items()},
            "rounds": self.rounds,
        }


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks revision",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--commit", default=COMMIT, help="the earlier commit (default: %(default)s)")
    parser.add_argument(
        "--limit", type=float, default=LIMIT, metavar="RATIO", help="least ratio of each load (default: %(default)s)"
    )
    parser.add_argument("--rounds", type=int, default=PACE.rounds, metavar="N", help="(default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured to FILE")
    parser.add_argument("--quick", action="store_true", help="one round of a few seconds; too short to quote")
    parser.add_argument("--checkout", type=Path, metavar="DIR", help="a clone at that commit, in place of a worktree")
    parser.add_argument("--store", type=Path, metavar="DIR", help="a BENTOML_HOME with the commit's model")
    parser.add_argument(
        "--python", type=Path, default=Path(sys.executable), metavar="FILE", help="Python of the earlier commit"
    )
    options = parser.parse_args(arguments)
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    pace = QUICK if options.quick else Pace(options.rounds, PACE.share)
    clean_up_on_signals()
    try:
        comparison = compare(options.commit, pace, options.checkout, options.store, options.python)
        write_json(comparison.document(), options.json)
    except (BenchmarkError, TabularBentoError, OSError) as error:
        print(f"benchmarks revision: {error}", file=sys.stderr)
        return 3
    print(comparison.table())
    return judge(comparison, options.limit)


def compare(
    commit: str, pace: Pace, checkout: Path | None = None, store: Path | None = None, python: Path | None = None
) -> RevisionComparison:
    """Start both servers, check that both predict, load them in turn, and stop them.

    Raises
    ------
    BenchmarkError, TabularBentoError
        Where the comparison cannot be made.
    """
    require_model()
    cores = choose_cores()
    python = python or Path(sys.executable)
    peer = named(commit)
    with ExitStack() as stack:
        folder = stack.enter_context(scratch_folder())
        step = stack.enter_context(steps(5 + pace.rounds * 2 * len(SCENARIOS)))
        step(f"checking out {commit}")
        source = checkout or check_out(commit)
        step(f"training the model of {commit}")
        home = store or train(source, python)
        step("starting both servers")
        sample = load_sample()
        sample.write(folder / "rows.jsonl")
        servers = {
            OURS: stack.enter_context(bento_server(cores[0], folder, free_port())),
            peer: stack.enter_context(revision_server(cores[0], folder, free_port(), source, home, python)),
        }
        targets = {name: Target(f"{server.url}/predict") for name, server in servers.items()}
        step("comparing their predictions")
        rmse = {name: measure_rmse(name, target.url, sample) for name, target in targets.items()}
        rounds = run_pairs(targets, SCENARIOS, folder / "rows.jsonl", cores[1], pace, step)
        step("stopping both servers")
    return RevisionComparison(commit, rounds, rmse, cores)


def named(commit: str) -> str:
    """The name of an earlier commit in tables."""
    return f"commit {commit[:7]}"


def check_out(commit: str, cache: Path = CACHE) -> Path:
    """The folder of a worktree at `commit`, made where there is none."""
    found = _git("rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}")
    if found.returncode:
        raise BenchmarkError(f"There is no commit {commit} in this repository: a shallow clone lacks it, fetch it.")
    folder = (cache / found.stdout.strip()).absolute()
    if not (folder / "service.py").exists():
        made = _git("worktree", "add", "--force", "--detach", str(folder), found.stdout.strip())
        if made.returncode:
            raise BenchmarkError(f"{commit} cannot be checked out: {made.stderr.strip()}")
    return folder


def train(source: Path, python: Path, cache: Path = CACHE) -> Path:
    """The model store of the commit in `source`: a folder beside it, with a model that is trained where it is empty."""
    store = cache.absolute() / f"{source.name}-store"
    if not (store / "models" / "flights" / "latest").exists():
        environment = {**os.environ, "BENTOML_HOME": str(store)}
        command = [python, "-m", "training"]
        result = subprocess.run(command, cwd=source, env=environment, capture_output=True, text=True, check=False)
        if result.returncode:
            raise BenchmarkError(f"The model of {source} could not be trained: {result.stderr.strip()[-500:]}")
    return store


def judge(comparison: RevisionComparison, limit: float) -> int:
    """The exit code of a finished comparison, with a message for each reason that it is not 0."""
    code = 1 if report_errors("benchmarks revision", comparison.rounds) else 0
    for scenario, (title, _) in TITLES.items():
        ratio = comparison.ratio(scenario)
        if ratio is None or ratio.misses(limit):
            print(f"benchmarks revision: {title}: ratio {ratio or 'not known'}, below {limit:g}", file=sys.stderr)
            code = 1
    return code


def _git(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)


if __name__ == "__main__":
    sys.exit(main())
