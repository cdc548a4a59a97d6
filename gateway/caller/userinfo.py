"""The userinfo endpoint, for issuers whose tokens leave out who somebody is and which roles they hold.

Source: OpenID Connect Core 1.0, section 5.3; NHS Care Identity, which says roles there. It is asked once for a token,
whoever waits, and believed for a minute at most and never beyond the token's `exp`. What is remembered is found by the
token's SHA-256; no token is kept.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from connectors.sdk.errors import Refused
from gateway import log
from gateway.caller.compact import Malformed, strict_json
from gateway.caller.issuer_document import Fetch, bounded, discovered
from gateway.caller.refusals import SignInUnavailable, not_signed_in
from gateway.caller.settings import IssuerSettings, check_address
from gateway.caller.tokens import VerifiedToken
from gateway.errors import GatewayError, NotSignedIn

FetchAs = Callable[[str, str], Awaitable[bytes]]
"""One bounded GET without redirects, of (url, access token) as its bearer."""

KEPT_SECONDS: Final = 60.0
REST_SECONDS: Final = 5.0
"""After a failure nobody asks again for the same token for so long: an endpoint that is down isn't asked harder."""
MOST_SECONDS: Final = 3.0
_ADDRESS_SECONDS: Final = 300.0
_REMEMBERED: Final = 512


@dataclass(frozen=True, slots=True)
class _Kept:
    """What was said, or what makes the error that is raised, until a moment (seconds since 1970)."""

    until: float
    said: Mapping[str, Any] | None = None
    error: Callable[[], GatewayError] | None = None


class Userinfo:
    """`clock` is seconds since 1970."""

    def __init__(
        self, fetch: Fetch, fetch_as: FetchAs, *, allow_demo: bool = False, clock: Callable[[], float] = time.time
    ) -> None:
        self._fetch = fetch
        self._fetch_as = fetch_as
        self._allow_demo = allow_demo
        self._clock = clock
        self._kept: OrderedDict[bytes, _Kept] = OrderedDict()
        self._asking: dict[bytes, asyncio.Task[_Kept]] = {}
        self._addresses: dict[str, tuple[float, str | None]] = {}

    async def of(self, token: VerifiedToken, encoded: str) -> Mapping[str, Any] | None:
        """What the issuer says of the token's person; None where it has no such endpoint.

        Raises NotSignedIn where it no longer accepts the token, or speaks of somebody else; SignInUnavailable where it
        can't be asked.
        """
        digest = hashlib.sha256(encoded.encode()).digest()
        kept = self._kept.get(digest)
        if kept is None or kept.until <= self._clock():
            # One who stops waiting must not stop the question for the others.
            kept = await asyncio.shield(self._asked(digest, token, encoded))
        if kept.error is not None:
            raise kept.error()
        return kept.said

    async def aclose(self) -> None:
        """End questions that are still under way."""
        waiting = list(self._asking.values())
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    def _asked(self, digest: bytes, token: VerifiedToken, encoded: str) -> asyncio.Task[_Kept]:
        """The question under way, or a new one."""
        task = self._asking.get(digest)
        if task is None:
            task = self._asking[digest] = asyncio.create_task(self._ask(digest, token, encoded))
            task.add_done_callback(lambda _: self._asking.pop(digest, None))
        return task

    async def _ask(self, digest: bytes, token: VerifiedToken, encoded: str) -> _Kept:
        begun = self._clock()
        until = min(begun + KEPT_SECONDS, token.expires)
        try:
            async with asyncio.timeout(MOST_SECONDS):
                said = await self._say(token, encoded)
            kept = _Kept(until, said)
        except Refused:
            kept = _Kept(until, error=_no_longer)
        except _AnotherPerson:
            kept = _Kept(until, error=_another)
        except Exception as error:  # whatever the transport raises, nobody can be told apart now
            log.failed("userinfo.failed", error, issuer=token.issuer)
            kept = _Kept(begun + REST_SECONDS, error=partial(SignInUnavailable, f"no userinfo from {token.issuer}"))
        self._remember(digest, kept)
        return kept

    async def _say(self, token: VerifiedToken, encoded: str) -> Mapping[str, Any] | None:
        address = await self._address(token.settings)
        if address is None:
            return None
        said = strict_json(await bounded(lambda url: self._fetch_as(url, encoded), address))
        if not isinstance(said, dict):
            raise Malformed("not a JSON object")
        if said.get("sub") != token.claims["sub"]:  # section 5.3.2: such an answer must not be used
            raise _AnotherPerson
        return said

    async def _address(self, settings: IssuerSettings) -> str | None:
        if settings.userinfo_uri is not None or settings.jwks_uri is not None:
            return settings.userinfo_uri
        known = self._addresses.get(settings.issuer)
        if known is not None and known[0] > self._clock():
            return known[1]
        document = await discovered(settings, self._fetch, allow_demo=self._allow_demo)
        address = document.get("userinfo_endpoint")
        if address is not None:
            if not isinstance(address, str):
                raise Malformed("userinfo_endpoint is not text")
            check_address(address, allow_insecure_loopback=settings.allow_insecure_loopback)
        self._addresses[settings.issuer] = (self._clock() + _ADDRESS_SECONDS, address)
        return address

    def _remember(self, digest: bytes, kept: _Kept) -> None:
        self._kept[digest] = kept
        self._kept.move_to_end(digest)
        if len(self._kept) > _REMEMBERED:
            self._kept.popitem(last=False)


def _no_longer() -> NotSignedIn:
    return not_signed_in("token.userinfo", "its issuer no longer accepts the token")


def _another() -> NotSignedIn:
    return not_signed_in("token.userinfo", "userinfo is about somebody else")


class _AnotherPerson(Exception):
    """The answer's `sub` isn't the token's."""
