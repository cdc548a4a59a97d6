"""Reading and writing the tables, one function a statement. Transactions are the business of the callers."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from gateway.audit.row import Kind, Row
from gateway.choice.model import Basis, Channel, Choice, Permission, Scope, SharingChoice, StatedBy
from gateway.store.interface import Kept
from gateway.store.moments import from_micros, to_micros

_ROW: Final = msgspec.json.Decoder(Row)

_INSERT_ROW: Final = "INSERT INTO journal VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_INSERT_CHOICE: Final = "INSERT INTO sharing_choice VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_INSERT_PERMISSION: Final = "INSERT INTO permission VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_CHOICES: Final = (
    "SELECT id, patient, sealed_patient, choice, stated_by, channel, recorded_by, recorded_by_name, organisation, "
    "recorded_at FROM sharing_choice "
)
_PERMISSIONS: Final = (
    "SELECT id, patient, sealed_patient, caller, organisation, basis, scope, reason, granted_at, expires_at, "
    "withdrawn_at FROM permission "
)
_ROWS: Final = "SELECT seq, row FROM journal WHERE {} ORDER BY seq LIMIT ?"
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
_PULSE: Final = "INSERT INTO pulse VALUES (1, ?) ON CONFLICT (only) DO UPDATE SET at = excluded.at"


def canonical(row: Row) -> bytes:
    """The bytes that the journal keeps: JSON with sorted keys, so that equal rows have equal bytes."""
    return msgspec.json.encode(row, order="sorted")


def append(connection: sqlite3.Connection, row: Row) -> int:
    """Append one row under the next number. Every row of the journal comes through here, and nowhere else."""
    at = to_micros(row.at)
    who = row.who
    (seq,) = connection.execute("SELECT coalesce(max(seq), 0) + 1 FROM journal").fetchone()
    connection.execute(
        _INSERT_ROW,
        (
            seq,
            row.kind.value,
            row.patient,
            row.request_id,
            at,
            who.organisation if who else None,
            who.user_id if who else None,
            canonical(row),
        ),
    )
    return int(seq)


def select_rows(
    connection: sqlite3.Connection, wanted: Mapping[str, Any], kinds: frozenset[Kind] | None, limit: int
) -> list[Kept]:
    """Rows that meet every condition of `wanted` (by the names of `_CONDITIONS`; None asks for nothing), in order."""
    asked = {name: value for name, value in wanted.items() if value is not None}
    texts = [_CONDITIONS[name] for name in asked]
    values = list(asked.values())
    if kinds is not None:
        texts.append(f"kind IN ({', '.join('?' * len(kinds))})")
        values.extend(sorted(kinds))
    found = connection.execute(_ROWS.format(" AND ".join(texts)), (*values, limit))
    return [Kept(seq, _ROW.decode(row)) for seq, row in found.fetchall()]


def kept_value(connection: sqlite3.Connection, name: str) -> str | None:
    found = connection.execute("SELECT value FROM kept WHERE name = ?", (name,)).fetchone()
    return str(found[0]) if found else None


def keep_value(connection: sqlite3.Connection, name: str, value: str) -> None:
    connection.execute("INSERT INTO kept VALUES (?, ?)", (name, value))


def sealed_patients(connection: sqlite3.Connection) -> set[str]:
    """The patients of every sharing choice, and of the newest row that names one; "" where that row can't say whom."""
    sealed = {value for (value,) in connection.execute("SELECT DISTINCT sealed_patient FROM sharing_choice")}
    newest = connection.execute("SELECT row FROM journal WHERE patient IS NOT NULL ORDER BY seq DESC LIMIT 1")
    return sealed | {_ROW.decode(row).sealed_patient or "" for (row,) in newest}


def insert_choice(connection: sqlite3.Connection, choice: SharingChoice) -> None:
    connection.execute(
        _INSERT_CHOICE,
        (
            choice.id,
            choice.patient,
            choice.sealed_patient,
            choice.choice.value,
            choice.stated_by.value,
            choice.channel.value,
            choice.recorded_by,
            choice.recorded_by_name,
            choice.organisation,
            to_micros(choice.recorded_at),
        ),
    )


