"""Access tokens: JWTs after RFC 9068, from the configured issuers alone.

joserfc checks the signature; what the token must say is checked here, since libraries differ in what they let pass (a
missing `typ`, an `exp` that is text). Nothing in a token chooses how it is checked: algorithms are pinned for each
issuer, and header members that point at keys are refused.
"""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.caller.compact import Compact, Malformed, parse_compact
from gateway.caller.jwk import NoSuchKey, VerifyingKey
from gateway.caller.keys import Keys, KeysUnavailable
from gateway.caller.refusals import SignInUnavailable, expired, not_signed_in
from gateway.caller.settings import IssuerSettings
from gateway.caller.signature import BadSignature, check_signature

MOST_CHARACTERS: Final = 8 * 1024
LEEWAY_SECONDS: Final = 30.0
"""How far an issuer's clock may run ahead of ours. It never stretches `exp`."""
LONGEST_LIFE_SECONDS: Final = 24 * 3600.0
"""From `iat`, whatever `exp` says: a revocation must be remembered for as long as what it revokes could be used."""
_REMEMBERED: Final = 512
_LONGEST_TEXT: Final = 512
_LATEST: Final = 2**53
_HEADER_MEMBERS: Final = frozenset({"alg", "typ", "kid", "x5t", "x5t#S256"})
"""`jku`, `jwk`, `x5u` and `x5c` bring keys along, `crit` and `b64` change the rules: all refused, used or not."""


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """A token that passed every check: its claims may be believed as far as its issuer is. `userinfo` is what the
    issuer says besides, where it was asked."""

    settings: IssuerSettings
    claims: Mapping[str, Any]
    kid: str | None
    algorithm: str
    key_thumbprint: str
    userinfo: Mapping[str, Any] | None = field(default=None, repr=False)

    @property
    def issuer(self) -> str:
        return self.settings.issuer

    @property
    def token_id(self) -> str:
        return str(self.claims["jti"])

    @property
    def expires(self) -> float:
        """Seconds since 1970; not valid at that instant or after it."""
        return float(min(self.claims["exp"], self.claims["iat"] + LONGEST_LIFE_SECONDS))


class Tokens:
    """Checks access tokens, and remembers those that passed by their SHA-256. `clock` is seconds since 1970."""

    def __init__(
        self, issuers: Iterable[IssuerSettings], keys: Keys, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._issuers = {settings.issuer: settings for settings in issuers}
        self._keys = keys
        self._clock = clock
        self._passed: OrderedDict[bytes, VerifiedToken] = OrderedDict()

    async def verify(self, token: str) -> VerifiedToken:
        """Raises NotSignedIn where the token can't be accepted, SignInUnavailable where no key can be had."""
        if len(token) > MOST_CHARACTERS:
            raise not_signed_in("token.too-large", f"more than {MOST_CHARACTERS} characters")
        digest = hashlib.sha256(token.encode()).digest()
        passed = self._passed.get(digest)
        if passed is None or not await self._still_stands(passed):
            self._passed.pop(digest, None)
            passed = await self._check(token)
        self._remember(digest, passed)
        return passed

    async def _still_stands(self, passed: VerifiedToken) -> bool:
        """The signature needn't be checked twice; its time and its key's standing must be, on every use."""
        if passed.expires <= self._clock():
            raise expired()
        key = await self._key(passed.settings, passed.kid, passed.algorithm)
        return key.thumbprint == passed.key_thumbprint

    def _remember(self, digest: bytes, passed: VerifiedToken) -> None:
        self._passed[digest] = passed
        self._passed.move_to_end(digest)
        if len(self._passed) > _REMEMBERED:
            self._passed.popitem(last=False)

    async def _check(self, token: str) -> VerifiedToken:
        try:
            compact = parse_compact(token)
        except Malformed as error:
            raise not_signed_in("token.malformed", str(error)) from error
        settings = self._issuer(compact)
        algorithm, kid = _check_header(compact.header, settings)
        key = await self._key(settings, kid, algorithm)
        try:
            check_signature(token, key, algorithm)
        except BadSignature as error:
            raise not_signed_in("token.signature", "the signature is not its issuer's") from error
        _check_claims(compact.claims, settings, self._clock())
        return VerifiedToken(settings, compact.claims, kid, algorithm, key.thumbprint)

    def _issuer(self, compact: Compact) -> IssuerSettings:
        issuer = compact.claims.get("iss")
        settings = self._issuers.get(issuer) if isinstance(issuer, str) else None
        if settings is None:
            raise not_signed_in("token.issuer", "iss is none of the configured issuers")
        return settings

    async def _key(self, settings: IssuerSettings, kid: str | None, algorithm: str) -> VerifyingKey:
        try:
            return await self._keys.key(settings.issuer, kid, algorithm)
        except NoSuchKey as error:
            raise not_signed_in("token.key", str(error)) from error
        except KeysUnavailable as error:
            raise SignInUnavailable(str(error)) from error


def _check_header(header: Mapping[str, Any], settings: IssuerSettings) -> tuple[str, str | None]:
    """(algorithm, kid) of an acceptable header."""
    if not header.keys() <= _HEADER_MEMBERS:
        raise not_signed_in("token.header-members", "the header holds members that are not accepted")
    typ = header.get("typ")
    if not isinstance(typ, str) or typ.lower() not in settings.claims.preset.token_types:
        raise not_signed_in("token.type", "typ is not what this issuer's tokens must have: an ID token, perhaps")
    algorithm, kid = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in settings.algorithms:
        raise not_signed_in("token.algorithm", "alg is not one that this issuer signs with")
    if not isinstance(kid, str | None):
        raise not_signed_in("token.key", "kid is not text")
    return algorithm, kid


def _check_claims(claims: Mapping[str, Any], settings: IssuerSettings, now: float) -> None:
    """RFC 9068, section 4. `iss` was exact: it chose the settings."""
    audience = claims.get("aud")
    audiences = [audience] if isinstance(audience, str) else audience
    if not isinstance(audiences, list) or settings.audience not in audiences:
        raise not_signed_in("token.audience", "aud does not name this gateway")
    if not all(isinstance(each, str) for each in audiences):
        raise not_signed_in("token.audience", "aud holds something other than text")
    for name in ("sub", "jti"):
        _require_text(claims, name)
    if max(_number(claims, "iat"), _number(claims, "nbf", default=0)) > now + LEEWAY_SECONDS:
        raise not_signed_in("token.not-yet", "iat or nbf lies ahead")
    expires, longest = _number(claims, "exp"), settings.claims.preset.longest_life
    if longest is not None and expires - _number(claims, "iat") > longest:
        raise not_signed_in("token.life", f"exp is more than {longest:.0f} s after iat")
    if min(expires, _number(claims, "iat") + LONGEST_LIFE_SECONDS) <= now:
        raise expired()


def _require_text(claims: Mapping[str, Any], name: str) -> None:
    value = claims.get(name)
    if not isinstance(value, str) or not value or len(value) > _LONGEST_TEXT or not value.isprintable():
        raise not_signed_in("token.claims", f"{name} is not a short text")


def _number(claims: Mapping[str, Any], name: str, default: float | None = None) -> float:
    value = claims.get(name, default)
    # A boolean is an int in Python; a date that is text could be compared as text somewhere else.
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise not_signed_in("token.claims", f"{name} is not a number")
    if not 0 <= value <= _LATEST:
        raise not_signed_in("token.claims", f"{name} is out of range")
    return value
