"""What a verification found: in plain words, with the row it concerns, and never a row's content."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

MOST: Final = 200
"""Findings that are kept of one part of a journal: a store that is wrong in a million rows is wrong."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that isn't as it must be. `seq` is the row's number; None where it is about something else."""

    seq: int | None
    what: str

    def __str__(self) -> str:
        return f"row {self.seq:,}: {self.what}" if self.seq is not None else self.what


@dataclass(slots=True)
class Findings:
    """Findings in the order in which they were made: the first `MOST`, and how many more there were."""

    kept: list[Finding] = field(default_factory=list)
    more: int = 0

    def add(self, seq: int | None, what: str) -> None:
        """Keep it, or count it."""
        if len(self.kept) < MOST:
            self.kept.append(Finding(seq, what))
        else:
            self.more += 1

    def take(self, others: Findings) -> None:
        """All of another part's."""
        for one in others.kept:
            self.add(one.seq, one.what)
        self.more += others.more

    def __bool__(self) -> bool:
        return bool(self.kept)


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome: what was checked and what isn't covered, a sentence each, and what was found."""

    checked: tuple[str, ...]
    findings: tuple[Finding, ...]
    more: int = 0

    @property
    def holds(self) -> bool:
        """True where nothing was found."""
        return not self.findings

    def told(self) -> str:
        """For people: what was checked, then each finding in a line."""
        lines = [*self.checked]
        if self.holds:
            return "\n".join([*lines, "The journal is whole and unchanged, as far as it is signed."])
        lines.append("The journal does NOT hold:")
        lines += [f"  {finding}" for finding in self.findings]
        lines += [f"  and {self.more:,} more"] if self.more else []
        return "\n".join(lines)


def rows_named(first: int, last: int) -> str:
    """`row 7` or `rows 7-1,000`."""
    return f"row {first:,}" if first == last else f"rows {first:,}-{last:,}"
