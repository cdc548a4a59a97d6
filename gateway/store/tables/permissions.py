"""Permissions at the point of care: given once, and ended once at most."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from gateway.choice.model import Basis, Permission, Scope
from gateway.store.connection import Connection
from gateway.store.moments import from_micros, to_micros

_INSERT: Final = (
    "INSERT INTO permission (number, id, patient, sealed_patient, caller, organisation, basis, scope, reason, "
    "granted_at, expires_at, withdrawn_at, reason_code, extends) VALUES ("
    "(SELECT coalesce(max(number), 0) + 1 FROM permission), ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_SELECT: Final = (
    "SELECT id, patient, sealed_patient, caller, organisation, basis, scope, reason, granted_at, expires_at, "
    "withdrawn_at, reason_code, extends FROM permission WHERE "
)
_UNENDED: Final = _SELECT + "patient = ? AND withdrawn_at IS NULL AND expires_at > ? ORDER BY number"
_NEWEST: Final = (
    _SELECT + "caller = ? AND patient = ? AND (expires_at > ? OR withdrawn_at IS NOT NULL) ORDER BY number DESC LIMIT 1"
)
_END: Final = "UPDATE permission SET withdrawn_at = ? WHERE id = ? AND withdrawn_at IS NULL AND expires_at > ?"


def insert_permission(connection: Connection, permission: Permission) -> None:
    ended = permission.withdrawn_at
    connection.execute(
        _INSERT,
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
            permission.reason_code,
            permission.extends,
        ),
    )


def end_permission(connection: Connection, permission_id: str, moment: datetime) -> bool:
    """False where it had ended already, or never was."""
    at = to_micros(moment)
    return connection.execute(_END, (at, permission_id, at)).rowcount == 1


def end_permissions(connection: Connection, patient: str, moment: datetime) -> list[Permission]:
    """End all about the patient that haven't ended; as they stand after, oldest first."""
    unended = connection.execute(_UNENDED, (patient, to_micros(moment))).fetchall()
    ids = [_permission(*record).id for record in unended]
    ended = [permission_by_id(connection, one) for one in ids if end_permission(connection, one, moment)]
    return [permission for permission in ended if permission is not None]


def permission_by_id(connection: Connection, permission_id: str) -> Permission | None:
    found = connection.execute(_SELECT + "id = ?", (permission_id,)).fetchall()
    return _permission(*found[0]) if found else None


def permissions_of(connection: Connection, caller: str) -> list[Permission]:
    """Newest first."""
    found = connection.execute(_SELECT + "caller = ? ORDER BY number DESC", (caller,))
    return [_permission(*record) for record in found.fetchall()]


def permissions_about(connection: Connection, patient: str) -> list[Permission]:
    """Newest first."""
    found = connection.execute(_SELECT + "patient = ? ORDER BY number DESC", (patient,))
    return [_permission(*record) for record in found.fetchall()]


def permission_for(connection: Connection, caller: str, patient: str, moment: datetime) -> Permission | None:
    """The newest that didn't just run out (`Permission.ran_out`), if it holds. An older one never stands in for it.

    What was asked last replaces what was asked before, and a withdrawal holds until the patient is asked again: also
    when the time is over that the one which was withdrawn would have had.
    """
    found = connection.execute(_NEWEST, (caller, patient, to_micros(moment)))
    newest = [_permission(*record) for record in found.fetchall()]
    return newest[0] if newest and newest[0].holds_at(moment) else None


def _permission(*record: Any) -> Permission:
    id_, patient, sealed, caller, organisation, basis, scope, reason, granted, expires, withdrawn, code, extends = (
        record
    )
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
        reason_code=code,
        extends=extends,
    )
