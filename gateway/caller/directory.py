"""What the issuers publish of themselves, for those who ask the gateway where to sign in.

Anybody may ask, so an issuer is never fetched because somebody asks: one fetch at a time for each, at most one each
30 s, and what was had last serves on while the issuer can't be reached. Nothing here decides whom the gateway believes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from gateway import log
from gateway.caller.issuer_document import Fetch, discovered
from gateway.caller.settings import IssuerSettings, check_address

FRESH_SECONDS: Final = 300.0
BETWEEN_SECONDS: Final = 30.0
MOST_SECONDS: Final = 3.0
_ADDRESSES: Final = (
    "authorization_endpoint", "token_endpoint", "jwks_uri", "registration_endpoint", "introspection_endpoint",
    "revocation_endpoint",
)  # fmt: skip
_LISTS: Final = (
    "grant_types_supported", "response_types_supported", "scopes_supported", "code_challenge_methods_supported",
    "token_endpoint_auth_methods_supported", "token_endpoint_auth_signing_alg_values_supported",
    "dpop_signing_alg_values_supported",
)  # fmt: skip
_MOST_VALUES: Final = 500

Published = Mapping[str, Any]
"""Members of RFC 8414 that were checked: `issuer`, addresses, and lists of texts."""


class Directory:
    """The issuers that people sign in at, in the order of the settings. `clock` is monotonic seconds."""

    def __init__(
        self,
        issuers: Iterable[IssuerSettings],
        fetch: Fetch,
        *,
        allow_demo: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._listed = [
            _Listed(settings, fetch, allow_demo, clock)
            for settings in issuers
            if settings.claims.preset.signs_people_in
        ]

    @property
    def issuers(self) -> tuple[IssuerSettings, ...]:
        """All of them."""
        return tuple(one.settings for one in self._listed)

    async def first(self) -> tuple[IssuerSettings, Published] | None:
        """The one that is named where only one can be, and what it publishes; None where there is none, or what it
        publishes was never had."""
        if not self._listed:
            return None
        published = await self._listed[0].published()
        return (self._listed[0].settings, published) if published is not None else None


class _Listed:
    def __init__(self, settings: IssuerSettings, fetch: Fetch, allow_demo: bool, clock: Callable[[], float]) -> None:
        self.settings = settings
        self._fetch = fetch
        self._allow_demo = allow_demo
        self._clock = clock
        self._lock = asyncio.Lock()
        self._had: Published | None = None
        self._had_at = self._asked_at = float("-inf")

    async def published(self) -> Published | None:
        async with self._lock:
            now = self._clock()
            if now - self._had_at >= FRESH_SECONDS and now - self._asked_at >= BETWEEN_SECONDS:
                self._asked_at = now
                await self._refresh(now)
            return self._had

    async def _refresh(self, now: float) -> None:
        try:
            async with asyncio.timeout(MOST_SECONDS):
                document = await discovered(self.settings, self._fetch, allow_demo=self._allow_demo)
            self._had, self._had_at = _read(document, self.settings), now
        except Exception as error:  # whatever the transport raises, what was had last serves on
            log.failed("issuer.discovery-failed", error, issuer=self.settings.issuer)


def _read(document: Mapping[str, Any], settings: IssuerSettings) -> Published:
    """The members that are passed on. Raises ValueError where one is not of its kind: half a document leads astray."""
    published: dict[str, Any] = {"issuer": settings.issuer}
    for name in _ADDRESSES:
        if name in document:
            if not isinstance(document[name], str):
                raise ValueError(f"{name} is not an address")
            check_address(document[name], allow_insecure_loopback=settings.allow_insecure_loopback)
            published[name] = document[name]
    for name in _LISTS:
        if name in document:
            published[name] = _texts(document[name], name)
    return published


def _texts(value: Any, name: str) -> list[str]:
    if not isinstance(value, list) or len(value) > _MOST_VALUES or not all(isinstance(each, str) for each in value):
        raise ValueError(f"{name} is not a list of texts")
    return value
