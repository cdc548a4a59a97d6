"""How many looks are under way at once. The rest wait their turn, before their sources' deadline begins to run.

Two hundred looks that begin together would share one processor, and none would be read before its deadline: every one
of them would say that sources didn't answer which did. So as many begin as can be read in time, and memory is bounded
by them. Whoever waits too long is told to come again, and never that nothing is recorded.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.errors import Busy
from gateway.observe.meters import LOOK_WAIT_SECONDS


class Room:
    """`places` looks at once; a place is waited for `patience` seconds, and is given back after `longest` seconds at
    the latest: somebody who reads a stream slowly keeps nobody else out. `under_way` and `waiting` say how many are."""

    def __init__(self, places: int, *, patience: float, longest: float) -> None:
        self.places = places
        self.under_way = 0
        self.waiting = 0
        self._free = asyncio.Semaphore(places)
        self._patience = patience
        self._longest = longest

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Holds a place. Raises Busy."""
        await self._wait()
        self.under_way += 1
        given_back = False

        def give_back() -> None:
            nonlocal given_back
            if not given_back:
                given_back = True
                self.under_way -= 1
                self._free.release()

        at_the_latest = asyncio.get_running_loop().call_later(self._longest, give_back)
        try:
            yield
        finally:
            at_the_latest.cancel()
            give_back()

    async def _wait(self) -> None:
        self.waiting += 1
        try:
            with LOOK_WAIT_SECONDS.time():
                async with asyncio.timeout(self._patience):
                    await self._free.acquire()
        except TimeoutError:
            raise Busy from None
        finally:
            self.waiting -= 1
