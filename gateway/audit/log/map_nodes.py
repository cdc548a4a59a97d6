"""The stored nodes of the patients' map: how they are named and encoded, and how they are read.

An inner node is what its hash is taken of (0x11, left hash, right hash: 65 bytes); a leaf is 0x10, tag, count (8 bytes,
big-endian), head: 73 bytes. A path is a tag's first bits followed by a 1 and by 0s to the end of the byte, so that no
two places share one. Every node that is read is held against the hash that its parent has for it.
"""

from __future__ import annotations

import struct
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, TypeAlias, TypeGuard

from gateway.audit.log.map_proof import EMPTY, INNER_PREFIX, LEAF_PREFIX, TAG_BITS, inner_hash, leaf_hash, value_hash

Get: TypeAlias = Callable[[Sequence[bytes]], Awaitable[dict[bytes, bytes]]]
"""Nodes by path, without those that aren't there: `Store.map_nodes`. It's asked for 1,000 at most at once."""

ROOT_PATH: Final = b"\x80"
_LEAF: Final = struct.Struct(">s32sQ32s")
_INNER: Final = struct.Struct(">s32s32s")
_ENDS: Final = [[bytes((byte & 0xFF00 >> rest & 0xFF | 0x80 >> rest,)) for byte in range(256)] for rest in range(8)]
"""A path's last byte, by how many bits of the tag are in it and by the tag's byte."""
_LEVELS_AT_ONCE: Final = 8
_PATHS_AT_ONCE: Final = 1000


class MapDamaged(Exception):
    """The stored nodes don't fit together, or don't lead to the root that was expected: they were altered, or another
    checkpoint was written while they were read. So read the newest checkpoint and ask once more."""


def path_of(tag: bytes, depth: int) -> bytes:
    """The path of the place that the tag's first `depth` bits lead to."""
    whole, rest = depth >> 3, depth & 7
    return tag[:whole] + (_ENDS[rest][tag[whole]] if rest else ROOT_PATH)


def encode_leaf(tag: bytes, count: int, head: bytes) -> bytes:
    """A patient's node."""
    return _LEAF.pack(LEAF_PREFIX, tag, count, head)


def decode_leaf(node: bytes) -> tuple[bytes, int, bytes]:
    """Tag, count and head."""
    _, tag, count, head = _LEAF.unpack(node)
    return tag, count, head


def encode_inner(left: bytes, right: bytes) -> bytes:
    """A node with two children."""
    return _INNER.pack(INNER_PREFIX, left, right)


def decode_inner(node: bytes) -> tuple[bytes, bytes]:
    """The children's hashes, left and right."""
    _, left, right = _INNER.unpack(node)
    return left, right


def is_inner(node: bytes | None) -> TypeGuard[bytes]:
    """Whether the path goes on below."""
    return node is not None and node[:1] == INNER_PREFIX


def hash_of(node: bytes | None) -> bytes:
    """The hash of a node, or of none. Raises `MapDamaged` for bytes that are neither kind."""
    if node is None:
        return EMPTY
    if node[:1] == INNER_PREFIX and len(node) == _INNER.size:
        return inner_hash(*decode_inner(node))
    if node[:1] == LEAF_PREFIX and len(node) == _LEAF.size:
        tag, count, head = decode_leaf(node)
        return leaf_hash(tag, value_hash(count, head))
    raise MapDamaged("A stored node of the patients' map isn't one")


class Nodes:
    """Every node on the paths of some tags, as stored, and as changed since."""

    def __init__(self, stored: dict[bytes, bytes]) -> None:
        self._nodes = stored
        self.changes: dict[bytes, bytes | None] = {}

    @classmethod
    async def along(cls, tags: Iterable[bytes], get: Get) -> Nodes:
        """Read them. Paths are known from the tags alone, so several levels are asked for at once: three or four
        rounds for a million patients."""
        stored = await _read([ROOT_PATH], get)
        going = list(tags) if is_inner(stored.get(ROOT_PATH)) else []
        depth = 1
        while going:
            levels = range(depth, min(depth + _LEVELS_AT_ONCE, TAG_BITS + 1))
            stored |= await _read(sorted({path_of(tag, level) for tag in going for level in levels}), get)
            depth = levels.stop
            going = [tag for tag in going if depth <= TAG_BITS and is_inner(stored.get(path_of(tag, depth - 1)))]
        return cls(stored)

    def at(self, tag: bytes, depth: int, expected: bytes | None) -> bytes | None:
        """The node on the tag's path, or None where the map is empty there. Raises `MapDamaged` where it doesn't have
        the expected hash, or can't be there. None expects nothing: for a root that isn't known."""
        node = self._nodes.get(path_of(tag, depth))
        if expected not in (None, hash_of(node)):
            raise MapDamaged("A stored node of the patients' map isn't the one that is named above it")
        if node is not None and not _may_be_at(node, tag, depth):
            raise MapDamaged("A stored node of the patients' map is at a place where it can't be")
        return node

    def put(self, tag: bytes, depth: int, node: bytes) -> bytes:
        """Have this node on the tag's path; returns its hash."""
        path = path_of(tag, depth)
        if self._nodes.get(path) != node:
            self._nodes[path] = self.changes[path] = node
        return hash_of(node)

    def root(self) -> bytes:
        """The root of the map."""
        return hash_of(self._nodes.get(ROOT_PATH))


def _may_be_at(node: bytes, tag: bytes, depth: int) -> bool:
    if is_inner(node):
        return depth < TAG_BITS
    return path_of(decode_leaf(node)[0], depth) == path_of(tag, depth)


async def _read(paths: Sequence[bytes], get: Get) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    for start in range(0, len(paths), _PATHS_AT_ONCE):
        found |= await get(paths[start : start + _PATHS_AT_ONCE])
    return found
