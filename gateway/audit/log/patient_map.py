"""The patients' map: for each patient's tag how many rows the log holds, and the head of their chain, under one root.

A checkpoint signs the map's root beside the log's, so that a patient's list of rows can be shown to be complete, and
"there is none" can be shown too. `map_proof` says how this sparse Merkle trie is made and hashed, and verifies;
`map_nodes` how it is stored. Tags are HMACs, which balances the trie at about `log2(patients) + 2`; tags with long
common prefixes make it deep, up to 256, and never wrong.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

from gateway.audit.log.leaf import HASH_BYTES
from gateway.audit.log.map_nodes import (
    ROOT_PATH,
    Get,
    MapDamaged,
    Nodes,
    decode_inner,
    decode_leaf,
    encode_inner,
    encode_leaf,
    hash_of,
    is_inner,
)
from gateway.audit.log.map_proof import (
    EMPTY,
    MOST_ROWS,
    TAG_BITS,
    TAG_BYTES,
    MapProof,
    OtherLeaf,
    bit,
    inner_hash,
    value_hash,
    verify,
)

if TYPE_CHECKING:
    from gateway.store.interface import Holding

__all__ = [
    "EMPTY",
    "ROOT_PATH",
    "Get",
    "MapDamaged",
    "MapProof",
    "OtherLeaf",
    "build",
    "prove",
    "root",
    "updated",
    "verify",
]

_Leaves: TypeAlias = list[tuple[bytes, bytes]]
"""Tags with their encoded leaves, in order of tag, no tag twice."""

_READ_AT_ONCE: Final = 512
_WRITTEN_AT_ONCE: Final = 32
"""How many patients' paths are read, and how many are worked in, before others have their turn: about 2 ms each."""


async def root(get: Get) -> bytes:
    """The root of the stored map."""
    return (await Nodes.along([], get)).root()


async def updated(
    holdings: Sequence[Holding], get: Get, *, expected: bytes | None = None
) -> tuple[bytes, dict[bytes, bytes | None]]:
    """The map with these patients as they are now: its root, and the nodes that changed, by path.

    A leaf that moves down leaves an inner node in its place, so no path is ever emptied. With a `get` that gives
    nothing it's the whole map anew. `expected` is the root that the stored map should have. Raises `MapDamaged`, and
    ValueError for holdings that no map can have.
    """
    leaves = _leaves(holdings)
    found, changes = await root(get), dict[bytes, bytes | None]()
    if expected not in (None, found):
        raise MapDamaged("The stored patients' map doesn't have the root that was expected")
    for start in range(0, len(leaves), _READ_AT_ONCE):
        some = leaves[start : start + _READ_AT_ONCE]
        nodes = await Nodes.along([tag for tag, _ in some], _over(changes, get))
        for place in range(0, len(some), _WRITTEN_AT_ONCE):
            found = _write(nodes, 0, some[place : place + _WRITTEN_AT_ONCE], found)
            await asyncio.sleep(0)
        changes |= nodes.changes
    return found, changes


async def prove(tag: bytes, get: Get, *, expected: bytes | None = None) -> MapProof:
    """What the stored map says of a tag, or that it says nothing, for `verify`. `expected` is the root that the map
    should have. Raises `MapDamaged`."""
    nodes = await Nodes.along([tag], get)
    siblings: list[bytes] = []
    node = nodes.at(tag, 0, expected)
    while is_inner(node):
        children, side = decode_inner(node), bit(tag, len(siblings))
        siblings.append(children[1 - side])
        node = nodes.at(tag, len(siblings), children[side])
    if node is None:
        return MapProof(tuple(siblings))
    found, count, head = decode_leaf(node)
    return MapProof(tuple(siblings), None if found == tag else OtherLeaf(found, value_hash(count, head)))


def build(holdings: Iterable[Holding]) -> bytes:
    """The root of the map of these patients, made from nothing and by no code that `updated` uses."""
    leaves = _leaves(holdings)
    tags = [int.from_bytes(tag, "big") for tag, _ in leaves]
    hashes = [hash_of(node) for _, node in leaves]

    def part(first: int, last: int, start: int, bits: int) -> bytes:
        """The hash of leaves `first` to `last` (exclusive): their tags begin like `start`, but for `bits` bits."""
        if last - first < 2:
            return hashes[first] if first < last else EMPTY
        half = start + (1 << bits - 1)
        middle = bisect_left(tags, half, first, last)
        return inner_hash(part(first, middle, start, bits - 1), part(middle, last, half, bits - 1))

    return part(0, len(tags), 0, TAG_BITS)


def _leaves(holdings: Iterable[Holding]) -> _Leaves:
    leaves: dict[bytes, bytes] = {}
    for held in holdings:
        if len(held.patient) != TAG_BYTES or len(held.head) != HASH_BYTES or not 1 <= held.count <= MOST_ROWS:
            raise ValueError("A holding has a tag and a head of 32 bytes, and counts one row at least")
        leaves[held.patient] = encode_leaf(held.patient, held.count, held.head)
    return sorted(leaves.items())


def _over(changes: dict[bytes, bytes | None], get: Get) -> Get:
    """Nodes as they are after the changes so far."""

    async def changed(paths: Sequence[bytes]) -> dict[bytes, bytes]:
        unchanged = [path for path in paths if path not in changes]
        stored = await get(unchanged) if unchanged else {}
        return stored | {path: node for path in paths if (node := changes.get(path)) is not None}

    return changed


def _write(nodes: Nodes, depth: int, leaves: _Leaves, expected: bytes | None) -> bytes:
    """Put the leaves, all of which belong under one place at this depth, there; returns the hash of that place."""
    tag = leaves[0][0]
    stored = nodes.at(tag, depth, expected)
    if is_inner(stored):
        node = _branch(nodes, depth, leaves, *decode_inner(stored))
    else:
        leaves = _joined(leaves, stored)
        node = leaves[0][1] if len(leaves) == 1 else _branch(nodes, depth, leaves, EMPTY, EMPTY)
    return nodes.put(tag, depth, node)


def _branch(nodes: Nodes, depth: int, leaves: _Leaves, left: bytes, right: bytes) -> bytes:
    """The inner node at this depth, after the leaves are put below it; `left` and `right` are its children so far."""
    middle = sum(not bit(tag, depth) for tag, _ in leaves)
    if middle:
        left = _write(nodes, depth + 1, leaves[:middle], left)
    if middle < len(leaves):
        right = _write(nodes, depth + 1, leaves[middle:], right)
    return encode_inner(left, right)


def _joined(leaves: _Leaves, stored: bytes | None) -> _Leaves:
    """The leaves with the one that stands in their place, unless it's among them in a newer state."""
    if stored is None:
        return leaves
    tag = decode_leaf(stored)[0]
    place = bisect_left(leaves, (tag,))
    if place < len(leaves) and leaves[place][0] == tag:
        return leaves
    return [*leaves[:place], (tag, stored), *leaves[place:]]
