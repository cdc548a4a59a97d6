"""The issuers' public keys: fetched when needed, kept for minutes, and never fetched because an attacker asks.

One fetch at a time for each issuer, whoever waits; at most one each 30 s, whatever `kid` the tokens name. A key that
the issuer has taken away is refused as soon as the set is fetched again, at most 300 s later. While the issuer can't
be reached the keys last known serve on, and nobody waits for the next attempt, for an hour at most: then nobody can be
told apart, and nobody gets in.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from gateway import log
from gateway.caller.compact import Malformed
from gateway.caller.issuer_document import Fetch, bounded, discovered
from gateway.caller.jwk import NoSuchKey, VerifyingKey, VerifyingKeys, read_key_set
from gateway.caller.settings import IssuerSettings, check_address

MOST_SECONDS: Final = 3.0
"""For a whole refresh: the discovery document and the key set together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyTimes:
    """Seconds. `fresh`: a set is believed without asking. `between`: least time from one refresh to the next.

    `first`: as `between`, while no set was ever fetched. `kept`: a set is believed at all while refreshing fails.
    """

    fresh: float = 300.0
    between: float = 30.0
    first: float = 2.0
    kept: float = 3600.0


class KeysUnavailable(Exception):
    """The issuer's keys were never had, or are too old to believe."""


class Keys:
    """The key sets of all issuers. `clock` is monotonic seconds."""

    def __init__(
        self,
        issuers: Iterable[IssuerSettings],
        fetch: Fetch,
        *,
        allow_demo: bool = False,
        clock: Callable[[], float] = time.monotonic,
        times: KeyTimes | None = None,
    ) -> None:
        self._of = {
            settings.issuer: _IssuerKeys(settings, fetch, allow_demo, clock, times or KeyTimes())
            for settings in issuers
        }

    async def key(self, issuer: str, kid: str | None, algorithm: str) -> VerifyingKey:
        """The key for a token of that issuer. Raises NoSuchKey or KeysUnavailable."""
        return await self._of[issuer].key(kid, algorithm)

    async def aclose(self) -> None:
        """End refreshes that are still under way."""
        for keys in self._of.values():
            await keys.aclose()


class _IssuerKeys:
    def __init__(
        self, settings: IssuerSettings, fetch: Fetch, allow_demo: bool, clock: Callable[[], float], times: KeyTimes
    ) -> None:
        self._settings = settings
        self._fetch = fetch
        self._allow_demo = allow_demo
        self._clock = clock
        self._times = times
        self._known: VerifyingKeys | None = None
        self._known_at = 0.0
        self._asked_at: float | None = None
        self._failing = False
        self._flight: asyncio.Task[None] | None = None

    async def key(self, kid: str | None, algorithm: str) -> VerifyingKey:
        if not self._is_fresh() and self._may_ask():
            refresh = self._start()
            if not (self._failing and self._is_kept()):
                await asyncio.shield(refresh)
        try:
            return self._believed().pick(kid, algorithm)
        except NoSuchKey:
            if not self._may_ask():
                raise
        # One who stops waiting must not stop the refresh for the others.
        await asyncio.shield(self._start())
        return self._believed().pick(kid, algorithm)

    def _is_fresh(self) -> bool:
        return self._known is not None and self._clock() - self._known_at < self._times.fresh

    def _is_kept(self) -> bool:
        return self._known is not None and self._clock() - self._known_at < self._times.kept

    def _may_ask(self) -> bool:
        if self._flight is not None or self._asked_at is None:
            return True
        pause = self._times.first if self._known is None else self._times.between
        return self._clock() - self._asked_at >= pause

    def _believed(self) -> VerifyingKeys:
        if self._known is None or not self._is_kept():
            raise KeysUnavailable(f"no current keys of {self._settings.issuer}")
        return self._known

    def _start(self) -> asyncio.Task[None]:
        """The refresh under way, or a new one."""
        if self._flight is None:
            self._asked_at = self._clock()
            self._flight = asyncio.create_task(self._refresh(self._asked_at))
            self._flight.add_done_callback(self._landed)
        return self._flight

    def _landed(self, _task: asyncio.Task[None]) -> None:
        self._flight = None

    async def _refresh(self, asked_at: float) -> None:
        try:
            async with asyncio.timeout(MOST_SECONDS):
                keys = await self._fetch_keys()
        except Exception as error:  # whatever the transport raises, the keys last known serve on
            self._failing = True
            log.failed("keys.refresh-failed", error, issuer=self._settings.issuer)
            return
        self._known, self._known_at, self._failing = keys, asked_at, False
        log.event("keys.refreshed", issuer=self._settings.issuer, count=len(keys))

    async def _fetch_keys(self) -> VerifyingKeys:
        address = self._settings.jwks_uri or await self._discover()
        return read_key_set(await bounded(self._fetch, address), allow_demo=self._allow_demo)

    async def _discover(self) -> str:
        document = await discovered(self._settings, self._fetch, allow_demo=self._allow_demo)
        address = document.get("jwks_uri")
        if not isinstance(address, str):
            raise Malformed("the discovery document names no jwks_uri")
        check_address(address, allow_insecure_loopback=self._settings.allow_insecure_loopback)
        return address

    async def aclose(self) -> None:
        if self._flight is not None:
            self._flight.cancel()
            await asyncio.wait([self._flight])
