"""Candidates that misbehave: with this folder on PYTHONPATH, and only in the process of a shadow.

MISBEHAVE names the fault: "sleep" takes five seconds for each batch, "raise" fails on every row, "raise-some" on rows
whose dep_delay is odd, "hang" never returns, "crash" ends the process. The candidate is loaded and verified first.
"""

import os
import signal
import sys
import time

SLEEP_SECONDS = 5.0


def _misbehave(kind: str) -> None:
    from features.problem import PROBLEM
    from tabular_bento.scoring.predictor import Predictor
    from tabular_bento.serving.shadow import scorer

    load, predict = scorer.load_candidate, Predictor.predict

    def misbehaving(self, rows):
        match kind:
            case "sleep":
                time.sleep(SLEEP_SECONDS)
            case "raise":
                raise ArithmeticError("the candidate raises")
            case "raise-some" if any(row[PROBLEM.field_names.index(PROBLEM.task.offset)] % 2 for row in rows):
                raise ArithmeticError("the candidate raises on some")
            case "hang":
                time.sleep(1e9)
            case "crash":
                os.kill(os.getpid(), signal.SIGKILL)
        return predict(self, rows)

    def loaded(*arguments):
        predictor = load(*arguments)
        Predictor.predict = misbehaving
        return predictor

    scorer.load_candidate = loaded


if "tabular_bento.serving.shadow" in sys.orig_argv and os.environ.get("MISBEHAVE"):
    import builtins

    _import = builtins.__import__

    def _watching(name, *arguments, **options):
        module = _import(name, *arguments, **options)
        if name == "tabular_bento.serving.shadow.scorer" and builtins.__import__ is _watching:
            builtins.__import__ = _import
            _misbehave(os.environ["MISBEHAVE"])
            module = _import(name, *arguments, **options)
        return module

    builtins.__import__ = _watching
