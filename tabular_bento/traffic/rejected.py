"""Lines that cannot be read: how many a scan met, where, and whether they are of its window."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tabular_bento.data.storage import AnyPath
from tabular_bento.traffic.lines import RejectedLine
from tabular_bento.traffic.schema import LogColumn
from tabular_bento.traffic.stream import begun
from tabular_bento.traffic.window import Window

_EXAMPLES = 5


@dataclass(slots=True)
class ScanCounts:
    """What a scan met.

    Parameters
    ----------
    rows : int
        Rows that it gave.
    truncated, bad : int
        Lines of its window that were cut short, or could not be read; all were skipped. Lines that sealing rejected
        count like those that are still in their log file.
    log_files, parquet_files : int
        Files that were read.
    examples : list of str
        Where the first five such lines are, and what is wrong with them.
    """

    rows: int = 0
    truncated: int = 0
    bad: int = 0
    log_files: int = 0
    parquet_files: int = 0
    examples: list[str] = field(default_factory=list)

    def reject(self, path: AnyPath, line: RejectedLine) -> None:
        """Counts a line that could not be read."""
        if line.truncated:
            self.truncated += 1
        else:
            self.bad += 1
        if len(self.examples) < _EXAMPLES:
            self.examples.append(f"{path}:{line.number}: {line.reason}")

    def merge(self, other: ScanCounts) -> None:
        """Add what the scan of other parts met."""
        self.rows += other.rows
        self.truncated += other.truncated
        self.bad += other.bad
        self.log_files += other.log_files
        self.parquet_files += other.parquet_files
        self.examples = [*self.examples, *other.examples][:_EXAMPLES]


class Rejects:
    """Counts the rejected lines of one log file that are of the window.

    Those are the ones that name a time within it, and, of those that name none, all or none: all if the log file has
    rows in the window or was begun in it.
    """

    def __init__(self, path: AnyPath, columns: Sequence[LogColumn], window: Window | None, counts: ScanCounts) -> None:
        self._path, self._window, self._counts = path, window, counts
        self._time_of = None if window is None else window.line_reader(columns)
        self._timeless = ScanCounts()

    def add(self, line: RejectedLine) -> None:
        """Count a line if it is of the window, or later, by `close`, if that is not known yet."""
        within = self._time_of is None or self._time_of(line.line)
        if within is not False:
            (self._timeless if within is None else self._counts).reject(self._path, line)

    def close(self, has_rows: Callable[[], bool]) -> None:
        """Count the lines that name no time; `has_rows` says whether rows of the log file are in the window."""
        if self._window is not None and (self._timeless.bad or self._timeless.truncated):
            start = begun(self._path)
            if has_rows() or start is None or self._window.has(start):
                self._counts.merge(self._timeless)
