"""What a request presents for sign-in, in one object: the pipeline passes it on and never looks inside."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from gateway.caller.tokens import VerifiedToken


@dataclass(slots=True)
class Spending:
    """Whether this request's one-time proof was spent. A batch identifies its caller once for each entry, perhaps at
    the same time; the proof is spent by the first, and the others wait for it."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    done: bool = False


@dataclass(frozen=True, slots=True)
class Presented:
    """Every header of a name is kept: more than one is refused by the caller step, not chosen between.

    `authorization`, `dpop` and `certificate` are the values of the headers Authorization, DPoP and Client-Cert.
    `method` and `url` are the request's own, the URL as clients see it (below the public address), without query.
    `peer` is who connected: an IP address, `unix:` and the path of our own socket, or "" where that isn't known.
    """

    authorization: tuple[str, ...] = field(repr=False)
    dpop: tuple[str, ...] = field(default=(), repr=False)
    certificate: tuple[str, ...] = field(default=(), repr=False)
    method: str = ""
    url: str = ""
    peer: str = ""
    spending: Spending = field(default_factory=Spending, repr=False, compare=False)
    believed: VerifiedToken | None = field(default=None, repr=False)
    """Whom the gateway itself vouches for: a person in a session that it keeps. No header of a request leads here."""
    holds: Callable[[], Awaitable[object]] | None = field(default=None, repr=False, compare=False)
    """Asks whether that session still holds, without prolonging it: raises NotSignedIn where it doesn't."""

    @classmethod
    def stated(cls, person: VerifiedToken) -> Self:
        """A person of a session, or one whom a registered system stated: there is no token on its way to be stolen."""
        return cls((), believed=person)

    @classmethod
    def bearing(cls, token: str) -> Self:
        """A request with one bearer token and nothing else."""
        return cls((f"Bearer {token}",))