def select_choices(connection: sqlite3.Connection, patient: str) -> list[SharingChoice]:
    """Oldest first, in the order in which they were committed: that order, and not a clock, says which holds."""
    found = connection.execute(_CHOICES + "WHERE patient = ? ORDER BY number", (patient,))
    return [_choice(*record) for record in found.fetchall()]


def current_choice(connection: sqlite3.Connection, patient: str) -> SharingChoice | None:
    found = connection.execute(_CHOICES + "WHERE patient = ? ORDER BY number DESC LIMIT 1", (patient,)).fetchall()
    return _choice(*found[0]) if found else None


def _choice(*record: Any) -> SharingChoice:
    id_, patient, sealed, choice, stated_by, channel, by, by_name, organisation, at = record
    return SharingChoice(
        id=id_,
        patient=patient,
        sealed_patient=sealed,
        choice=Choice(choice),
        stated_by=StatedBy(stated_by),
        channel=Channel(channel),
        recorded_by=by,
        recorded_by_name=by_name,
        organisation=organisation,
        recorded_at=from_micros(at),
    )


def insert_permission(connection: sqlite3.Connection, permission: Permission) -> None:
    ended = permission.withdrawn_at
    connection.execute(
        _INSERT_PERMISSION,
        (
            permission.id,
            permission.patient,
            permission.sealed_patient,
            permission.caller,
            permission.organisation,
            permission.basis.value,
            permission.scope.value,
            permission.reason,
            to_micros(permission.granted_at),
            to_micros(permission.expires_at),
            to_micros(ended) if ended else None,
        ),
    )


def end_permission(connection: sqlite3.Connection, permission_id: str, moment: datetime) -> bool:
    """False where it had ended already, or never was."""
    at = to_micros(moment)
    ended = connection.execute(
        "UPDATE permission SET withdrawn_at = ? WHERE id = ? AND withdrawn_at IS NULL AND expires_at > ?",
        (at, permission_id, at),
    )
    return ended.rowcount == 1


def permission_by_id(connection: sqlite3.Connection, permission_id: str) -> Permission | None:
    found = connection.execute(_PERMISSIONS + "WHERE id = ?", (permission_id,)).fetchall()
    return _permission(*found[0]) if found else None


def permissions_of(connection: sqlite3.Connection, caller: str) -> list[Permission]:
    found = connection.execute(_PERMISSIONS + "WHERE caller = ? ORDER BY number DESC", (caller,))
    return [_permission(*record) for record in found.fetchall()]


def permissions_about(connection: sqlite3.Connection, patient: str) -> list[Permission]:
    found = connection.execute(_PERMISSIONS + "WHERE patient = ? ORDER BY number DESC", (patient,))
    return [_permission(*record) for record in found.fetchall()]


def permission_for(connection: sqlite3.Connection, caller: str, patient: str, moment: datetime) -> Permission | None:
    """The newest that hasn't expired, if it holds (`Permission.holds_at`). An older one never stands in for it.

    What was asked last replaces what was asked before, and a withdrawal holds until the patient is asked again.
    """
    found = connection.execute(
        _PERMISSIONS + "WHERE caller = ? AND patient = ? AND expires_at > ? ORDER BY number DESC LIMIT 1",
        (caller, patient, to_micros(moment)),
    )
    newest = [_permission(*record) for record in found.fetchall()]
    return newest[0] if newest and newest[0].holds_at(moment) else None


def _permission(*record: Any) -> Permission:
    id_, patient, sealed, caller, organisation, basis, scope, reason, granted, expires, withdrawn = record
    return Permission(
        id=id_,
        patient=patient,
        sealed_patient=sealed,
        caller=caller,
        organisation=organisation,
        basis=Basis(basis),
        scope=Scope(scope),
        reason=reason,
        granted_at=from_micros(granted),
        expires_at=from_micros(expires),
        withdrawn_at=None if withdrawn is None else from_micros(withdrawn),
    )


def touch(connection: sqlite3.Connection, moment: datetime) -> None:
    """Write something that means nothing: proof that a row could be written."""
    connection.execute(_PULSE, (to_micros(moment),))
