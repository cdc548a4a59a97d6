"""The journal: each row with its leaf in the log, and what it is found by."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from gateway.audit.log.leaf import HASH_BYTES, NO_HEAD, Leaf, chain, commit, new_salt
from gateway.audit.row import Kind, Row
from gateway.store.connection import Connection, placeholders
from gateway.store.kept import Entry, Filed, Holding, Kept, LogDamaged
from gateway.store.moments import from_micros, to_micros
from gateway.store.tables.log import leaf_of
from gateway.store.transaction import Transaction

_ROW: Final = msgspec.json.Decoder(Row)
_TAG: Final = re.compile(r"[0-9a-f]{64}")

_INSERT: Final = (
    "INSERT INTO journal (seq, patient_seq, row, salt, commitment, head, kind, patient, request_id, at, organisation, "
    "user_id, caller) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_NEWEST_OF_PATIENT: Final = "SELECT patient_seq, head FROM journal WHERE patient = ? ORDER BY patient_seq DESC LIMIT 1"
_ROWS: Final = "SELECT seq, row FROM journal WHERE row IS NOT NULL AND {} ORDER BY seq LIMIT ?"
_CONDITIONS: Final = {
    "after": "seq > ?",
    "before": "seq < ?",
    "patient": "patient = ?",
    "user_id": "user_id = ?",
    "organisation": "organisation = ?",
    "request_id": "request_id = ?",
    "since": "at >= ?",
    "until": "at < ?",
}
_ENTRIES: Final = (
    "SELECT seq, patient, patient_seq, commitment, row, salt, head, kind, at, request_id, organisation, user_id "
    "FROM journal WHERE seq > ? AND seq <= ?{} ORDER BY seq LIMIT ?"
)
_HOLDINGS: Final = (
    "SELECT seq, patient, patient_seq, head FROM journal WHERE seq IN (SELECT max(seq) FROM journal "
    "WHERE seq > ? AND seq <= ? AND patient IS NOT NULL GROUP BY patient) ORDER BY seq"
)
_SEEN: Final = "SELECT count(DISTINCT patient) FROM journal WHERE kind = 'release' AND caller = ? AND at >= ?"
_NEWEST_SEALED: Final = (
    "SELECT row FROM journal WHERE patient IS NOT NULL AND row IS NOT NULL ORDER BY seq DESC LIMIT 1"
)


def canonical(row: Row) -> bytes:
    """The bytes that the journal keeps and commits to: JSON with sorted keys, so that equal rows have equal bytes."""
    return msgspec.json.encode(row, order="sorted")


def append(transaction: Transaction, row: Row) -> int:
    """Append one row, and its leaf, under the next number. Every row comes through here, and nowhere else.

    Costs the same whatever the journal's size: the log's right edge is at hand, and the patient's newest row is found
    by index. Raises ValueError for a patient's tag that isn't one.
    """
    kept, salt = canonical(row), new_salt()
    leaf, before = _next_leaf(transaction, row.patient, commit(salt, kept))
    leaf_hash = leaf.hash()
    head = chain(before, leaf_hash) if leaf.patient is not None else None
    values = (leaf.seq, leaf.patient_seq, kept, salt, leaf.commitment, head, *_found_by(row))
    transaction.execute(_INSERT, values)
    transaction.grow(leaf_hash)
    return leaf.seq


def _next_leaf(transaction: Transaction, patient: str | None, commitment: bytes) -> tuple[Leaf, bytes]:
    """The leaf of the next row about the patient, and the head of their chain before it."""
    seq = transaction.head.size + 1
    if patient is None:
        return Leaf(seq, None, 0, commitment), NO_HEAD
    if not _TAG.fullmatch(patient):
        raise ValueError("a patient's tag has 64 hexadecimal digits")
    found = transaction.execute(_NEWEST_OF_PATIENT, (patient,)).fetchall()
    count, before = found[0] if found else (0, NO_HEAD)
    return Leaf(seq, bytes.fromhex(patient), count + 1, commitment), before


def _found_by(row: Row) -> tuple[str, str | None, str, int, str | None, str | None, str | None]:
    """Kind, patient, request id, time, and of who asked: organisation, user and binding key."""
    who = row.who
    asked = (who.organisation, who.user_id, caller_tag(who.key)) if who else (None, None, None)
    return row.kind.value, row.patient, row.request_id, to_micros(row.at), *asked


def caller_tag(key: str) -> str:
    """A caller's binding key in 32 characters, to be counted by."""
    return hashlib.blake2b(key.encode(), digest_size=16).hexdigest()


def select_rows(
    connection: Connection, wanted: Mapping[str, Any], kinds: frozenset[Kind] | None, limit: int
) -> list[Kept]:
    """Rows that meet every condition of `wanted` (by the names of `_CONDITIONS`; None asks for nothing), in order.

    What was erased isn't among them.
    """
    if kinds == frozenset():
        return []
    asked = {name: value for name, value in wanted.items() if value is not None}
    texts = [_CONDITIONS[name] for name in asked]
    values = list(asked.values())
    if kinds is not None:
        texts.append(f"kind IN ({placeholders(len(kinds))})")
        values.extend(sorted(kinds))
    found = connection.execute(_ROWS.format(" AND ".join(texts)), (*values, limit))
    return [Kept(seq, _ROW.decode(row)) for seq, row in found.fetchall()]


def select_entries(connection: Connection, after: int, until: int, patient: str | None, limit: int) -> Sequence[Entry]:
    """The log's rows, erased ones too. Raises LogDamaged for a row that can't be one."""
    whose, values = (" AND patient = ?", [patient]) if patient is not None else ("", [])
    found = connection.execute(_ENTRIES.format(whose), (after, until, *values, limit))
    return [_entry(*columns) for columns in found.fetchall()]


def _entry(
    seq: int, patient: str | None, patient_seq: int, commitment: bytes, row: bytes | None, salt: bytes | None,
    head: bytes | None, kind: str, at: int, request_id: str, organisation: str | None, user_id: str | None,
) -> Entry:  # fmt: skip
    filed = Filed(kind, from_micros(at), request_id, organisation, user_id)
    return Entry(leaf_of(seq, patient, patient_seq, commitment), row, salt, head, filed)


def select_holdings(connection: Connection, after: int, until: int) -> list[Holding]:
    """Of each patient with a row in the span: how many rows there are up to its end, and their chain's head."""
    found = connection.execute(_HOLDINGS, (after, until)).fetchall()
    return [_holding(*columns) for columns in found]


def _holding(seq: int, patient: str, count: int, head: bytes | None) -> Holding:
    if not _TAG.fullmatch(patient) or head is None or len(head) != HASH_BYTES:
        raise LogDamaged(f"row {seq} has no patient's chain that could be one", seq)
    return Holding(bytes.fromhex(patient), count, head)


def patients_seen(connection: Connection, caller: str, since: datetime) -> int:
    """How many different patients were released to the caller since."""
    ((count,),) = connection.execute(_SEEN, (caller_tag(caller), to_micros(since))).fetchall()
    return int(count)


def newest_sealed_patient(connection: Connection) -> str | None:
    """The sealed patient of the newest row that names one; "" where that row can't say whom; None without a row."""
    found = connection.execute(_NEWEST_SEALED).fetchall()
    return (_ROW.decode(found[0][0]).sealed_patient or "") if found else None
