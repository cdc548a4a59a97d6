"""One-time marks and revocations. Nothing of the journal: they are forgotten when they can't matter any more."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from gateway.store.connection import Connection
from gateway.store.moments import from_micros, to_micros
from gateway.store.parts.marks import Mark, Revoked

KEPT_LONGER: Final = timedelta(minutes=5)
"""Workers' clocks differ: what has expired by one of them may still count by another."""

_BURN: Final = "INSERT INTO once (kind, digest, expires) VALUES (?, ?, ?) ON CONFLICT (kind, digest) DO NOTHING"
_REVOKE: Final = (
    "INSERT INTO revoked (kind, digest, issued_until, expires) VALUES (?, ?, ?, ?) "
    "ON CONFLICT (kind, digest) DO UPDATE SET issued_until = excluded.issued_until, expires = excluded.expires "
    "WHERE excluded.issued_until > revoked.issued_until"
)
_ISSUED_UNTIL: Final = "SELECT issued_until FROM revoked WHERE kind = ? AND digest = ?"
_FORGET: Final = (
    "DELETE FROM {0} WHERE (kind, digest) IN (SELECT kind, digest FROM {0} WHERE expires < ? ORDER BY expires LIMIT 64)"
)
"""A few with every one that comes: after a quiet night nobody waits for a great clearing up."""


def burn(connection: Connection, mark: Mark, now: datetime) -> bool:
    _forget(connection, "once", now)
    values = (mark.kind, _digest(mark.value), to_micros(mark.expires))
    return connection.execute(_BURN, values).rowcount == 1


def revoke(connection: Connection, once: Mark, revoked: Sequence[Revoked], now: datetime) -> bool:
    if not burn(connection, once, now):
        return False
    _forget(connection, "revoked", now)
    for each in revoked:
        moments = (to_micros(each.issued_until), to_micros(each.expires))
        connection.execute(_REVOKE, (each.kind, _digest(each.value), *moments))
    return True


def revoked_until(connection: Connection, names: Sequence[tuple[str, str]]) -> datetime | None:
    found = [
        row[0] for kind, value in names for row in connection.execute(_ISSUED_UNTIL, (kind, _digest(value))).fetchall()
    ]
    return from_micros(max(found)) if found else None


def _forget(connection: Connection, table: str, now: datetime) -> None:
    connection.execute(_FORGET.format(table), (to_micros(now - KEPT_LONGER),))


def _digest(value: str) -> bytes:
    return hashlib.sha256(value.encode()).digest()
