"""python -m benchmarks.evidently_drift LOG TAG: Evidently's own DataDriftPreset on all rows of the benchmark's window.

Reads the columns that the drift job watches into pandas, compares them with the package's reference rows, and prints
the number of rows.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

from benchmarks.drift_log import END, START
from tabular_bento.evaluation.reference.package import Reference
from tabular_bento.traffic.reader import EventLog
from tabular_bento.traffic.schema import PREDICTIONS


def main(folder: str, tag: str) -> int:
    """Run the preset once."""
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    reference = Reference.load(tag)
    names = [column.log_name for column in reference.columns if column.log_name in reference.rows.column_names]
    window = EventLog(Path(folder) / PREDICTIONS).read(START, END, names)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        now, before = window.to_pandas(), reference.rows.select(names).to_pandas()
        numbers = [name for name in names if now[name].dtype.kind in "fi" and before[name].notna().any()]
        texts = [name for name in names if now[name].dtype.kind not in "fi"]
        definition = DataDefinition(numerical_columns=numbers, categorical_columns=texts)
        Report([DataDriftPreset()]).run(*(Dataset.from_pandas(frame, definition) for frame in (now, before)))
    print(len(now))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
