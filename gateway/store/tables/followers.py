"""How far each follower of the journal has come."""

from __future__ import annotations

from typing import Final

from gateway.store.connection import Connection

_MOVE: Final = (
    "INSERT INTO follower (name, seq) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET seq = excluded.seq "
    "WHERE excluded.seq > follower.seq"
)


def position(connection: Connection, follower: str) -> int:
    found = connection.execute("SELECT seq FROM follower WHERE name = ?", (follower,)).fetchone()
    return int(found[0]) if found else 0


def move_position(connection: Connection, follower: str, seq: int) -> None:
    """Never backwards: of two workers that follow, the slower one mustn't undo what the quicker one has dealt with."""
    connection.execute(_MOVE, (follower, seq))
