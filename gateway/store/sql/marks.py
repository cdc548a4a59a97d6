"""What workers must agree on at once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from gateway.store.parts.marks import Mark, Revoked
from gateway.store.sql.base import SqlBase
from gateway.store.tables import marks


class SqlMarks(SqlBase):
    """`MarkStore`"""

    async def burn(self, kind: str, value: str, expires: datetime) -> bool:
        return await self._write(marks.burn, Mark(kind, value, expires), self._clock())

    async def revoke(self, once: Mark, revoked: Sequence[Revoked]) -> bool:
        return await self._write(marks.revoke, once, revoked, self._clock())

    async def revoked_until(self, names: Sequence[tuple[str, str]]) -> datetime | None:
        return await self._read(marks.revoked_until, names)
