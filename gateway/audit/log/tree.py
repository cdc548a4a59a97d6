"""The log's Merkle tree: hashing, proofs and their verification as RFC 6962 (section 2.1) and RFC 9162 (2.1) say.

A leaf is hashed behind 0x00 (`leaf.Leaf.hash`) and an inner node behind 0x01, so neither can be passed off as the
other. Everything here is a pure function of hashes; what needs the log's stored leaves asks for them by `RangeHash`.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, TypeAlias

import msgspec

from gateway.audit.log.leaf import HASH_BYTES

RangeHash: TypeAlias = Callable[[int, int], Awaitable[bytes]]
"""The hash of the leaves `first` (0-based, inclusive) to `last` (exclusive), as `Store.range_hash`. `first` is always a
multiple of the smallest power of two that isn't under `last - first`."""

EMPTY_ROOT: Final = hashlib.sha256(b"").digest()
"""The root of a log without leaves."""

_NODE_PREFIX: Final = b"\x01"
_SIZE: Final = struct.Struct(">Q")
_sha256 = hashlib.sha256


class ProofFailed(Exception):
    """The proof doesn't show what it's said to show. The text says where it fails."""


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node."""
    return _sha256(_NODE_PREFIX + left + right).digest()


class Frontier(msgspec.Struct, frozen=True, gc=False):
    """The right edge of a tree of `size` leaves: the roots of its complete subtrees, one for each 1 in the size's
    binary form, largest first. All that it takes to append leaves and to know the root."""

    size: int = 0
    hashes: tuple[bytes, ...] = ()

    def append(self, leaf_hash: bytes) -> Frontier:
        """The frontier with one more leaf: one hash on average, `log2(size)` at most."""
        hashes, keep, ones, node = self.hashes, len(self.hashes), self.size, leaf_hash
        while ones & 1:
            keep -= 1
            node = _sha256(_NODE_PREFIX + hashes[keep] + node).digest()
            ones >>= 1
        return Frontier(self.size + 1, (*hashes[:keep], node))

    def extend(self, leaf_hashes: Iterable[bytes]) -> Frontier:
        """The frontier with many more leaves; the same as appending each, and quicker."""
        size, hashes = self.size, list(self.hashes)
        for node in leaf_hashes:
            ones = size
            while ones & 1:
                node = _sha256(_NODE_PREFIX + hashes.pop() + node).digest()
                ones >>= 1
            hashes.append(node)
            size += 1
        return Frontier(size, tuple(hashes))

    def root(self) -> bytes:
        """The root of the tree."""
        if not self.hashes:
            return EMPTY_ROOT
        root = self.hashes[-1]
        for left in self.hashes[-2::-1]:
            root = node_hash(left, root)
        return root

    def to_bytes(self) -> bytes:
        """The size in 8 bytes, big-endian, and the hashes."""
        return _SIZE.pack(self.size) + b"".join(self.hashes)

    @staticmethod
    def from_bytes(encoded: bytes) -> Frontier:
        """What `to_bytes` made. Raises ValueError for anything else."""
        if len(encoded) < _SIZE.size:
            raise ValueError("A frontier has 8 bytes at least")
        (size,) = _SIZE.unpack_from(encoded)
        if len(encoded) != _SIZE.size + size.bit_count() * HASH_BYTES:
            raise ValueError(f"A frontier of {size} leaves doesn't have {len(encoded)} bytes")
        starts = range(_SIZE.size, len(encoded), HASH_BYTES)
        return Frontier(size, tuple(encoded[start : start + HASH_BYTES] for start in starts))


def root_of(leaf_hashes: Iterable[bytes]) -> bytes:
    """The root of the tree over these leaves."""
    return Frontier().extend(leaf_hashes).root()


async def inclusion_proof(index: int, size: int, range_hash: RangeHash) -> tuple[bytes, ...]:
    """That leaf `index` (0-based) is in the tree of `size` leaves: its siblings, lowest first (RFC 6962, 2.1.1).

    Raises ValueError where there is no such leaf.
    """
    if not 0 <= index < size:
        raise ValueError(f"A log of {size} leaves has none with index {index}")
    first, last, siblings = 0, size, list[tuple[int, int]]()
    while last - first > 1:
        middle = first + _split(last - first)
        if index < middle:
            siblings.append((middle, last))
            last = middle
        else:
            siblings.append((first, middle))
            first = middle
    return tuple([await range_hash(*span) for span in reversed(siblings)])


async def consistency_proof(old: int, new: int, range_hash: RangeHash) -> tuple[bytes, ...]:
    """That the tree of `new` leaves begins with that of `old` leaves (RFC 6962, 2.1.2). Empty where `old` is 0, since
    every log extends the empty one, or `new`. Raises ValueError where `old` is greater than `new`."""
    if not 0 <= old <= new:
        raise ValueError(f"A log of {new} leaves can't extend one of {old}")
    if old in (0, new):
        return ()
    first, last, spans = 0, new, list[tuple[int, int]]()
    while old < last:
        middle = first + _split(last - first)
        if old <= middle:
            spans.append((middle, last))
            last = middle
        else:
            spans.append((first, middle))
            first = middle
    # Where the old tree is itself a complete subtree at the left, the verifier has its hash: the old root.
    if first:
        spans.append((first, last))
    return tuple([await range_hash(*span) for span in reversed(spans)])


def _split(count: int) -> int:
    """The greatest power of two under `count`, which is 2 at least."""
    return 1 << (count - 1).bit_length() - 1


def verify_inclusion(leaf_hash: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Raises `ProofFailed` unless the leaf is at `index` (0-based) in the tree with this root (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        raise ProofFailed(f"A log of {size} leaves has none with index {index}")
    _hashes_only(leaf_hash, root, *proof)
    place, last, node = index, size - 1, leaf_hash
    for sibling in proof:
        if not last:
            raise ProofFailed("The proof is longer than the path to the root")
        if place & 1 or place == last:
            node = node_hash(sibling, node)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            node = node_hash(node, sibling)
        place, last = place >> 1, last >> 1
    if last:
        raise ProofFailed("The proof is shorter than the path to the root")
    if node != root:
        raise ProofFailed(f"The leaf with index {index} isn't in the log of {size} leaves with this root")


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Raises `ProofFailed` unless the newer tree begins with the older one (RFC 9162, 2.1.4.2)."""
    if not 0 <= old <= new:
        raise ProofFailed(f"A log of {new} leaves can't extend one of {old}")
    _hashes_only(old_root, new_root, *proof)
    if old in (0, new):
        _verify_without_proof(old, new, old_root, new_root, proof)
        return
    if not proof:
        raise ProofFailed("The proof is shorter than the path to the root")
    # Where the old tree is a complete subtree its root is the first node, and isn't repeated in the proof.
    complete = not old & old - 1
    rebuilt_old, rebuilt_new = _rebuild(old, new, [old_root, *proof] if complete else proof)
    if rebuilt_old != old_root:
        raise ProofFailed(f"The proof doesn't lead to the root of the log of {old} leaves")
    if rebuilt_new != new_root:
        raise ProofFailed(f"The log of {new} leaves with this root doesn't begin with that of {old}")


