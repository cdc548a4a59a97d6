"""What may be asked of the journal as a Merkle log, and what follows it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from gateway.store.kept import Entry, Holding, KeptCheckpoint


class LogStore(Protocol):
    """The journal as a Merkle log. Reading it raises `LogDamaged` where the store doesn't hold what it is made of."""

    async def log_size(self) -> int:
        """How many rows the log holds."""
        ...

    def entries(
        self, *, after: int = 0, until: int | None = None, patient: str | None = None
    ) -> AsyncIterator[Sequence[Entry]]:
        """The log's rows with numbers over `after` and up to `until`, in order, in batches. All of a patient's alone
        where one is named."""
        ...

    async def range_hash(self, first: int, last: int) -> bytes:
        """The RFC 6962 hash of the leaves `first` (0-based, inclusive) to `last` (exclusive): a complete subtree, or
        the ragged right end. Costs no more than a few hundred hashes whatever the log's size: roots of complete
        subtrees of 256 leaves, and of 256 of those, are kept."""
        ...

    async def holdings(self, *, after: int, until: int) -> list[Holding]:
        """For each patient with a row numbered over `after` and up to `until`: what the log holds of them up to
        `until`."""
        ...


class CheckpointStore(Protocol):
    """Signed checkpoints, and the patients' map as of the newest."""

    async def map_nodes(self, paths: Sequence[bytes]) -> dict[bytes, bytes]:
        """Nodes of the patients' map by path (`patient_map`); those that aren't there are left out."""
        ...

    async def add_checkpoint(self, kept: KeptCheckpoint, nodes: Mapping[bytes, bytes | None], expected: int) -> bool:
        """The checkpoint, with the map's nodes as it says they are (None removes one), in one transaction. False (and
        nothing written) where the newest checkpoint isn't that of size `expected` (0: none) any more."""
        ...

    async def checkpoints(self, *, after: int = 0, limit: int = 1000) -> list[KeptCheckpoint]:
        """Signed checkpoints of sizes over `after`, oldest first."""
        ...

    async def newest_checkpoint(self) -> KeptCheckpoint | None:
        """The one with the greatest size."""
        ...


class FollowerStore(Protocol):
    """How far each follower of the journal (an outbox) has come."""

    async def position(self, follower: str) -> int:
        """The number of the last row that a follower of the journal (an outbox) has dealt with; 0 at first."""
        ...

    async def move_position(self, follower: str, seq: int) -> None:
        """Say so durably."""
        ...

    def follow(self, follower: str) -> AbstractAsyncContextManager[bool]:
        """Be the one who follows under this name, among all who share the store, for as long as the context lasts.

        Yields False where somebody else is, or where it can't be found out. On SQLite that is anybody else in this
        process, since no other one writes; on PostgreSQL a session's advisory lock. A lock may be lost unnoticed with
        its connection: what a follower does must bear being done twice."""
        ...
