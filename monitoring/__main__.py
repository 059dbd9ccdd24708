"""The evaluation layer's commands, `python -m monitoring`; each is in the room of its name."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from benchmarks.backtest.command import add_backtest
from benchmarks.comparison.command import add_compare_simulation
from tabular_bento.monitoring.compare.command import add_compare
from tabular_bento.monitoring.drift.command import add_drift
from tabular_bento.monitoring.replay.command import add_replay
from tabular_bento.monitoring.skew.command import add_skew


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = _parser().parse_args(argv)
    command: Callable[[argparse.Namespace], int] = arguments.run
    return command(arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m monitoring", description="Commands of the evaluation layer.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    add_replay(commands)
    add_drift(commands)
    add_backtest(commands)
    add_compare(commands)
    add_compare_simulation(commands)
    add_skew(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
