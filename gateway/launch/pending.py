"""A launch under way: what must be the same when the browser comes back from the EHR's authorize endpoint.

It travels in a cookie of its own, sealed, so that only the browser that began a launch can end it, and nothing is kept
here for a stranger who only begins. What makes it one-time is its `state`, which is burnt in the store.
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
    """`fhir_base` is the EHR that launched: the callback's answer is asked of it and nobody else (no mix-up)."""

    fhir_base: str
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


def begin(fhir_base: str, now: datetime) -> Pending:
    """A new launch, with secrets of its own."""
    return Pending(
        fhir_base=fhir_base,
        state=secrets.token_urlsafe(32),
        nonce=secrets.token_urlsafe(32),
        verifier=secrets.token_urlsafe(48),
        expires=to_micros(now + LASTS),
    )


def seal(pending: Pending, sealer: Sealer) -> str:
    """The cookie's value."""
    return sealer.seal_text(msgspec.json.encode(pending).decode(), _BOUND)


def opened(cookie: str, sealer: Sealer, now: datetime) -> Pending:
    """The launch that this browser began. Raises NotSignedIn where it began none, or took too long."""
    if not cookie or len(cookie) > _LONGEST:
        raise not_believed("launch.state", "this browser began no launch")
    try:
        pending = msgspec.json.decode(sealer.open_text(cookie, _BOUND), type=Pending)
    except (Unsealable, msgspec.DecodeError) as error:
        raise not_believed("launch.state", "the cookie is not ours") from error
    if now >= pending.expires_at:
        raise over()
    return pending
