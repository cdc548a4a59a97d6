"""The journal as a Merkle log, and those that follow it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final

from gateway.store import decided
from gateway.store.kept import Entry, Holding, KeptCheckpoint
from gateway.store.sql.base import SqlBase
from gateway.store.tables import checkpoints, followers, journal, log

ENTRIES_AT_ONCE: Final = 1000
_NO_END: Final = 2**63 - 1


class SqlLog(SqlBase):
    """`LogStore`"""

    async def log_size(self) -> int:
        return (await self._read(log.head)).size

    async def entries(
        self, *, after: int = 0, until: int | None = None, patient: str | None = None
    ) -> AsyncIterator[Sequence[Entry]]:
        end = _NO_END if until is None else until
        while batch := await self._read(journal.select_entries, after, end, patient, ENTRIES_AT_ONCE):
            yield batch
            after = batch[-1].leaf.seq

    async def range_hash(self, first: int, last: int) -> bytes:
        return await self._read(log.range_hash, first, last)

    async def holdings(self, *, after: int, until: int) -> list[Holding]:
        return await self._read(journal.select_holdings, after, until)


class SqlCheckpoints(SqlBase):
    """`CheckpointStore`"""

    async def map_nodes(self, paths: Sequence[bytes]) -> dict[bytes, bytes]:
        return await self._read(checkpoints.map_nodes, paths)

    async def add_checkpoint(self, kept: KeptCheckpoint, nodes: Mapping[bytes, bytes | None], expected: int) -> bool:
        return await self._write(decided.add_checkpoint, kept, nodes, expected)

    async def checkpoints(self, *, after: int = 0, limit: int = 1000) -> list[KeptCheckpoint]:
        return await self._read(checkpoints.select_checkpoints, after, limit)

    async def newest_checkpoint(self) -> KeptCheckpoint | None:
        return await self._read(checkpoints.newest_checkpoint)


class SqlFollowers(SqlBase):
    """`FollowerStore`"""

    async def position(self, follower: str) -> int:
        return await self._read(followers.position, follower)

    async def move_position(self, follower: str, seq: int) -> None:
        await self._write(followers.move_position, follower, seq)
