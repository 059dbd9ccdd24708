"""What the benchmarks' commands share: a scratch folder, a progress bar, JSON output, and clean-up on signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from tqdm import tqdm

from benchmarks.errors import BenchmarkError
from benchmarks.rounds import Measured, count_reasons

ROOT = Path(__file__).parents[1]
SCRATCH = Path("var")
BAR = "{desc:<45} {bar} {elapsed}"


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder that is removed afterwards."""
    SCRATCH.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=SCRATCH) as folder:
        yield Path(folder)


@contextmanager
def steps(total: int) -> Iterator[Callable[[str], None]]:
    """A function to call at the start of each of `total` steps; it moves a progress bar on a terminal."""
    with tqdm(total=total, disable=not sys.stderr.isatty(), bar_format=BAR) as bar:

        def step(what: str) -> None:
            bar.set_description(what)
            bar.update()

        yield step


def write_json(document: dict[str, Any], path: Path | None) -> None:
    """Write the document to `path`, if there is one. Raises OSError."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n")


def run_in_project(folder: Path, *arguments: str) -> str:
    """What Python prints on stdout in the folder of a project, with the modules of this repository.

    Raises
    ------
    BenchmarkError
        With what it prints on stderr, where it fails.
    """
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BenchmarkError(f"{' '.join(arguments)} in {folder}: {done.stderr.strip()[-2000:]}")
    return done.stdout


def report_errors(command: str, rounds: dict[str, list[dict[str, Measured]]]) -> bool:
    """Whether requests failed; each reason is printed to stderr."""
    reasons = {name: count_reasons(measured) for name, measured in rounds.items()}
    for name, counts in reasons.items():
        for reason, count in counts.items():
            print(f"{command}: {name}: {count:,} requests failed: {reason}", file=sys.stderr)
    return any(reasons.values())


def clean_up_on_signals() -> None:
    """Let SIGINT, SIGTERM and SIGHUP end the command through its clean-up."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)


def _leave(number: int, _: Any) -> NoReturn:
    """Exit through the clean-up; further signals do not interrupt it."""
    for other in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(other, signal.SIG_IGN)
    sys.exit(128 + number)
