"""The Merkle log's right edge, and the roots of its complete subtrees of 256, 65,536, … leaves.

Leaves aren't kept: each is made again from its row's number, patient and commitment.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from gateway.audit.log.leaf import HASH_BYTES, Leaf
from gateway.audit.log.tree import EMPTY_ROOT, Frontier, node_hash
from gateway.store.connection import Connection
from gateway.store.kept import LogDamaged

_BITS: Final = 8
_WIDTH: Final = 1 << _BITS
"""Leaves, or roots of the level below, under one kept root."""

_HEAD: Final = "SELECT size, frontier FROM log_state"
_MOVE_HEAD: Final = "UPDATE log_state SET size = ?, frontier = ?"
_INSERT_SUBTREE: Final = "INSERT INTO subtree (level, number, hash) VALUES (?, ?, ?)"
_SUBTREES: Final = "SELECT hash FROM subtree WHERE level = ? AND number >= ? AND number < ? ORDER BY number"
_LEAVES: Final = "SELECT seq, patient, patient_seq, commitment FROM journal WHERE seq > ? AND seq <= ? ORDER BY seq"


def head(connection: Connection) -> Frontier:
    """The log's right edge as the last committed batch left it. Raises LogDamaged."""
    found = connection.execute(_HEAD).fetchall()
    try:
        ((size, encoded),) = found
        frontier = Frontier.from_bytes(encoded)
    except ValueError as error:
        raise LogDamaged("the log's right edge can't be read") from error
    if frontier.size != size:
        raise LogDamaged(f"the log's right edge is that of {frontier.size} rows, not of {size}")
    return frontier


def move_head(connection: Connection, frontier: Frontier) -> None:
    """Keep the log's new right edge."""
    connection.execute(_MOVE_HEAD, (frontier.size, frontier.to_bytes()))


def grow(connection: Connection, frontier: Frontier, leaf_hash: bytes) -> Frontier:
    """The log with one more leaf; the root of each subtree that it completes is kept."""
    grown, level = frontier.append(leaf_hash), 1
    while grown.size % (1 << _BITS * level) == 0:
        # All that stands in the subtree before this leaf are its left halves, which the old edge ends with.
        root = leaf_hash
        for left in frontier.hashes[: -_BITS * level - 1 : -1]:
            root = node_hash(left, root)
        connection.execute(_INSERT_SUBTREE, (level, (grown.size >> _BITS * level) - 1, root))
        level += 1
    return grown


def range_hash(connection: Connection, first: int, last: int) -> bytes:
    """The hash of the leaves `first` (0-based, inclusive) to `last` (exclusive), as RFC 6962, section 2.1, has it.

    `first` is a multiple of the smallest power of two that isn't under `last - first`, as in every proof. Raises
    ValueError for another span, and LogDamaged where part of it isn't there.
    """
    if not 0 <= first <= last or (last > first and first % (1 << (last - first - 1).bit_length())):
        raise ValueError(f"no proof needs the leaves {first} to {last}")
    stack: list[tuple[int, bytes]] = []
    for height, node in _nodes(connection, first, last):
        merged = node
        while stack and stack[-1][0] == height:
            merged = node_hash(stack.pop()[1], merged)
            height += 1
        stack.append((height, merged))
    return _folded([node for _, node in stack])


def _folded(nodes: list[bytes]) -> bytes:
    if not nodes:
        return EMPTY_ROOT
    root = nodes.pop()
    while nodes:
        root = node_hash(nodes.pop(), root)
    return root


def _nodes(connection: Connection, first: int, last: int) -> Iterator[tuple[int, bytes]]:
    """(height, hash) of complete subtrees that make up the span, from the left: the greatest that are kept come first,
    and the leaves, under 256 of them, last."""
    for level in range(_highest(last - first), 0, -1):
        end = last >> _BITS * level
        yield from _subtrees(connection, level, first >> _BITS * level, end)
        first = end << _BITS * level
    yield from _leaves(connection, first, last)


def _highest(leaves: int) -> int:
    """The highest level with a complete subtree in a span of so many leaves."""
    return max(0, (leaves.bit_length() - 1) // _BITS)


def _subtrees(connection: Connection, level: int, first: int, last: int) -> Iterator[tuple[int, bytes]]:
    found = connection.execute(_SUBTREES, (level, first, last)).fetchall()
    if len(found) != last - first:
        raise LogDamaged(f"of the roots of level {level} from {first} to {last}, {len(found)} are kept")
    for (root,) in found:
        yield _BITS * level, root


def _leaves(connection: Connection, first: int, last: int) -> Iterable[tuple[int, bytes]]:
    found = connection.execute(_LEAVES, (first, last)).fetchall()
    if len(found) != last - first:
        raise LogDamaged(f"of the rows {first + 1} to {last}, {len(found)} are there", first + 1)
    return [(0, leaf_of(*columns).hash()) for columns in found]


def leaf_of(seq: int, patient: str | None, patient_seq: int, commitment: Any) -> Leaf:
    """A row's leaf. Raises LogDamaged where its columns can't be one's."""
    try:
        tag = bytes.fromhex(patient) if patient is not None else None
    except ValueError as error:
        raise LogDamaged(f"row {seq} names no patient that could be one", seq) from error
    if patient_seq < 0 or len(commitment) != HASH_BYTES or (tag is not None and len(tag) != HASH_BYTES):
        raise LogDamaged(f"row {seq} has no leaf that could be one", seq)
    return Leaf(seq, tag, patient_seq, bytes(commitment))
