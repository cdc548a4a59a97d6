"""What both ways in end in, and what makes them one-time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from gateway.caller.presented import Presented
from gateway.launch.session import Session


class Burning(Protocol):
    """One-time marks, which all workers share."""

    async def burn(self, kind: str, value: str, expires: datetime) -> bool:
        """True for the first who burns it, and for nobody after."""
        ...


@dataclass(frozen=True, slots=True)
class Entered:
    """Somebody who may have a session: it isn't begun yet."""

    session: Session
    presented: Presented
    until: datetime | None = None
