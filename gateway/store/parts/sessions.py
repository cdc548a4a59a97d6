"""What the viewer's sessions need of a store, so that every worker knows them."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

import msgspec


class KeptSession(msgspec.Struct, frozen=True, kw_only=True):
    """A session as a store keeps it. `id` is a keyed digest of what the browser holds: whoever reads the store can't
    make a cookie of it. `sealed` is all the rest, under authenticated encryption bound to `id`. Both ends are
    exclusive; `ends_at` never moves."""

    id: str
    sealed: str
    idle_until: datetime
    ends_at: datetime


class SessionStore(Protocol):
    """Sessions of people who were signed in by a launch."""

    async def keep_session(self, session: KeptSession, now: datetime, instead_of: str | None = None) -> None:
        """Keep a new session; the one that it replaces, and those that have ended by `now`, are forgotten."""
        ...

    async def session(self, session_id: str) -> KeptSession | None:
        """One session, ended or not."""
        ...

    async def touch_session(self, session_id: str, idle_until: datetime) -> None:
        """Somebody is there: move the end of its idleness on, never back, and never past its end."""
        ...

    async def end_session(self, session_id: str) -> bool:
        """Forget it; False where it was forgotten already."""
        ...
