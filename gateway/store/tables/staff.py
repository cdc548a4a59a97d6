"""Who is on an organisation's staff, by keyed tag: so that a look at a colleague's record shows."""

from __future__ import annotations

from typing import Final

from gateway.store.connection import Connection

_NOTE: Final = (
    "INSERT INTO staff (organisation, patient, user_id) VALUES (?, ?, ?) ON CONFLICT (organisation, patient, user_id) "
    "DO NOTHING"
)
_WORKS_AT: Final = "SELECT 1 FROM staff WHERE organisation = ? AND patient = ? AND user_id <> ? LIMIT 1"


def note_staff(connection: Connection, organisation: str, user: str, patient: str) -> None:
    connection.execute(_NOTE, (organisation, patient, user))


def works_at(connection: Connection, organisation: str, patient: str, other_than: str) -> bool:
    """Whether somebody else than that user is the patient, on that organisation's staff."""
    return bool(connection.execute(_WORKS_AT, (organisation, patient, other_than)).fetchall())
