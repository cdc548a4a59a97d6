"""What both databases have in common as evidence: the same tables, read with the same statements."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, Final

from gateway.audit.verify.evidence import COLUMNS, Extent, Place, RawRecord, RawRow

_JOURNAL: Final = ", ".join(COLUMNS)
_ROWS: Final = f"SELECT {_JOURNAL} FROM journal WHERE seq > ? AND seq <= ? ORDER BY seq"  # noqa: S608
_EXTENT: Final = "SELECT count(*), min(seq), max(seq) FROM journal"
_RECORDS: Final[Mapping[str, str]] = {
    "sharing_choice": "SELECT * FROM sharing_choice ORDER BY number",
    "permission": "SELECT * FROM permission ORDER BY number",
    "privacy_case": "SELECT * FROM privacy_case ORDER BY number",
    "case_entry": "SELECT * FROM case_entry ORDER BY case_id, number",
}


class SqlEvidence(ABC):
    """`Evidence` out of a store's tables."""

    has_working_state = True
    has_content = True

    def __init__(self, place: Place) -> None:
        self.elsewhere = place

    @abstractmethod
    def flaws(self) -> list[str]:
        """What is wrong with the database itself."""

    @abstractmethod
    def _each(self, sql: str, values: tuple[int, ...] = ()) -> Iterator[tuple[Any, ...]]:
        """What a statement (with `?`) finds. Raises Unreadable."""

    @abstractmethod
    def _columns(self, table: str) -> list[str]:
        """The names of a table's columns, in its own order. Raises Unreadable."""

    def extent(self) -> Extent:
        """How many rows there are."""
        ((count, lowest, highest),) = self._each(_EXTENT)
        return Extent(count, lowest or 0, highest or 0)

    def rows(self, after: int, until: int) -> Iterator[RawRow]:
        """Rows in order."""
        return self._each(_ROWS, (after, until))

    def checkpoints(self) -> list[tuple[Any, Any]]:
        """Size and note."""
        return [(size, note) for size, note in self._each("SELECT size, note FROM checkpoint ORDER BY size")]

    def records(self, table: str) -> Iterator[RawRecord]:
        """A table's records."""
        names = self._columns(table)
        for values in self._each(_RECORDS[table]):
            yield dict(zip(names, values, strict=True))

    def subtrees(self) -> Iterator[tuple[Any, Any, Any]]:
        """Level, number and hash."""
        yield from self._each("SELECT level, number, hash FROM subtree ORDER BY level, number")

    def frontier(self) -> tuple[Any, Any] | None:
        """Size and right edge."""
        found = [(size, frontier) for size, frontier in self._each("SELECT size, frontier FROM log_state")]
        return found[0] if len(found) == 1 else None

    def policies(self) -> Iterator[tuple[Any, Any]]:
        """Hash and content."""
        yield from self._each("SELECT hash, content FROM policy ORDER BY hash")

    def map_nodes(self) -> Iterator[tuple[Any, Any]]:
        """Path and node."""
        yield from self._each("SELECT path, node FROM map_node")
