"""Back-channel logout: the issuer says that somebody has signed out, and nothing of theirs is accepted from then on.

Source: OpenID Connect Back-Channel Logout 1.0, section 2.6, whose steps are named below. A logout token is a JWT of the
same issuer and the same keys as access tokens, so what keeps the two apart matters (section 4.1): its `typ`, its
`events`, and that it has no `nonce`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from gateway import log
from gateway.caller.compact import Malformed, parse_compact
from gateway.caller.jwk import NoSuchKey
from gateway.caller.keys import Keys, KeysUnavailable
from gateway.caller.refusals import SignInUnavailable
from gateway.caller.revocation import revoked_by
from gateway.caller.settings import IssuerSettings
from gateway.caller.signature import BadSignature, check_signature
from gateway.caller.tokens import LEEWAY_SECONDS, MOST_CHARACTERS
from gateway.store.parts.marks import Mark, Revoked

EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"
KIND: Final = "logout-token"
_TYPES: Final = frozenset({"logout+jwt", "application/logout+jwt", "jwt"})
"""The first is recommended (section 2.4); issuers of before that write plain JWT. Never at+jwt."""
_HEADER_MEMBERS: Final = frozenset({"alg", "typ", "kid", "x5t", "x5t#S256"})
_LONGEST_TEXT: Final = 512
_LONGEST_LIFE: Final = 3600.0
"""Two minutes are recommended (section 2.4). A longer one is no logout of now."""


class LogoutRefused(Exception):
    """The logout token can't be accepted. `told` says why: its sender is the issuer's engineer, or nobody we know."""

    def __init__(self, told: str) -> None:
        super().__init__(told)
        self.told = told


class Revoking(Protocol):
    """The part of a store that revokes."""

    async def revoke(self, once: Mark, revoked: Sequence[Revoked]) -> bool: ...


class Logouts:
    """Takes logout tokens. `clock` is seconds since 1970."""

    def __init__(
        self,
        issuers: Iterable[IssuerSettings],
        keys: Keys,
        store: Revoking,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._issuers = {settings.issuer: settings for settings in issuers}
        self._keys = keys
        self._store = store
        self._clock = clock

    async def end(self, logout_token: str) -> None:
        """When this returns, no worker accepts what the token revokes.

        Raises LogoutRefused, SignInUnavailable where the issuer's keys can't be had, AuditUnavailable where the store
        can't be written.
        """
        settings, claims = await self._verified(logout_token)
        sid, sub, issued = _checked(claims, settings, self._clock())
        once = Mark(KIND, f"{settings.issuer}|{_text(claims, 'jti')}", _moment(claims["exp"]))
        if not await self._store.revoke(once, revoked_by(settings.issuer, sid, sub, issued)):
            raise LogoutRefused("This logout token was used before (jti).")
        log.event("signin.ended", issuer=settings.issuer, kind="person" if sid is None else "session")

    async def _verified(self, token: str) -> tuple[IssuerSettings, Mapping[str, Any]]:
        """Steps 1 and 2, and `iss` of step 3: it is signed, not encrypted, by its issuer, as its access tokens are."""
        if len(token) > MOST_CHARACTERS:
            raise LogoutRefused(f"The logout token has more than {MOST_CHARACTERS} characters.")
        try:
            compact = parse_compact(token)
        except Malformed as error:
            raise LogoutRefused(f"The logout token is {error}.") from error
        issuer = compact.claims.get("iss")
        settings = self._issuers.get(issuer) if isinstance(issuer, str) else None
        if settings is None:
            raise LogoutRefused("iss is none of the configured issuers.")
        await self._check_signature(token, compact.header, settings)
        return settings, compact.claims

    async def _check_signature(self, token: str, header: Mapping[str, Any], settings: IssuerSettings) -> None:
        typ, algorithm, kid = (header.get(name) for name in ("typ", "alg", "kid"))
        if not header.keys() <= _HEADER_MEMBERS or not isinstance(typ, str) or typ.lower() not in _TYPES:
            raise LogoutRefused("The header is not that of a logout token (typ logout+jwt).")
        if algorithm not in settings.algorithms or not isinstance(kid, str | None):
            raise LogoutRefused("alg is not one that this issuer signs with, or kid is not text.")
        try:
            check_signature(token, await self._keys.key(settings.issuer, kid, algorithm), algorithm)
        except (NoSuchKey, BadSignature) as error:
            raise LogoutRefused("The signature is not its issuer's.") from error
        except KeysUnavailable as error:
            raise SignInUnavailable(str(error)) from error


def _checked(claims: Mapping[str, Any], settings: IssuerSettings, now: float) -> tuple[str | None, str | None, float]:
    """(sid, sub, iat): steps 3 to 6. Which `jti` were used (step 7) the store knows; steps 8 and 9, optional, compare
    with ID tokens, which the gateway never gets."""
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if not any(isinstance(each, str) and each in settings.named_at_logout for each in audiences):
        raise LogoutRefused("aud does not name this gateway.")
    issued, expires = _number(claims, "iat"), _number(claims, "exp")
    if issued > now + LEEWAY_SECONDS or not now < expires <= issued + _LONGEST_LIFE:
        raise LogoutRefused("iat or exp is not of now.")
    sid, sub = (_text(claims, name) if name in claims else None for name in ("sid", "sub"))
    if sid is None and sub is None:
        raise LogoutRefused("sid and sub are both missing.")
    events = claims.get("events")
    if not isinstance(events, dict) or not isinstance(events.get(EVENT), dict):
        raise LogoutRefused(f"events does not hold {EVENT}.")
    if "nonce" in claims:
        raise LogoutRefused("nonce must not be there: this is an ID token, perhaps.")
    return sid, sub, issued


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not value or len(value) > _LONGEST_TEXT or not value.isprintable():
        raise LogoutRefused(f"{name} is missing, or not a short text.")
    return value


def _number(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 2**40:
        raise LogoutRefused(f"{name} is missing, or not a date.")
    return value


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
