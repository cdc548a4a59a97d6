"""Erasing rows: what stood in them and whom they name besides the patient's tag goes; number, leaf and chain stay."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from gateway.audit.erased import Left, left_of
from gateway.store.connection import Connection, placeholders
from gateway.store.moments import to_micros

_ERASABLE: Final = (
    "row IS NOT NULL AND kind <> 'erased' AND NOT (kind = 'sharing-choice' AND NOT EXISTS ("
    "SELECT 1 FROM journal AS later WHERE later.patient = journal.patient AND later.kind = 'sharing-choice' "
    "AND later.patient_seq > journal.patient_seq))"
)
"""Neither what says that something was erased, nor the row of a sharing choice in force: the patient's newest."""

_CANDIDATES: Final = "SELECT seq FROM journal WHERE seq > ? AND seq <= ?{} AND {} ORDER BY seq LIMIT ?"
_STILL: Final = "SELECT seq, kind, at, row FROM journal WHERE seq IN ({}) AND {} ORDER BY seq"
_ERASE: Final = (
    "UPDATE journal SET row = NULL, salt = NULL, request_id = '', organisation = NULL, user_id = NULL, caller = NULL "
    "WHERE seq IN ({})"
)


def erasable(
    connection: Connection, before: datetime | None, patient: str | None, after: int, until: int, limit: int
) -> list[int]:
    """Numbers of rows in the span (`after` exclusive, `until` inclusive) that may be erased, in order."""
    texts, values = "", list[int | str]()
    if before is not None:
        texts, values = f"{texts} AND at < ?", [*values, to_micros(before)]
    if patient is not None:
        texts, values = f"{texts} AND patient = ?", [*values, patient]
    found = connection.execute(_CANDIDATES.format(texts, _ERASABLE), (after, until, *values, limit))
    return [seq for (seq,) in found.fetchall()]


def erase(connection: Connection, seqs: Sequence[int]) -> list[Left]:
    """Erase those of the rows that may be erased still; what is left of them."""
    if not seqs:
        return []
    found = connection.execute(_STILL.format(placeholders(len(seqs)), _ERASABLE), seqs).fetchall()
    left = [left_of(seq, kind, at, bytes(row)) for seq, kind, at, row in found]
    if left:
        connection.execute(_ERASE.format(placeholders(len(left))), [row.seq for row in left])
    return left
