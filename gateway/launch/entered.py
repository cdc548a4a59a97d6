"""What both ways in end in, and what makes them one-time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from gateway.caller.presented import Presented
from gateway.launch.refusals import used
from gateway.launch.session import Session
from gateway.launch.statement import Statement


class Burning(Protocol):
    """One-time marks, which all workers share."""

    async def burn(self, kind: str, value: str, expires: datetime) -> bool:
        """True for the first who burns it, and for nobody after."""
        ...


async def use_up(marks: Burning, kind: str, value: str, expires: datetime) -> None:
    """Burn a one-time mark. Raises NotSignedIn where somebody was first."""
    if not await marks.burn(kind, value, expires):
        raise used()


async def use_up_statement(marks: Burning, kind: str, statement: Statement) -> None:
    """The same, for a statement that must carry a `jti`: it is unique for its issuer alone (RFC 7519, 4.1.7)."""
    await use_up(marks, kind, f"{statement.claims['iss']}|{statement.claims['jti']}", statement.expires)


@dataclass(frozen=True, slots=True)
class Entered:
    """Somebody who may have a session: it isn't begun yet."""

    session: Session
    presented: Presented
    until: datetime | None = None
