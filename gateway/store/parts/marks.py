"""What the caller step needs of a store, so that all workers agree: what may be used once, and what was revoked."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import msgspec


class Mark(msgspec.Struct, frozen=True):
    """Something that may be used once: a proof's id, a launch's, a logout token's. `kind` keeps them apart. The store
    holds a digest of `value`; from `expires` on it may forget it."""

    kind: str
    value: str
    expires: datetime


class Revoked(msgspec.Struct, frozen=True):
    """Sign-ins that were ended: whatever was issued to `value` (a session, a subject: `kind`) up to and at
    `issued_until`. From `expires` on nothing of that could be used anyway, and the store may forget it."""

    kind: str
    value: str
    issued_until: datetime
    expires: datetime


class MarkStore(Protocol):
    """One-time marks and revocations."""

    async def burn(self, kind: str, value: str, expires: datetime) -> bool:
        """True for the first who burns it, in whichever worker; False for everybody after."""
        ...

    async def revoke(self, once: Mark, revoked: Sequence[Revoked]) -> bool:
        """Burn the mark and revoke, in one transaction; False (and nothing written) where it was burnt before."""
        ...

    async def revoked_until(self, names: Sequence[tuple[str, str]]) -> datetime | None:
        """The latest `issued_until` of these (kind, value); None where none of them was revoked."""
        ...
