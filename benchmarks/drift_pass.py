"""python -m benchmarks.drift_pass LOG TAG WORKERS: seconds that one-thread Dask workers take to read a log, once ready.

The workers are started, and have their modules imported, before the clock starts. Prints the seconds.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from benchmarks.drift_log import END, START
from tabular_bento.evaluation.reference.package import Reference
from tabular_bento.monitoring.window.data import Query
from tabular_bento.monitoring.window.reading import models_in
from tabular_bento.monitoring.window.scan import ExecutionOptions, read_window
from tabular_bento.monitoring.window.workers import workers


def main(folder: str, tag: str, count: str) -> int:
    """Read the window once."""
    query, reference = Query(Path(folder), START, END), Reference.load(tag)
    with workers(count=int(count)) as ready:
        models_in(query, ready)
        begin = time.perf_counter()
        data = read_window(query, reference, ExecutionOptions(ready))
        seconds = time.perf_counter() - begin
    assert data.rows.scored
    print(seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
