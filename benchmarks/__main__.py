"""python -m benchmarks NAME: one of the benchmarks and studies of the flights project."""

from __future__ import annotations

import sys
from importlib import import_module

BENCHMARKS = {
    "classic": ("benchmarks.scaffold", "the service beside the usual FastAPI, pandas and scikit-learn Pipeline"),
    "revision": ("benchmarks.revision", "the service beside an earlier commit of itself"),
    "protocols": ("benchmarks.protocols", "the protocols of one server beside each other"),
    "drift": ("benchmarks.drift", "time and memory of the drift job by rows, beside Evidently's preset"),
    "shadow": ("benchmarks.shadow", "what a shadow costs the requests, however it misbehaves"),
    "backtest": ("benchmarks.backtest.command", "how often the verdict of drift is wrong, on real months and faults"),
    "power": ("benchmarks.power.command", "how many drawn shifts the drift job finds, beside its false alarms"),
    "runners": ("benchmarks.runners.command", "every runner on two projects: how good, how large, how fast"),
    "estimate": ("benchmarks.estimate.command", "how often estimates without labels hold what labels show"),
    "defaults": ("benchmarks.defaults.command", "how good new projects are, beside two models of scikit-learn"),
    "comparison": ("benchmarks.comparison.command", "how often a model comparison decides wrongly, by simulation"),
}


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark that the first argument names, and return its exit code."""
    name, *rest = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if name in ("-h", "--help"):
        print("usage: python -m benchmarks NAME [OPTION...]\n")
        for known, (_, description) in BENCHMARKS.items():
            print(f"  {known:<12}{description}")
        print("\n`python -m benchmarks NAME --help` lists the options of one.")
        return 0
    if name not in BENCHMARKS:
        print(f"benchmarks: there is no {name!r}; there are {', '.join(BENCHMARKS)}.", file=sys.stderr)
        return 2
    code: int = import_module(BENCHMARKS[name][0]).main(rest)
    return code


if __name__ == "__main__":
    sys.exit(main())
