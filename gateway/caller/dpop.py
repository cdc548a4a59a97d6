"""DPoP: that the sender of an access token holds the key to which it is bound (RFC 9449, section 4.3).

Every check of that section, by its number there:

     1 one DPoP header               5 an asymmetric algorithm of ours    9 htu is this address
     2 one well-formed JWT           6 the signature is the key's        10 nonce: this gateway gives none out
     3 all claims are there          7 the key shows no private half     11 iat is of now
     4 typ is dpop+jwt               8 htm is this method                12 ath and the token's cnf.jkt fit

and, as section 11.1 asks, each proof once: its `jti` is burnt in the store that all workers share, last of all, so that
nobody without the key can burn anything.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from joserfc.errors import JoseError

from gateway.caller.address import normalised
from gateway.caller.compact import Compact, Malformed, parse_compact
from gateway.caller.jwk import VerifyingKey, read_key
from gateway.caller.presented import Presented
from gateway.caller.refusals import bad_proof
from gateway.caller.signature import BadSignature, check_signature

ALGORITHMS: Final = ("ES256", "PS256", "Ed25519", "EdDSA")
"""Those of FAPI 2.0 (Security Profile, section 5.4), Ed25519 under both of its names."""
LASTS: Final = 60.0
"""Seconds for which a proof is good after its `iat`."""
AHEAD: Final = 30.0
"""How far a client's clock may run ahead of ours."""
KIND: Final = "dpop"
_MOST_CHARACTERS: Final = 8 * 1024
_LONGEST_TEXT: Final = 512
_LONGEST_ADDRESS: Final = 8 * 1024
_HEADER_MEMBERS: Final = frozenset({"typ", "alg", "jwk", "kid"})


class Burning(Protocol):
    """One-time marks that all workers share."""

    async def burn(self, kind: str, value: str, expires: datetime) -> bool: ...


class Proofs:
    """Checks DPoP proofs. `clock` is seconds since 1970."""

    def __init__(self, marks: Burning, clock: Callable[[], float] = time.time) -> None:
        self._marks = marks
        self._clock = clock

    async def check(self, presented: Presented, token: str, thumbprint: str) -> None:
        """Raises NotSignedIn unless the request proves possession of the key of that thumbprint, for that token."""
        if len(presented.dpop) != 1:
            raise bad_proof("dpop.header", "not exactly one DPoP header")
        compact = _parsed(presented.dpop[0])
        key = _signed_by(presented.dpop[0], compact.header)
        jti, issued = self._checked(compact.claims, presented, token)
        if not hmac.compare_digest(key.thumbprint, thumbprint):
            raise bad_proof("dpop.key", "the token is bound to another key", error="invalid_token")
        await self._spend(presented, f"{key.thumbprint} {jti}", datetime.fromtimestamp(issued + LASTS, UTC))

    def _checked(self, claims: Mapping[str, Any], presented: Presented, token: str) -> tuple[str, float]:
        """(jti, iat) of claims that fit the request."""
        jti = _text(claims, "jti")
        if _text(claims, "htm") != presented.method:
            raise bad_proof("dpop.htm", "htm is another method")
        address = normalised(_text(claims, "htu", _LONGEST_ADDRESS))
        if address is None or address != normalised(presented.url):
            raise bad_proof("dpop.htu", "htu is another address")
        issued, now = claims.get("iat"), self._clock()
        if isinstance(issued, bool) or not isinstance(issued, int | float):
            raise bad_proof("dpop.iat", "iat is not a number")
        if not now - LASTS < issued <= now + AHEAD:
            raise bad_proof("dpop.iat", "iat is not of now")
        if not hmac.compare_digest(_text(claims, "ath").encode(), _hash(token)):
            raise bad_proof("dpop.ath", "ath is of another token")
        return jti, issued

    async def _spend(self, presented: Presented, proof: str, expires: datetime) -> None:
        """Once for a request, however many answers it asks for."""
        async with presented.spending.lock:
            if not presented.spending.done and not await self._marks.burn(KIND, proof, expires):
                raise bad_proof("dpop.used", "this proof was used before")
            presented.spending.done = True


def _parsed(proof: str) -> Compact:
    if len(proof) > _MOST_CHARACTERS:
        raise bad_proof("dpop.malformed", f"more than {_MOST_CHARACTERS} characters")
    try:
        return parse_compact(proof)
    except Malformed as error:
        raise bad_proof("dpop.malformed", str(error)) from error


def _signed_by(proof: str, header: Mapping[str, Any]) -> VerifyingKey:
    """The key in the header, which signed the proof: it says nothing yet of whose key it is."""
    if not header.keys() <= _HEADER_MEMBERS:
        raise bad_proof("dpop.header-members", "the header holds members that are not accepted")
    if header.get("typ") != "dpop+jwt":
        raise bad_proof("dpop.type", "typ is not dpop+jwt")
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise bad_proof("dpop.algorithm", "alg is not an accepted one")
    try:
        key = read_key(header["jwk"])
    except (JoseError, ValueError, TypeError, LookupError) as error:
        raise bad_proof("dpop.jwk", "jwk is not one public key") from error
    if algorithm not in key.algorithms:
        raise bad_proof("dpop.algorithm", "the key is not for that algorithm")
    try:
        check_signature(proof, key, algorithm)
    except BadSignature as error:
        raise bad_proof("dpop.signature", "the signature is not that key's") from error
    return key


def _text(claims: Mapping[str, Any], name: str, longest: int = _LONGEST_TEXT) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not value or len(value) > longest or not value.isprintable():
        raise bad_proof("dpop.claims", f"{name} is missing, or not a short text")
    return value


def _hash(token: str) -> bytes:
    """As `ath` has it (RFC 9449, section 4.2)."""
    return base64.urlsafe_b64encode(hashlib.sha256(token.encode("ascii")).digest()).rstrip(b"=")
