"""Signed statements of registered systems: an ID token, a contextual launch, a CDS Hooks call. All are JWTs.

As with access tokens nothing in a statement chooses how it is checked: algorithm, type and key are those that the
system registered. Each kind has its own audience (and where it is our own kind, its own `typ`), so that none can be
taken for another (RFC 8725, sections 3.9 and 3.11).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from gateway.caller.compact import Malformed, parse_compact
from gateway.caller.jwk import NoSuchKey, VerifyingKey
from gateway.caller.keys import Keys, KeysUnavailable
from gateway.caller.refusals import SignInUnavailable
from gateway.caller.signature import BadSignature, check_signature
from gateway.launch.refusals import not_believed, over
from gateway.launch.settings import Signing
from gateway.store.moments import from_seconds

MOST_CHARACTERS: Final = 16 * 1024
LEEWAY_SECONDS: Final = 30.0
"""How far the other clock may run ahead of ours. It never stretches `exp`."""
_HEADER_MEMBERS: Final = frozenset({"alg", "typ", "kid", "x5t", "x5t#S256"})
_LONGEST_HEADER: Final = 512
"""Characters, as encoded: a statement names its key, and carries none."""
_LONGEST_TEXT: Final = 512
_LATEST: Final = 2**53


@dataclass(frozen=True, slots=True)
class Rules:
    """How one kind of statement is checked. `types` are the spellings of `typ` (None: it may be absent). `lasts` is
    the longest time from `iat` to `exp`, in seconds. `once`: it must carry a `jti`. `pinned` are further header
    members, each with the one value that it may have; `ignored` others that may be there, and are never read."""

    audience: str
    types: frozenset[str | None]
    lasts: float
    once: bool = False
    pinned: Mapping[str, str | None] = field(default_factory=dict)
    ignored: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Statement:
    """One that passed every check. `key_thumbprint` and `algorithm` are of the key that signed it."""

    claims: Mapping[str, Any]
    kid: str | None
    algorithm: str
    key_thumbprint: str

    @property
    def expires(self) -> datetime:
        """When it ends to hold."""
        return from_seconds(number(self.claims, "exp"))


async def verified(token: str, by: Signing, rules: Rules, keys: Keys, now: float) -> Statement:
    """A statement of that system. `now` is seconds since 1970.

    Raises NotSignedIn where it can't be believed, SignInUnavailable where the system's keys can't be had.
    """
    if len(token) > MOST_CHARACTERS:
        raise not_believed("statement.too-large", f"more than {MOST_CHARACTERS} characters")
    try:
        compact = parse_compact(token)
    except Malformed as error:
        raise not_believed("statement.malformed", str(error)) from error
    if compact.claims.get("iss") != by.issuer:
        raise not_believed("statement.issuer", "iss is not the registered issuer")
    algorithm, kid = _check_header(compact.header, by, rules)
    key = await _key(keys, by, kid, algorithm)
    _check_signature(token, key, algorithm)
    _check_claims(compact.claims, rules, now)
    return Statement(compact.claims, kid, algorithm, key.thumbprint)


def issuer_of(token: str) -> str:
    """Whom a statement claims to be of: not believed yet. Raises NotSignedIn."""
    if len(token) > MOST_CHARACTERS:
        raise not_believed("statement.too-large", f"more than {MOST_CHARACTERS} characters")
    try:
        issuer = parse_compact(token).claims.get("iss")
    except Malformed as error:
        raise not_believed("statement.malformed", str(error)) from error
    return issuer if isinstance(issuer, str) else ""


def _check_header(header: Mapping[str, Any], by: Signing, rules: Rules) -> tuple[str, str | None]:
    if not header.keys() <= _HEADER_MEMBERS | rules.pinned.keys() | rules.ignored:
        raise not_believed("statement.header", "the header holds members that are not accepted")
    for name, value in rules.pinned.items():
        if name in header and (value is None or header[name] != value):
            raise not_believed("statement.header", f"{name} is not the registered one")
    typ, algorithm, kid = header.get("typ"), header.get("alg"), header.get("kid")
    if (typ.lower() if isinstance(typ, str) else typ) not in rules.types:
        raise not_believed("statement.type", "typ is not that of this kind of statement")
    if not isinstance(algorithm, str) or algorithm not in by.algorithms:
        raise not_believed("statement.algorithm", "alg is not one that this system signs with")
    if not isinstance(kid, str | None):
        raise not_believed("statement.key", "kid is not text")
    return algorithm, kid


async def _key(keys: Keys, by: Signing, kid: str | None, algorithm: str) -> VerifyingKey:
    try:
        return await keys.key(by.issuer, kid, algorithm)
    except NoSuchKey as error:
        raise not_believed("statement.key", str(error)) from error
    except KeysUnavailable as error:
        raise SignInUnavailable(str(error)) from error


def _check_signature(token: str, key: VerifyingKey, algorithm: str) -> None:
    try:
        check_signature(token, key, algorithm, longest_header=_LONGEST_HEADER, is_header_checked=True)
    except BadSignature as error:
        raise not_believed("statement.signature", "the signature is not that system's") from error


def _check_claims(claims: Mapping[str, Any], rules: Rules, now: float) -> None:
    audience = claims.get("aud")
    audiences = [audience] if isinstance(audience, str) else audience
    if not isinstance(audiences, list) or not all(isinstance(each, str) for each in audiences):
        raise not_believed("statement.audience", "aud is not text")
    if rules.audience not in audiences:
        raise not_believed("statement.audience", "aud does not name this gateway")
    if len(audiences) > 1 and claims.get("azp", rules.audience) != rules.audience:
        raise not_believed("statement.audience", "azp is somebody else")
    if rules.once:
        short_text(claims, "jti")
    issued, expires = number(claims, "iat"), number(claims, "exp")
    if max(issued, number(claims, "nbf", default=0)) > now + LEEWAY_SECONDS:
        raise not_believed("statement.not-yet", "iat or nbf lies ahead")
    if expires - issued > rules.lasts:
        raise not_believed("statement.too-long", f"exp lies more than {rules.lasts:g} s after iat")
    if expires <= now:
        raise over()


def short_text(claims: Mapping[str, Any], name: str) -> str:
    """A claim that must be a short text. Raises NotSignedIn."""
    value = claims.get(name)
    if not isinstance(value, str) or not value or len(value) > _LONGEST_TEXT or not value.isprintable():
        raise not_believed("statement.claims", f"{name} is not a short text")
    return value


def number(claims: Mapping[str, Any], name: str, default: float | None = None) -> float:
    """A claim that must be a number of seconds since 1970. Raises NotSignedIn."""
    value = claims.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LATEST:
        raise not_believed("statement.claims", f"{name} is not a number in range")
    return float(value)
