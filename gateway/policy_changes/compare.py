"""Two policies held against each other, for the command and for the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.policy.decide import Policy
from gateway.policy.tabled import TabledPolicy
from gateway.policy_changes.changes import Part, changed, differing
from gateway.policy_changes.files import table_changes
from gateway.policy_changes.past import Verdicts
from gateway.policy_changes.words import as_text


@dataclass(frozen=True, slots=True)
class Compared:
    """What differs from the old policy to the new one."""

    old: TabledPolicy
    new: TabledPolicy
    parts: Sequence[Part]
    tables: Sequence[str]

    @property
    def changes(self) -> bool:
        """Whether anything does."""
        return changed(self.parts) or bool(self.tables)

    def text(self, past: Verdicts | None = None) -> str:
        """All of it; with what past decisions would have become, where they were judged."""
        return as_text(self.parts, self.tables, past, (self.old.rules, self.new.rules))


def compare(before: Policy, after: Policy) -> Compared:
    """Walks over every circumstance that there is: seconds of work."""
    old = TabledPolicy(before)
    new = TabledPolicy(after, like=old)
    return Compared(old, new, differing(old, new) if old.archive != new.archive else [], table_changes(old, new))
