"""How far a shadow has come, in a small file that outlives it: its next run goes on from there."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

SIZE = 512


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
        content = json.dumps(asdict(progress)).encode().ljust(SIZE)
        fd = os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.pwrite(fd, content, 0)
        finally:
            os.close(fd)

    def age(self) -> float:
        """Seconds since the last sign of life."""
        return time.time() - self.path.stat().st_mtime
