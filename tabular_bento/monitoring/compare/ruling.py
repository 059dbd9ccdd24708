"""What speaks against a candidate, and what it comes to."""

from __future__ import annotations

from dataclasses import dataclass, field

from tabular_bento.monitoring.compare.result import Verdict


@dataclass
class Ruling:
    """What was found against the candidate, and what could not be told; in plain words.

    What refuses wins over what cannot be told.
    """

    refusals: list[str] = field(default_factory=list)
    unclear: list[str] = field(default_factory=list)
    praise: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> Verdict:
        if self.refusals:
            return "refused"
        return "cannot_tell" if self.unclear else "accepted"

    @property
    def reasons(self) -> list[str]:
        return [*self.refusals, *self.unclear] or self.praise
