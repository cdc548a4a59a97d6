"""K29 to K31: one absolute deadline, and an end that is an end."""

from __future__ import annotations

import asyncio
from typing import Final

from connectors.kit.exchange import Exchange
from connectors.kit.fault_server import blackhole, latency, well
from connectors.kit.registry import case, require
from connectors.kit.stand import GRACE, SHORT, Settled, Stand, put_away
from connectors.sdk.model import Outcome

_OPENING: Final = 0.6
"""The part of its time that a connector's first call takes."""
_WATCH: Final = 0.15


@case("K29", "the deadline is absolute")
async def absolute(stand: Stand) -> str:
    before = await stand.well()
    said = "it asks but once"
    if len(before.requests) > 1:
        said = await _one_for_all(stand, before)
    stand.server.fault = well
    past = await stand.ask(seconds=-0.001)
    require(past.outcome is Outcome.TIMED_OUT, f"{past.in_words} when the deadline had passed, where timed-out is due")
    require(not past.requests, "asked the source when the deadline had passed already")
    return f"{said}; no call where none could end in time"


async def _one_for_all(stand: Stand, before: Settled) -> str:
    """The first call takes most of the time, the others hang: they must be given up at the deadline of them all."""
    loop = asyncio.get_running_loop()
    dropped: list[float] = []

    async def hang(exchange: Exchange) -> None:
        await exchange.gone(None)
        dropped.append(loop.time())

    for seconds in (3 * SHORT, 9 * SHORT):  # more, where this machine is too slow for two calls in so little
        first = seconds * _OPENING

        async def slow(exchange: Exchange, first: float = first) -> None:
            opening = exchange.request.key == before.requests[0].key
            await (latency(first) if opening else hang)(exchange)

        stand.server.fault = slow
        started = loop.time()
        settled = await stand.ask(seconds=seconds)
        await stand.server.settled(GRACE)
        if dropped:
            late = max(dropped) - started - seconds
            require(
                late <= first / 2 + settled.longest_lag,
                f"gave a call {late:.2f} s more than there were for all of them",
            )
            return f"{settled.in_words} in {seconds:g} s, of which the first call took {first:.2f}"
    return "no second call could be made in the time"


@case("K30", "cancelled, it stops")
async def cancelled(stand: Stand) -> str:
    before = await stand.well()
    stand.server.fault = blackhole
    for _ in range(3):
        task = stand.start()
        try:
            await _under_way(stand)
            task.cancel()
            await asyncio.wait({task}, timeout=GRACE)
            require(task.done(), "went on after it had been cancelled")
            require(task.cancelled(), "took its cancellation for an answer")
        finally:
            await put_away(task)
        await _quiet(stand, "it had been cancelled")
    stand.server.fault = well
    now = await stand.ask()
    require(now.outcome is before.outcome, f"{now.in_words} after cancelled questions: they kept its connections")
    return "three times: every call ended, and the next question was answered"


@case("K31", "no call outlives the deadline")
async def outlived(stand: Stand) -> str:
    await stand.well()
    stand.server.fault = blackhole
    settled = await stand.ask(seconds=SHORT)
    require(settled.requests, "asked nothing")
    await _quiet(stand, "its deadline had passed")
    return f"{settled.in_words}; every call ended with it"


async def _under_way(stand: Stand) -> None:
    """Wait until a call is under way. Raises Fell where none ever is."""
    loop = asyncio.get_running_loop()
    end = loop.time() + 2.0
    while not stand.server.under_way:
        require(loop.time() < end, "asked nothing")
        await asyncio.sleep(0.005)


async def _quiet(stand: Stand, since: str) -> None:
    """Nothing is under way any more, and nothing new begins."""
    require(await stand.server.settled(GRACE), f"kept {stand.server.under_way} calls under way after {since}")
    count = len(stand.server.requests)
    await asyncio.sleep(_WATCH)
    require(len(stand.server.requests) == count, f"began new calls after {since}")