def _verify_without_proof(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Every log begins with the empty one, and with itself."""
    if proof:
        raise ProofFailed("The proof is longer than the path to the root")
    if not old and old_root != EMPTY_ROOT:
        raise ProofFailed("The older root isn't that of a log without leaves")
    if old == new and old_root != new_root:
        raise ProofFailed(f"Two logs of {new} leaves have different roots: the log was forked or rewritten")


def _rebuild(old: int, new: int, nodes: Sequence[bytes]) -> tuple[bytes, bytes]:
    """The older and the newer root, from the nodes of a consistency proof, lowest first."""
    place, last = old - 1, new - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    older = newer = nodes[0]
    for node in nodes[1:]:
        if not last:
            raise ProofFailed("The proof is longer than the path to the root")
        if place & 1 or place == last:
            older, newer = node_hash(node, older), node_hash(node, newer)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            newer = node_hash(newer, node)
        place, last = place >> 1, last >> 1
    if last:
        raise ProofFailed("The proof is shorter than the path to the root")
    return older, newer


def _hashes_only(*hashes: bytes) -> None:
    """A node of another length could be cut elsewhere and stand for other children."""
    if any(len(each) != HASH_BYTES for each in hashes):
        raise ProofFailed(f"A hash doesn't have {HASH_BYTES} bytes")
