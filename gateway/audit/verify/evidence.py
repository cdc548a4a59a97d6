"""What is verified, as it lies there: raw columns and bytes of a store or of exported files, with nothing interpreted.

Reading is plain and synchronous, since the rows are read in processes of their own. Nothing here trusts what it reads:
a value may have any type, and a part that can't be read at all raises `Unreadable`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final, Protocol

RawRow = tuple[Any, ...]
"""The columns that `COLUMNS` names."""

COLUMNS: Final = (
    "seq", "kind", "patient", "patient_seq", "request_id", "at", "organisation", "user_id", "caller", "row", "salt",
    "commitment", "head",
)  # fmt: skip
"""The journal's. What a row holds comes last, so that the others can be read without it."""


RawRecord = Mapping[str, Any]
"""A record of another table, by the names of its columns."""


class Unreadable(Exception):
    """Bytes that can't be read as what they should be. The text says what, and why."""


@dataclass(frozen=True, slots=True)
class Extent:
    """How far the journal reaches: its lowest and highest number, and how many rows there are."""

    count: int
    lowest: int
    highest: int


class Evidence(Protocol):
    """Everything that a verification reads. Every method raises Unreadable."""

    @property
    def has_working_state(self) -> bool:
        """Whether it has what a store keeps to work with, beside the rows: subtree roots, frontier, map nodes."""
        ...

    @property
    def has_content(self) -> bool:
        """False for a witness's copy: leaves and checkpoints alone."""
        ...

    @property
    def elsewhere(self) -> Place:
        """The same, for another process to open: of the same moment where the store can do that."""
        ...

    def flaws(self) -> list[str]:
        """What is wrong with the container itself: a damaged page, an index that lacks a row, a trigger that's gone."""
        ...

    def extent(self) -> Extent:
        """How many rows there are."""
        ...

    def rows(self, after: int, until: int) -> Iterator[RawRow]:
        """Rows numbered over `after` and up to `until`, in order."""
        ...

    def checkpoints(self) -> list[tuple[Any, Any]]:
        """Size and note of each kept checkpoint, in order of size."""
        ...

    def records(self, table: str) -> Iterator[RawRecord]:
        """The records of `sharing_choice`, `permission`, `privacy_case` or `case_entry`, in the order in which they
        were committed."""
        ...

    def subtrees(self) -> Iterator[tuple[Any, Any, Any]]:
        """Level, index and hash of each kept subtree root."""
        ...

    def frontier(self) -> tuple[Any, Any] | None:
        """The log's size and its right edge, as they are kept; None where they aren't."""
        ...

    def policies(self) -> Iterator[tuple[Any, Any]]:
        """Hash and content of each policy that was kept."""
        ...

    def map_nodes(self) -> Iterator[tuple[Any, Any]]:
        """Path and bytes of each node of the patients' map."""
        ...


class Place(Protocol):
    """Where evidence lies. It can be sent to another process, which opens it for itself."""

    def open(self) -> AbstractContextManager[Evidence]:
        """Open it to read. Raises Unreadable."""
        ...
