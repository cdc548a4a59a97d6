"""The definitions, written as the specifications write them and no quicker, to hold the real ones against."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterable, Sequence

from gateway.store.interface import Holding


def sha256(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def leaf_hashes(count: int, *, of: str = "") -> list[bytes]:
    return [sha256(b"\x00", f"{of}{number}".encode()) for number in range(count)]


def split(count: int) -> int:
    """RFC 6962: the largest power of two smaller than n."""
    power = 1
    while power * 2 < count:
        power *= 2
    return power


def tree_root(leaves: Sequence[bytes]) -> bytes:
    """RFC 6962, 2.1: MTH."""
    if len(leaves) < 2:
        return leaves[0] if leaves else sha256()
    k = split(len(leaves))
    return sha256(b"\x01", tree_root(leaves[:k]), tree_root(leaves[k:]))


def path(index: int, leaves: Sequence[bytes]) -> list[bytes]:
    """RFC 6962, 2.1.1: PATH(m, D[n])."""
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if index < k:
        return [*path(index, leaves[:k]), tree_root(leaves[k:])]
    return [*path(index - k, leaves[k:]), tree_root(leaves[:k])]


def subproof(old: int, leaves: Sequence[bytes], complete: bool) -> list[bytes]:
    """RFC 6962, 2.1.2: SUBPROOF(m, D[n], b); PROOF is that with b = true."""
    if old == len(leaves):
        return [] if complete else [tree_root(leaves)]
    k = split(len(leaves))
    if old <= k:
        return [*subproof(old, leaves[:k], complete), tree_root(leaves[k:])]
    return [*subproof(old - k, leaves[k:], False), tree_root(leaves[:k])]


def range_hash_of(leaves: Sequence[bytes]) -> Callable[[int, int], Awaitable[bytes]]:
    """What a store offers, with what it may rely on: a range begins at a multiple of the power of two that holds it."""
    known: dict[tuple[int, int], bytes] = {}

    async def range_hash(first: int, last: int) -> bytes:
        width = 1
        while width < last - first:
            width *= 2
        assert 0 <= first < last <= len(leaves)
        assert first % width == 0
        if (first, last) not in known:
            known[first, last] = tree_root(leaves[first:last])
        return known[first, last]

    return range_hash


def map_root(holdings: Iterable[Holding]) -> bytes:
    """The patients' map, by its own definition and string by string."""
    return _map_part([(f"{int.from_bytes(held.patient, 'big'):0256b}", held) for held in holdings], 0)


def _map_part(held: Sequence[tuple[str, Holding]], depth: int) -> bytes:
    if not held:
        return sha256(b"\x12")
    if len(held) == 1:
        one = held[0][1]
        return sha256(b"\x10", one.patient, sha256(b"\x13", one.count.to_bytes(8, "big"), one.head))
    sides = ([each for each in held if each[0][depth] == side] for side in "01")
    return sha256(b"\x11", *(_map_part(side, depth + 1) for side in sides))
