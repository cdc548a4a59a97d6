"""Patients for the map's tests, and a store for its nodes that notes how it's asked."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

from gateway.audit.log import patient_map
from gateway.store.interface import Holding
from tests.unit.log.naive import sha256


def held(tag: bytes, count: int = 1) -> Holding:
    return Holding(tag, count, sha256(tag, count.to_bytes(8, "big")))


def patient(number: int, count: int = 1) -> Holding:
    return held(sha256(f"patient {number}".encode()), count)


def crowded(chance: random.Random) -> bytes:
    """A tag that shares a long prefix with many others of its kind."""
    tag = int.from_bytes(sha256(b"crowd"), "big")
    for _ in range(chance.randrange(3)):
        tag ^= 1 << chance.choice([0, 1, 2, 7, 8, 9, 100, 127, 128, 247, 248, 254, 255])
    return tag.to_bytes(32, "big")


class Shelf:
    """What `Store.map_nodes` and `Store.add_checkpoint` do, in memory."""

    def __init__(self) -> None:
        self.nodes: dict[bytes, bytes] = {}
        self.asked: list[int] = []

    async def get(self, paths: Sequence[bytes]) -> dict[bytes, bytes]:
        self.asked.append(len(paths))
        return {path: self.nodes[path] for path in paths if path in self.nodes}

    async def put(self, holdings: Sequence[Holding]) -> bytes:
        root, changes = await patient_map.updated(holdings, self.get)
        for path, node in changes.items():
            assert node is not None
            assert self.nodes.get(path) != node
            self.nodes[path] = node
        return root


async def nothing(_paths: Sequence[bytes]) -> dict[bytes, bytes]:
    return {}


async def shelf_of(holdings: Iterable[Holding]) -> Shelf:
    shelf = Shelf()
    await shelf.put(list(holdings))
    return shelf
