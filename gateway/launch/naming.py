"""Who signed in: from what an authorization server gave for a code to somebody whom the caller step believes, and the
same person again on every later page of their session."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from gateway.caller.model import Caller
from gateway.caller.presented import Presented
from gateway.caller.tokens import VerifiedToken
from gateway.launch.people import People
from gateway.launch.provider import Provider, Tokens
from gateway.launch.refusals import not_believed
from gateway.launch.session import Session
from gateway.launch.settings import EhrSettings, Registered, SignInSettings
from gateway.launch.statement import Statement
from gateway.store.moments import from_seconds


class Identifying(Protocol):
    """The caller step, as a sign-in needs it."""

    async def identify(self, presented: Presented) -> Caller: ...

    async def believe(self, token: str) -> VerifiedToken:
        """An access token that needs no proof of possession: it never left this gateway."""
        ...


@dataclass(frozen=True, slots=True)
class Named:
    """Somebody who signed in. Their session holds `token` or `claims`; `until` is when the sign-in ends by itself."""

    person: VerifiedToken
    token: str
    claims: Mapping[str, Any]
    until: datetime | None


class Naming:
    """Names people whom registered systems let in."""

    def __init__(self, registered: Iterable[Registered], people: People, callers: Identifying) -> None:
        self._registered = {one.registration: one for one in registered}
        self._people = people
        self._callers = callers

    async def named(
        self,
        at: Provider,
        by: EhrSettings | SignInSettings,
        tokens: Tokens,
        id_token: Statement,
        *,
        not_theirs: str | None = None,
    ) -> Named:
        """`not_theirs` is a claim of the ID token that isn't about the person. Raises NotSignedIn where they can't be
        believed, EhrUnavailable, CallerRefused as `People.stated`."""
        if by.users == "access-token":
            token = await self._callers.believe(tokens.access_token)
            if by.issuer == by.counts_as and token.claims["sub"] != id_token.claims["sub"]:
                raise not_believed("launch.subject", "the access token is another person's than the ID token")
            self._people.require_own(by, token)
            return Named(token, tokens.access_token, {}, from_seconds(token.expires))
        claims = {name: value for name, value in id_token.claims.items() if name != not_theirs}
        if by.users == "userinfo":
            claims = {**await said_at_userinfo(at, tokens, id_token), **claims}
        token_id = f"launch-{id_token.claims.get('jti') or id_token.claims['nonce'][:16]}"
        person = self._people.stated(by, id_token, claims, client=by.client_id, token_id=token_id)
        return Named(person, "", person.claims, None)

    async def presented(self, session: Session) -> Presented:
        """What the person of a session presents for sign-in: believed anew on every page.

        Raises NotSignedIn where their access token isn't accepted any more, or the system that let them in isn't
        registered any more, or not for their organisation.
        """
        by = self._registered.get(session.registration)
        if by is None:
            raise not_believed("session.registration", "the system that began the session was taken away")
        if session.token:
            token = await self._callers.believe(session.token)
        else:
            token = self._people.again(session.counts_as, session.claims)
        self._people.require_still_own(by, token)
        return Presented.stated(token)


async def said_at_userinfo(at: Provider, tokens: Tokens, id_token: Statement) -> Mapping[str, Any]:
    """OpenID Connect Core 1.0, section 5.3.2: `sub` must be the ID token's. Raises NotSignedIn, EhrUnavailable."""
    said = await at.userinfo(tokens.access_token)
    if said.get("sub") != id_token.claims["sub"]:
        raise not_believed("launch.userinfo", "userinfo is of somebody else")
    return said
