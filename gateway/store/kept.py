"""What a store hands out of the journal and of its log; and what it raises where it can't be opened or read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from gateway.audit.log.leaf import Leaf
from gateway.audit.row import Row


@dataclass(frozen=True, slots=True)
class Kept:
    """A row as the journal keeps it: dense sequence number from 1, and the row."""

    seq: int
    row: Row


@dataclass(frozen=True, slots=True)
class Filed:
    """Under what a row is found: copies of what stands in it, since nobody can search in what is only committed to.
    The rest but `kind` and `at` is empty once the row is erased."""

    kind: str
    at: datetime
    request_id: str
    organisation: str | None
    user_id: str | None

    @classmethod
    def under(cls, row: Row) -> Filed:
        """Where the row belongs."""
        who = row.who
        return cls(
            kind=row.kind.value,
            at=row.at,
            request_id=row.request_id,
            organisation=who.organisation if who else None,
            user_id=who.user_id if who else None,
        )


@dataclass(frozen=True, slots=True)
class Entry:
    """A row as the log holds it. `row` are the very bytes that were committed to, `salt` opens the commitment; both are
    None once the row is erased. `head` is the patient's chain (`leaf.chain`) up to and with this row; None without one.
    `filed` is what the row is found by: whoever alters only that hides a row from a search, though not from the log.
    """

    leaf: Leaf
    row: bytes | None
    salt: bytes | None
    head: bytes | None
    filed: Filed | None = None


@dataclass(frozen=True, slots=True)
class Holding:
    """What the log holds of one patient up to a size: how many rows, and the head of their chain."""

    patient: bytes
    count: int
    head: bytes


@dataclass(frozen=True, slots=True)
class KeptCheckpoint:
    """A signed checkpoint as the store keeps it: `note` is the whole signed text."""

    size: int
    note: str


class StoreUnusable(Exception):
    """The store can't be opened, so the gateway doesn't start. The text says why, and what to do."""


class LogDamaged(Exception):
    """The store doesn't hold what its log is made of: somebody has been at it. `seq` is the row, or the first one, that
    can't be read as what was written; None where it is something else than a row."""

    def __init__(self, told: str, seq: int | None = None) -> None:
        super().__init__(told)
        self.seq = seq
