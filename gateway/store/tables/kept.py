"""What is kept under a name: the key's fingerprint, the policies that hashes name, and the pulse."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from gateway.store.connection import Connection
from gateway.store.moments import to_micros

_PULSE: Final = "INSERT INTO pulse (one, at) VALUES (1, ?) ON CONFLICT (one) DO UPDATE SET at = excluded.at"


def kept_value(connection: Connection, name: str) -> str | None:
    found = connection.execute("SELECT value FROM kept WHERE name = ?", (name,)).fetchone()
    return str(found[0]) if found else None


def keep_value(connection: Connection, name: str, value: str) -> None:
    connection.execute("INSERT INTO kept (name, value) VALUES (?, ?)", (name, value))


def policy(connection: Connection, policy_hash: str) -> bytes | None:
    found = connection.execute("SELECT content FROM policy WHERE hash = ?", (policy_hash,)).fetchone()
    return bytes(found[0]) if found else None


def policy_hashes(connection: Connection) -> list[str]:
    return [str(each) for (each,) in connection.execute("SELECT hash FROM policy ORDER BY hash", ()).fetchall()]


def keep_policy(connection: Connection, policy_hash: str, content: bytes) -> None:
    """Once; what is kept under a hash already stays."""
    if policy(connection, policy_hash) is None:
        connection.execute("INSERT INTO policy (hash, content) VALUES (?, ?)", (policy_hash, content))


def touch(connection: Connection, moment: datetime) -> None:
    """Write something that means nothing: proof that a row could be written."""
    connection.execute(_PULSE, (to_micros(moment),))
