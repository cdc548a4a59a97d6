"""The viewer's sessions."""

from __future__ import annotations

from datetime import datetime

from gateway.store.parts.sessions import KeptSession
from gateway.store.sql.base import SqlBase
from gateway.store.tables import sessions


class SqlSessions(SqlBase):
    """`SessionStore`"""

    async def keep_session(self, session: KeptSession, now: datetime, instead_of: str | None = None) -> None:
        await self._write(sessions.keep_session, session, now, instead_of)

    async def session(self, session_id: str) -> KeptSession | None:
        return await self._read(sessions.session_by_id, session_id)

    async def touch_session(self, session_id: str, idle_until: datetime) -> None:
        await self._write(sessions.touch_session, session_id, idle_until)

    async def end_session(self, session_id: str) -> bool:
        return await self._write(sessions.end_session, session_id)
