"""Callers that go on in threads of their own while a test does something to the server."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Self


class Callers:
    """Runs each of `calls` in a thread from the beginning of the context to its end, when `stop` is set."""

    def __init__(self, calls: Sequence[Callable[[], None]]) -> None:
        self.stop = threading.Event()
        self._threads = [threading.Thread(target=call) for call in calls]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for thread in self._threads:
            thread.join()
