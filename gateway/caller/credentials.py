"""The Authorization header taken apart: one access token, under one of two schemes.

Bearer (RFC 6750; certificate-bound tokens too: RFC 8705, section 3) and DPoP (RFC 9449, section 7.1).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from gateway.caller.refusals import no_token, not_signed_in, unclear_authorization
from gateway.caller.tokens import MOST_CHARACTERS

BEARER: Final = "Bearer"
DPOP: Final = "DPoP"
_SCHEMES: Final = {"bearer": BEARER, "dpop": DPOP}
_ONE_TOKEN: Final = re.compile(r"(bearer|dpop) +([A-Za-z0-9_.-]+)", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Credentials:
    """The scheme, as the standards spell it, and the access token."""

    scheme: str
    token: str = field(repr=False)


def credentials(authorization: Sequence[str]) -> Credentials:
    """Of all Authorization headers. Raises NotSignedIn where there is none, several, or another scheme."""
    if not authorization:
        raise no_token()
    if len(authorization) > 1:
        raise unclear_authorization("several Authorization headers")
    if len(authorization[0]) > MOST_CHARACTERS + len("Bearer "):
        raise not_signed_in("token.too-large", f"more than {MOST_CHARACTERS} characters")
    match = _ONE_TOKEN.fullmatch(authorization[0])
    if match is None:
        raise unclear_authorization("not one token under Bearer or DPoP")
    return Credentials(_SCHEMES[match[1].lower()], match[2])


def bearer_token(authorization: Sequence[str]) -> str:
    """Where only bearer tokens are taken. Raises NotSignedIn."""
    given = credentials(authorization)
    if given.scheme != BEARER:
        raise unclear_authorization("not a bearer token")
    return given.token
