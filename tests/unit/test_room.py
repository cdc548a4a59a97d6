"""As many looks at once as can be read in time; the rest wait their turn, and nobody waits for ever."""

from __future__ import annotations

import asyncio

import pytest

from gateway.errors import Busy
from gateway.room import Room


class Held:
    """A look that is under way until it is let go."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self.inside = asyncio.Event()
        self.goes = asyncio.Event()

    async def run(self) -> None:
        async with self._room.place():
            self.inside.set()
            await self.goes.wait()


async def test_the_rest_wait_until_there_is_room() -> None:
    room = Room(2, patience=30, longest=30)
    looks = [Held(room) for _ in range(3)]
    running = [asyncio.ensure_future(look.run()) for look in looks]
    await asyncio.gather(looks[0].inside.wait(), looks[1].inside.wait())
    for _ in range(10):
        await asyncio.sleep(0)
    assert not looks[2].inside.is_set()
    looks[0].goes.set()
    await looks[2].inside.wait()
    for look in looks:
        look.goes.set()
    await asyncio.gather(*running)


async def test_whoever_waits_too_long_is_told_and_takes_no_place() -> None:
    room = Room(1, patience=0.01, longest=30)
    first = Held(room)
    running = asyncio.ensure_future(first.run())
    await first.inside.wait()
    with pytest.raises(Busy) as told:
        await Held(room).run()
    assert told.value.status == 503
    assert told.value.headers["Retry-After"] == "5"
    first.goes.set()
    await running
    after = Held(room)
    after.goes.set()
    await after.run()


async def test_a_slow_reader_keeps_nobody_out_for_long() -> None:
    room = Room(1, patience=30, longest=0.01)
    slow, next_one = Held(room), Held(room)
    running = asyncio.ensure_future(slow.run())
    await slow.inside.wait()
    next_one.goes.set()
    await next_one.run()
    slow.goes.set()
    await running
    again, beside = Held(room), Held(room)
    others = [asyncio.ensure_future(again.run()), asyncio.ensure_future(beside.run())]
    await again.inside.wait()
    assert not beside.inside.is_set(), "the slow one gave its place back once"
    again.goes.set()
    beside.goes.set()
    await asyncio.gather(*others)


async def test_a_look_that_fails_or_is_given_up_gives_its_place_back() -> None:
    room = Room(1, patience=30, longest=30)
    with pytest.raises(ValueError, match="broken"):
        async with room.place():
            raise ValueError("broken")
    given_up = Held(room)
    running = asyncio.ensure_future(given_up.run())
    await given_up.inside.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    after = Held(room)
    after.goes.set()
    await after.run()
