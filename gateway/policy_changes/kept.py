"""The policies that a gateway's store keeps, and what changed between them. One comparison at a time, made once."""

from __future__ import annotations

import asyncio
from functools import lru_cache
from typing import Final

from gateway.errors import BadRequest
from gateway.policy.archive import open_archive
from gateway.policy.decide import Policy
from gateway.policy.matrix import Table, tables
from gateway.policy_changes.compare import compare
from gateway.store.parts.officers import PolicyStore

_MOST_KEPT: Final = 32


class KeptPolicies:
    """Compares them off the event loop. `in_force` is the one by which this gateway decides."""

    def __init__(self, store: PolicyStore, in_force: Policy) -> None:
        self._store = store
        self.in_force = in_force
        self._tables: list[Table] = []
        self._one_at_a_time = asyncio.Lock()
        self._compared = lru_cache(maxsize=_MOST_KEPT)(_text)

    async def tables(self) -> list[Table]:
        """Who sees what under the one in force: made once, by asking it of everything."""
        async with self._one_at_a_time:
            if not self._tables:
                self._tables = await asyncio.to_thread(tables, self.in_force)
        return self._tables

    async def hashes(self) -> list[str]:
        """Of all that are kept: the one in force, and others that were in force before."""
        others = sorted(set(await self._store.policy_hashes()) - {self.in_force.hash})
        return [self.in_force.hash, *others]

    async def changes(self, before: str, after: str) -> str:
        """As `connectcare policy diff` tells it. Raises BadRequest for a policy that isn't kept."""
        archives = [(each, await self._kept(each)) for each in (before, after)]
        async with self._one_at_a_time:
            return await asyncio.to_thread(self._compared, *archives)

    async def _kept(self, policy_hash: str) -> bytes:
        content = await self._store.policy(policy_hash)
        if content is None:
            raise BadRequest(
                "This gateway doesn't keep that policy. Choose one of those listed.", rule="policy.not-kept"
            )
        return content


def _text(before: tuple[str, bytes], after: tuple[str, bytes]) -> str:
    old, new = (open_archive(content, policy_hash) for policy_hash, content in (before, after))
    return compare(old, new).text()
