"""What must never be done to a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Event = Literal["INSERT", "UPDATE", "DELETE"]


@dataclass(frozen=True, slots=True)
class Rule:
    """A trigger that refuses the event, always or `when` its condition holds, and says why.

    `when` is SQL over NEW and OLD; in it `{differs}` is the database's own null-safe `<>`.
    """

    table: str
    event: Event
    said: str
    when: str = ""

    @property
    def refusal(self) -> str:
        """What the database says."""
        return f"{self.table} is append-only: {self.said}"

    @property
    def name(self) -> str:
        """Of the trigger."""
        return f"{self.table}_{self.event.lower()}"
