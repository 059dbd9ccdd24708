"""The lines that a worker logs, read as it writes them, and the place in them that outlives a shadow."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

BLOCK_BYTES = 1 << 20
USUAL_LINE_BYTES = 800
PROGRESS_BYTES = 512


class LogTail:
    """Reads the log files of one writer in order.

    A file is read to its end once there is a later one; one that was sealed meanwhile stays readable, since it is held
    open.

    Parameters
    ----------
    directory : Path
        The stream's folder.
    owner : str
        What `tabular_bento.traffic.writer.owner_of` gives for the writer.
    file : str
        The name of the log file to begin in, or the time after which files begin.
    offset : int
        Where to begin in it.

    Attributes
    ----------
    file, offset
        Where the next line begins.
    """

    def __init__(self, directory: Path, owner: str, file: str, offset: int) -> None:
        self.file = file
        self.offset = offset
        self._directory = directory
        self._marks = f"-{owner}-"
        self._fd: int | None = None
        self._line_bytes = float(USUAL_LINE_BYTES)
        if (directory / file).is_file():
            self._fd = os.open(directory / file, os.O_RDONLY)

    def read(self, rows: int) -> list[bytes]:
        """Up to `rows` whole lines, without their newlines; none where nothing new is there."""
        while True:
            later = self._later()  # looked for first: what this file holds after that is all it will ever hold
            lines = self._lines(rows)
            if lines or not later:
                return lines
            self._open(later[0])

    def behind(self) -> int:
        """About how many lines are not read yet."""
        waiting = sum(self._size(name) for name in self._later())
        if self._fd is not None:
            waiting += os.fstat(self._fd).st_size - self.offset
        return int(waiting / self._line_bytes)

    def skip(self, keep: int) -> int:
        """Go ahead until about `keep` lines are left, and give the number of those passed over."""
        skipped = 0
        while (surplus := self.behind() - keep) > 0:
            lines = self.read(min(surplus, 10_000))
            if not lines:
                break
            skipped += len(lines)
        return skipped

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _lines(self, rows: int) -> list[bytes]:
        if self._fd is None:
            return []
        size = int(rows * self._line_bytes) + BLOCK_BYTES
        block = os.pread(self._fd, size, self.offset)
        while b"\n" not in block and len(block) == size:  # a line longer than any
            size *= 2
            block = os.pread(self._fd, size, self.offset)
        lines = block.split(b"\n", rows)[:-1]  # what follows the last newline is not ended yet, or too many
        if lines:
            taken = sum(map(len, lines)) + len(lines)
            self.offset += taken
            self._line_bytes = taken / len(lines)
        return lines

    def _later(self) -> list[str]:
        """Names of the later files, which begin with their times."""
        try:
            names = os.listdir(self._directory)
        except FileNotFoundError:
            return []
        return sorted(name for name in names if self._marks in name and name.endswith(".jsonl") and name > self.file)

    def _size(self, name: str) -> int:
        try:
            return (self._directory / name).stat().st_size
        except FileNotFoundError:
            return 0

    def _open(self, name: str) -> None:
        self.close()
        self.file, self.offset = name, 0
        try:
            self._fd = os.open(self._directory / name, os.O_RDONLY)
        except FileNotFoundError:  # sealed before it was begun
            self._fd = None


@dataclass
class Progress:
    """A place in the log, `file` and `offset` in bytes; the rows before it that were `begun` and are not finished;
    and the process that wrote this, once it had loaded the candidate."""

    file: str
    offset: int = 0
    begun: int = 0
    pid: int = 0


class ProgressFile:
    """The file at `path`. The time of its last change is the shadow's sign of life."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> Progress:
        """What was written last."""
        return Progress(**json.loads(self.path.read_bytes()))

    def write(self, progress: Progress) -> None:
        """Replace the content, in one write of always the same size."""
        content = json.dumps(asdict(progress)).encode().ljust(PROGRESS_BYTES)
        fd = os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.pwrite(fd, content, 0)
        finally:
            os.close(fd)

    def age(self) -> float:
        """Seconds since the last sign of life."""
        return time.time() - self.path.stat().st_mtime
