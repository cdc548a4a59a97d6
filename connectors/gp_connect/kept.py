"""What was looked up in the directory, kept for a while, and what is being looked up now. Routing data alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from connectors.sdk.errors import SourceTimeout

LOOKUP_SECONDS: Final = 3.0
"""How long one look-up may take in all, whoever waits for it."""

_MOST: Final = 512

_T = TypeVar("_T")


class Kept:
    """What was looked up, for a while, and what is being looked up now."""

    def __init__(self, ttl: float) -> None:
        self._ttl = ttl
        self._values: dict[tuple[str, str], tuple[float, Any]] = {}
        self._tasks: dict[tuple[str, str], asyncio.Task[Any]] = {}

    async def get(
        self, key: tuple[str, str], deadline: float, look_up: Callable[[float], Coroutine[Any, Any, _T]]
    ) -> _T:
        """The value, kept or looked up. Raises what the look-up raises, or SourceTimeout at the deadline."""
        now = asyncio.get_running_loop().time()
        until, value = self._values.get(key, (0.0, None))
        if now < until:
            kept: _T = value
            return kept
        try:
            async with asyncio.timeout_at(deadline):
                found: _T = await asyncio.shield(self._under_way(key, look_up, now))
        except TimeoutError as error:
            raise SourceTimeout("the deadline passed while the directory was asked") from error
        return found

    def _under_way(
        self, key: tuple[str, str], look_up: Callable[[float], Coroutine[Any, Any, _T]], now: float
    ) -> asyncio.Task[_T]:
        if key not in self._tasks:
            task = asyncio.create_task(self._look_up(key, look_up, now))
            self._tasks[key] = task
            task.add_done_callback(lambda ended: self._done(key, ended))
        return self._tasks[key]

    def _done(self, key: tuple[str, str], ended: asyncio.Task[Any]) -> None:
        del self._tasks[key]
        if not ended.cancelled():
            ended.exception()  # Those who waited may all have left before it failed.

    async def _look_up(
        self, key: tuple[str, str], look_up: Callable[[float], Coroutine[Any, Any, _T]], now: float
    ) -> _T:
        value = await look_up(now + LOOKUP_SECONDS)
        if len(self._values) >= _MOST:
            self._values.clear()
        self._values[key] = (now + self._ttl, value)
        return value

    async def aclose(self) -> None:
        """Give up what is being looked up."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
