"""A sign-in under way: what must be the same when the browser comes back from the authorize endpoint.

It travels in a cookie of its own, sealed, so that only the browser that began it can end it, and nothing is kept here
for a stranger. What makes it one-time is its `state`, which is burnt in the store once somebody has signed in.
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Final

import msgspec
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from gateway.launch.refusals import not_believed, over
from gateway.sealed import Sealer, Unsealable
from gateway.store.moments import from_micros, to_micros

LASTS: Final = timedelta(minutes=5)
_BOUND: Final = "launch under way"
_LONGEST: Final = 4096


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    """`asked` is where the browser was sent (an EHR's FHIR base, or a provider's tag): the answer that it brings back
    is asked of that one and of nobody else (no mix-up)."""

    asked: str
    state: str
    nonce: str
    verifier: str
    expires: int

    @property
    def challenge(self) -> str:
        """The S256 challenge of the verifier (RFC 7636)."""
        return str(create_s256_code_challenge(self.verifier))

    @property
    def expires_at(self) -> datetime:
        """Exclusive."""
        return from_micros(self.expires)


def begin(asked: str, now: datetime) -> Pending:
    """A new one, with secrets of its own."""
    return Pending(
        asked=asked,
        state=secrets.token_urlsafe(32),
        nonce=secrets.token_urlsafe(32),
        verifier=secrets.token_urlsafe(48),
        expires=to_micros(now + LASTS),
    )


def seal(pending: Pending, sealer: Sealer) -> str:
    """The cookie's value."""
    return sealer.seal_text(msgspec.json.encode(pending).decode(), _BOUND)


def opened(cookie: str, sealer: Sealer, now: datetime) -> Pending:
    """What this browser began. Raises NotSignedIn where it began none, or took too long."""
    if not cookie or len(cookie) > _LONGEST:
        raise not_believed("launch.state", "this browser began nothing")
    try:
        pending = msgspec.json.decode(sealer.open_text(cookie, _BOUND), type=Pending)
    except (Unsealable, msgspec.DecodeError) as error:
        raise not_believed("launch.state", "the cookie is not ours") from error
    if now >= pending.expires_at:
        raise over()
    return pending
