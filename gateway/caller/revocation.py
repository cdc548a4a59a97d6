"""Sign-ins that their issuer ended: no token of them is accepted any more, by any worker, from that moment on.

The store is asked on every identification, so there is no time in which one worker knows and another doesn't.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, Protocol

from gateway.caller.refusals import ended
from gateway.caller.tokens import LEEWAY_SECONDS, LONGEST_LIFE_SECONDS, VerifiedToken
from gateway.store.parts.marks import Revoked

_SESSION: Final = "sid"
_PERSON: Final = "sub"
_PERSON_NO_SESSION: Final = "sub-without-sid"


class Ended(Protocol):
    """The part of a store that knows what was revoked."""

    async def revoked_until(self, names: Sequence[tuple[str, str]]) -> datetime | None: ...


class Revocations:
    """What was revoked, as the store has it."""

    def __init__(self, store: Ended) -> None:
        self._store = store

    async def require_standing(self, token: VerifiedToken) -> None:
        """Raises NotSignedIn where the token's session was ended, or its person signed out everywhere since it was
        issued; AuditUnavailable where the store can't tell.

        A second is the smallest thing that both issuers' dates can tell: what was issued in the second of the end was
        issued before it.
        """
        until = await self._store.revoked_until(_names(token))
        issued = token.claims.get("iat", 0)
        if until is not None and math.floor(issued) <= until.timestamp():
            raise ended()


def revoked_by(issuer: str, sid: str | None, sub: str | None, at: float) -> list[Revoked]:
    """What a logout at `at` (seconds since 1970, the issuer's clock) revokes.

    A session doesn't come back: whatever says that it is of it is refused. Without `sid` all of the person's sessions
    are meant (OpenID Connect Back-Channel Logout 1.0, section 2.4). With both, tokens of the person that don't say of
    which session they are may be of this one.
    """
    until = datetime.fromtimestamp(math.floor(at), UTC)
    last = datetime.fromtimestamp(at + LONGEST_LIFE_SECONDS + LEEWAY_SECONDS, UTC)
    revoked = [Revoked(_SESSION, _name(issuer, sid), last, last)] if sid is not None else []
    if sub is not None:
        revoked.append(Revoked(_PERSON if sid is None else _PERSON_NO_SESSION, _name(issuer, sub), until, last))
    return revoked


def _names(token: VerifiedToken) -> list[tuple[str, str]]:
    sid, sub = token.claims.get("sid"), token.claims.get("sub")
    names = [(_PERSON, _name(token.issuer, sub))]
    if sid is None:
        names.append((_PERSON_NO_SESSION, _name(token.issuer, sub)))
    else:
        names.append((_SESSION, _name(token.issuer, sid)))
    return names


def _name(issuer: str, value: object) -> str:
    """No issuer has a bar in it (`check_address`)."""
    return f"{issuer}|{value}"
