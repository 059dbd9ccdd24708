"""Moves the champion: one rename under a lock, and a line of history for each move.

The alias file holds the whole record, and its rename is the moment of the release. A release that is killed before has
done nothing; one that is killed after it has released, and the next to hold the lock writes its line of history.
"""

from __future__ import annotations

import fcntl
import getpass
import os
import secrets
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tabular_bento.errors import PackageError, ReleaseError
from tabular_bento.problem import Problem
from tabular_bento.scoring.package import ModelPackage
from tabular_bento.scoring.releases import Release, Releases

LOCK_SECONDS = 30.0


class ReleaseLedger(Releases):
    """The records of a model, to be added to."""

    def history(self) -> list[Release]:
        """All moves, oldest first, as `read`."""
        return self.read()[0]

    def read(self) -> tuple[list[Release], int]:
        """All moves, oldest first, the last one even where its release was killed before it wrote its line.

        Lines that cannot be read are left out, and counted beside.
        """
        records, damaged = [], 0
        for line in self._content().split(b"\n")[:-1]:
            try:
                records.append(Release.from_json(line))
            except (ValueError, KeyError, TypeError, AttributeError):
                damaged += 1
        champion = self._readable_champion()
        if champion and (not records or records[-1].number < champion.number):
            records.append(champion)
        return records, damaged

    def verify(self, tag: str, problem: Problem) -> ModelPackage:
        """The package `tag`, verified as a server verifies it.

        Raises
        ------
        ReleaseError
            Where it could not be served.
        """
        folder = self.package_folder(tag)
        if not folder.is_dir():
            raise ReleaseError(f"There is no model {tag} in the store: `bentoml models list {self.name}` shows them.")
        try:
            return ModelPackage.load(folder, tag, problem)
        except PackageError as error:
            raise ReleaseError(f"{tag} cannot be served: {error}") from error

    def move(
        self,
        action: str,
        package: ModelPackage,
        evidence: dict[str, Any],
        expected: Release | None,
        force: bool = False,
    ) -> Release:
        """Make `package` the champion instead of `expected`, the champion that the evidence is about.

        With `force` a record of the champion that is damaged is overwritten. Raises ReleaseError where another release
        came between, and PackageError where the record is damaged.
        """
        with self._locked():
            current = self._readable_champion() if force else self.champion()
            if (current and current.number) != (expected and expected.number):
                raise ReleaseError(_overtaken(current))
            records = self.history()
            self._mend(records)
            record = Release(
                number=records[-1].number + 1 if records else 1,
                action=action,
                time=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
                by=_operator(),
                tag=package.tag,
                fingerprint=package.fingerprint,
                previous=records[-1].tag if records else None,
                evidence=evidence,
            )
            self._replace_alias(record)
            try:
                self._append([record])
            except OSError as error:
                raise ReleaseError(
                    f"{record.tag} is the champion, but {self.history_file} cannot be written "
                    f"({error.strerror or error}): free space or grant access; the next move adds the line."
                ) from error
            return record

    def _content(self) -> bytes:
        try:
            return self.history_file.read_bytes()
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise ReleaseError(
                f"{self.history_file} cannot be read ({error.strerror or error}): grant access, or restore it."
            ) from error

    def _readable_champion(self) -> Release | None:
        try:
            return self.champion()
        except PackageError:
            return None

    def _mend(self, records: Sequence[Release]) -> None:
        """Write the lines that the file lacks, and cut a last line that was never ended."""
        content = self._content()
        if not content.endswith(b"\n") and content:
            with self.history_file.open("r+b") as file:
                file.truncate(content.rfind(b"\n") + 1)
        if records and records[-1].to_json().encode() not in content:
            self._append(records[-1:])

    def _replace_alias(self, record: Release) -> None:
        temporary = self.alias_file.with_name(f".{self.alias_file.name}.{os.getpid()}-{secrets.token_hex(4)}")
        try:
            with temporary.open("w") as file:
                file.write(record.to_json())
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self.alias_file)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise ReleaseError(
                f"{self.alias_file} cannot be written ({error.strerror or error}), so the champion is what it was: "
                "free space or grant access, and run it again."
            ) from error
        _sync(self.folder)

    def _append(self, records: Sequence[Release]) -> None:
        with self.history_file.open("ab") as file:
            file.write("".join(record.to_json() for record in records).encode())
            file.flush()
            os.fsync(file.fileno())

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock, which ends with the process that holds it, however that ends."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            fd = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise ReleaseError(f"{self.folder} cannot be written ({error.strerror or error}): grant access.") from error
        try:
            deadline = time.monotonic() + LOCK_SECONDS
            while True:
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise ReleaseError(
                            f"Another release holds {self.folder / 'lock'} for {LOCK_SECONDS:.0f} s already: "
                            "wait for it or end it, and run this again."
                        ) from None
                    time.sleep(0.05)
            yield
        finally:
            os.close(fd)


def before(history: Sequence[Release]) -> Release | None:
    """The champion that a rollback goes back to; None where there is none.

    Releases are undone one after the other: of A, B, C and a rollback to B, the next rollback goes to A.
    """
    stack: list[Release] = []
    for record in history:
        if record.action == "rollback" and any(earlier.tag == record.tag for earlier in stack):
            while stack[-1].tag != record.tag:
                stack.pop()
        else:
            stack.append(record)
    return stack[-2] if len(stack) > 1 else None


def _overtaken(current: Release | None) -> str:
    if current is None:
        return "The record of the champion went away while this ran: look at `tabular-bento history`."
    return (
        f"{current.tag} became the champion at {current.time}, by {current.by}, while this ran: look at "
        "`tabular-bento history`, and run it again if it is still wanted."
    )


def _operator() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
