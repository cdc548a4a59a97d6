"""Sessions of launched viewers. Nothing of the journal: they are forgotten when they end."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from gateway.store.connection import Connection
from gateway.store.moments import from_micros, to_micros
from gateway.store.parts.sessions import KeptSession

_INSERT: Final = "INSERT INTO viewer_session (id, sealed, idle_until, ends_at) VALUES (?, ?, ?, ?)"
_SELECT: Final = "SELECT id, sealed, idle_until, ends_at FROM viewer_session WHERE id = ?"
_TOUCH: Final = (
    "UPDATE viewer_session SET idle_until = CASE WHEN ends_at < ? THEN ends_at ELSE ? END "
    "WHERE id = ? AND idle_until < ?"
)
_DELETE: Final = "DELETE FROM viewer_session WHERE id = ?"
_FORGET: Final = "DELETE FROM viewer_session WHERE idle_until <= ?"
"""An idle time never ends after its session."""


def keep_session(connection: Connection, session: KeptSession, now: datetime, instead_of: str | None) -> None:
    connection.execute(_FORGET, (to_micros(now),))
    if instead_of is not None:
        connection.execute(_DELETE, (instead_of,))
    moments = (to_micros(session.idle_until), to_micros(session.ends_at))
    connection.execute(_INSERT, (session.id, session.sealed, *moments))


def session_by_id(connection: Connection, session_id: str) -> KeptSession | None:
    found = connection.execute(_SELECT, (session_id,)).fetchall()
    if not found:
        return None
    kept_id, sealed, idle_until, ends_at = found[0]
    return KeptSession(id=kept_id, sealed=sealed, idle_until=from_micros(idle_until), ends_at=from_micros(ends_at))


def touch_session(connection: Connection, session_id: str, idle_until: datetime) -> None:
    until = to_micros(idle_until)
    connection.execute(_TOUCH, (until, until, session_id, until))


def end_session(connection: Connection, session_id: str) -> bool:
    return connection.execute(_DELETE, (session_id,)).rowcount == 1
