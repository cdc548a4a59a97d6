"""Signed checkpoints, and the nodes of the patients' map as the newest one found it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Final

from gateway.store.connection import Connection, placeholders
from gateway.store.kept import KeptCheckpoint

_AT_ONCE: Final = 500
"""Paths in one statement."""

_NODES: Final = "SELECT path, node FROM map_node WHERE path IN ({})"
_PUT_NODES: Final = "INSERT INTO map_node (path, node) VALUES {} ON CONFLICT (path) DO UPDATE SET node = excluded.node"
_REMOVE_NODE: Final = "DELETE FROM map_node WHERE path = ?"
_INSERT: Final = "INSERT INTO checkpoint (size, note) VALUES (?, ?)"
_SELECT: Final = "SELECT size, note FROM checkpoint WHERE size > ? ORDER BY size LIMIT ?"
_NEWEST: Final = "SELECT size, note FROM checkpoint ORDER BY size DESC LIMIT 1"


def map_nodes(connection: Connection, paths: Sequence[bytes]) -> dict[bytes, bytes]:
    """Those that are there, by path."""
    found: dict[bytes, bytes] = {}
    for first in range(0, len(paths), _AT_ONCE):
        asked = paths[first : first + _AT_ONCE]
        found.update(connection.execute(_NODES.format(placeholders(len(asked))), asked).fetchall())
    return found


def change_nodes(connection: Connection, nodes: Mapping[bytes, bytes | None]) -> None:
    """Put the nodes, and remove those that are None.

    Many in one statement and in order: thousands of them hold up every row that waits for the writing thread.
    """
    kept = sorted((path, node) for path, node in nodes.items() if node is not None)
    gone = [(path,) for path, node in nodes.items() if node is None]
    for first in range(0, len(kept), _AT_ONCE):
        some = kept[first : first + _AT_ONCE]
        connection.execute(_PUT_NODES.format(", ".join(["(?, ?)"] * len(some))), list(chain.from_iterable(some)))
    if gone:
        connection.executemany(_REMOVE_NODE, gone)


def insert_checkpoint(connection: Connection, kept: KeptCheckpoint) -> None:
    connection.execute(_INSERT, (kept.size, kept.note))


def select_checkpoints(connection: Connection, after: int, limit: int) -> list[KeptCheckpoint]:
    return [KeptCheckpoint(*columns) for columns in connection.execute(_SELECT, (after, limit)).fetchall()]


def newest_checkpoint(connection: Connection) -> KeptCheckpoint | None:
    found = connection.execute(_NEWEST).fetchall()
    return KeptCheckpoint(*found[0]) if found else None
