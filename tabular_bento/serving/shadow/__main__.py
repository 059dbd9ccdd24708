"""python -m tabular_bento.serving.shadow: score what a worker logs with a candidate.

A worker starts it in the folder of its project, where TABULAR_BENTO_SHADOW_MODEL names a candidate.
"""

from __future__ import annotations

import contextlib
import os

with contextlib.suppress(OSError):
    os.nice(19)  # before anything is imported, which takes longer than anything else

import argparse
import ctypes
import select
import signal
import sys
from pathlib import Path

from tabular_bento.errors import ProjectError, ScoringError
from tabular_bento.project import Project
from tabular_bento.serving.settings import read_settings
from tabular_bento.serving.shadow.scorer import ShadowScorer, load_candidate
from tabular_bento.serving.shadow.tail import ProgressFile

REFUSED = 3
_PR_SET_PDEATHSIG = 1

EPILOG = """\
It ends when its standard input does; settings come from the environment, as those of the server.

exit codes: 0 ended; 2 the arguments are wrong; 3 the candidate cannot be served.
"""


def main(arguments: list[str] | None = None) -> int:
    """Run until standard input ends, and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tabular_bento.serving.shadow",
        description=str(__doc__),
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", type=Path, required=True, metavar="FOLDER", help="the candidate's package")
    parser.add_argument("--tag", required=True, help="its tag, for the log")
    parser.add_argument("--worker", type=int, required=True, metavar="PID", help="the process whose log is read")
    parser.add_argument("--progress", type=Path, required=True, metavar="FILE", help="where the last run left off")
    parser.add_argument("--traffic", type=Path, required=True, metavar="FOLDER", help="the traffic log")
    options = parser.parse_args(arguments)
    _outlive_no_worker(options.worker)
    settings = read_settings()
    try:
        problem = Project.find().load_problem()
        predictor = load_candidate(options.model, options.tag, problem)
    except (ScoringError, ProjectError) as error:
        _report(str(error))
        return REFUSED
    with contextlib.suppress(OSError, AttributeError):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))  # never in the way of one who wants the core
    progress = ProgressFile(options.progress)
    ShadowScorer(
        predictor,
        problem,
        options.tag,
        options.worker,
        progress,
        options.traffic,
        settings,
        _pause,
        _report,
        os.getpid(),
    ).run()
    return 0


def _outlive_no_worker(worker: int) -> None:
    """End with the worker, however it ends; what else is sent to its group is for the worker to act on."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != worker:
        sys.exit(0)


def _pause(seconds: float) -> bool:
    """Wait, and say whether standard input, which the worker holds, is still open."""
    readable, _, _ = select.select([sys.stdin], [], [], seconds)
    return not readable


def _report(message: str) -> None:
    print(f"shadow: {message}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
