"""The authorization code flow with PKCE, for every way to sign in (RFC 6749, RFC 7636, OpenID Connect Core 1.0).

begin    a state, a nonce and a PKCE verifier are made, and sealed into this browser's cookie
         the browser goes to the authorize endpoint
returned this browser began it, not long ago
         `iss`, where it is given, is the server that was asked (RFC 9207)
said     the ID token that came for the code is verified, with its nonce; then the state is burnt

Nothing is kept for whoever hasn't signed in: a stranger who begins, or who comes back with a code that they made up,
costs no row. A second click doesn't send the code again: one at a time comes back (`alone`), and finds the session that
the first one made under the name that follows from what this browser alone holds (`session_of`).
"""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import urlencode
from weakref import WeakValueDictionary

from gateway.caller.keys import Keys
from gateway.launch import pending as pendings
from gateway.launch.entered import Burning, use_up
from gateway.launch.pending import Pending
from gateway.launch.provider import Provider
from gateway.launch.refusals import declined, not_believed
from gateway.launch.session import NAME_LENGTH
from gateway.launch.settings import Client
from gateway.launch.statement import Rules, Statement, short_text, verified
from gateway.sealed import Sealer
from gateway.store.moments import Clock

LONGEST: Final = 2048
"""Characters of what a browser brings: a launch, a code."""
_ID_TOKEN_SECONDS: Final = 24 * 3600.0
_SAID_AGAIN: Final = frozenset({"iss", "sub", "aud", "exp", "iat", "jti"})
"""What some providers write into an ID token's header too (RFC 7519, section 5.3; NHS login, interface specification,
section 4.1: what isn't understood there must be ignored). The claims alone are believed."""
_STATE: Final = "launch-state"


class CodeFlow:
    """One for all servers. `seconds` tells the time since 1970."""

    def __init__(
        self, keys: Keys, marks: Burning, sealer: Sealer, clock: Clock, seconds: Callable[[], float] = time.time
    ) -> None:
        self._keys = keys
        self._marks = marks
        self._sealer = sealer
        self._clock = clock
        self._seconds = seconds
        self._ending: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def begin(self, at: Provider, asked: str, redirect_uri: str, **more: str) -> tuple[str, str]:
        """(where the browser goes, what its cookie holds). `more` are further parameters of the authorize endpoint.
        Raises EhrUnavailable."""
        addresses = await at.addresses()
        pending = pendings.begin(asked, self._clock())
        query = {
            "response_type": "code",
            "client_id": at.client.client_id,
            "redirect_uri": redirect_uri,
            "scope": at.client.scope,
            "state": pending.state,
            "nonce": pending.nonce,
            "code_challenge": pending.challenge,
            "code_challenge_method": "S256",
            **more,
        }
        joint = "&" if "?" in addresses.authorize else "?"
        return f"{addresses.authorize}{joint}{urlencode(query)}", pendings.seal(pending, self._sealer)

    def returned(self, answer: Mapping[str, str], cookie: str) -> Pending:
        """What this browser began. Raises NotSignedIn where the answer isn't of it."""
        pending = pendings.opened(cookie, self._sealer, self._clock())
        if not hmac.compare_digest(answer.get("state", "").encode(), pending.state.encode()):
            raise not_believed("launch.state", "the state is another browser's, or another launch's")
        return pending

    def session_of(self, pending: Pending) -> str:
        """The name of the session that this sign-in makes: a new one, which neither the browser's history nor the
        server that was asked can make, though they know the state and the verifier."""
        halves = (self._sealer.question_tag(f"session of sign-in {half} {pending.verifier}") for half in (1, 2))
        return "".join(halves)[:NAME_LENGTH]

    def alone(self, pending: Pending) -> asyncio.Lock:
        """Held while this sign-in ends, in this worker."""
        return self._ending.setdefault(pending.state, asyncio.Lock())

    async def code(self, answer: Mapping[str, str], at: Provider) -> str:
        """The code that the server sent. Raises NotSignedIn where the answer is another's, Refusal where it is a no.

        RFC 9207: an answer that says whose it is must be of the server that was asked; a promise to say so is kept.
        """
        said = answer.get("iss")
        if said is None and (await at.addresses()).names_itself:
            raise not_believed("launch.mix-up", "the answer doesn't say whose it is, though the server promises that")
        if said is not None and said != at.client.issuer:
            raise not_believed("launch.mix-up", "the answer is another authorization server's")
        if "error" in answer or not 0 < len(answer.get("code", "")) <= LONGEST:
            raise declined()
        return answer["code"]

    async def said(self, id_token: str, by: Client, pending: Pending) -> Statement:
        """OpenID Connect Core 1.0, section 3.1.3.7; the sign-in is used up then. Raises NotSignedIn."""
        rules = Rules(by.client_id, frozenset({None, "jwt"}), _ID_TOKEN_SECONDS, ignored=_SAID_AGAIN)
        statement = await verified(id_token, by, rules, self._keys, self._seconds())
        said = statement.claims.get("nonce")
        if not isinstance(said, str) or not hmac.compare_digest(said.encode(), pending.nonce.encode()):
            raise not_believed("launch.nonce", "the ID token is of another launch")
        short_text(statement.claims, "sub")
        await use_up(self._marks, _STATE, pending.state, pending.expires_at)
        return statement
