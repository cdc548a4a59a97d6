"""Step 6 of a live look: the Answers as they come, one for each Ask, by the same deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING

from connectors.sdk.model import Answer, Ask

if TYPE_CHECKING:
    from gateway.fan_out import Follow


class Coming:
    """The calls of one look, all under way from the moment it's entered; leaving it ends those that still are.

    An Ask that follows from an Answer goes out when that Answer comes, however slowly the Answers are taken.
    """

    def __init__(
        self, ask_one: Callable[[str, Ask], Awaitable[Answer]], asks: Mapping[str, Ask], follow: Follow
    ) -> None:
        self._ask_one = ask_one
        self._asks = asks
        self._follow = follow
        self._calls: dict[str, asyncio.Task[Answer]] = {}

    async def __aenter__(self) -> Coming:
        self._start(self._asks)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        calls = list(self._calls.values())
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    @property
    def waiting(self) -> frozenset[str]:
        """The sources whose Answer hasn't been taken yet."""
        return frozenset(self._calls)

    async def next(self, *, waits: bool = True) -> list[Answer]:
        """Every Answer that came since the last time, in order of ODS code; where there is none, `waits` for one. Empty
        where none is to come."""
        if self._calls and waits:
            await asyncio.wait(list(self._calls.values()), return_when=asyncio.FIRST_COMPLETED)
        came = sorted(source for source, call in self._calls.items() if call.done())
        return [self._calls.pop(source).result() for source in came]

    def _start(self, asks: Mapping[str, Ask]) -> None:
        for source, ask in asks.items():
            self._calls[source] = asyncio.create_task(self._call(source, ask))

    async def _call(self, source: str, ask: Ask) -> Answer:
        answer = await self._ask_one(source, ask)
        self._start(self._follow(answer))
        return answer
