"""Bodies that grow big are read one after the other, so that a dozen at once cost the memory of one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from connectors.sdk.budget import BIG, Budget
from connectors.sdk.errors import TooMuch, Unreachable
from connectors.sdk.intake import read_bounded

CHUNK = 64 * 1024
CHUNKS = 2 * BIG // CHUNK
MOST = 4 * BIG


class Body:
    """A body of so many chunks, which counts what was taken of it. `ends` is raised after the last one."""

    status = 200

    def __init__(self, chunks: int, ends: Exception | None = None) -> None:
        self.taken = 0
        self._chunks = chunks
        self._ends = ends

    def header(self, name: str) -> str:
        return ""

    async def chunks(self) -> AsyncIterator[bytes]:
        for _ in range(self._chunks):
            self.taken += 1
            yield b"x" * CHUNK
            await asyncio.sleep(0)
        if self._ends is not None:
            raise self._ends


async def read(bodies: list[Body], budget: Budget) -> list[int]:
    """Reads all of them at once. How much there was of each further one when the one before it was whole."""
    there: list[int] = []

    async def one(number: int) -> None:
        with suppress(TooMuch, Unreachable):
            await read_bounded(bodies[number], MOST, budget)
        there.extend(body.taken for body in bodies[number + 1 : number + 2])

    await asyncio.gather(*map(one, range(len(bodies))))
    assert [body.taken for body in bodies] == [CHUNKS] * len(bodies)
    return there


async def test_big_bodies_of_one_question_are_read_one_after_the_other() -> None:
    waiting = BIG // CHUNK + 1  # the chunk that makes it big has come, and no further one is taken
    assert set(await read([Body(CHUNKS) for _ in range(4)], Budget())) == {waiting}


async def test_those_of_two_questions_do_not_wait_for_each_other() -> None:
    first, second = Body(CHUNKS), Body(CHUNKS)
    budgets = Budget(), Budget()
    async with asyncio.timeout(5), budgets[0].alone:
        reading = asyncio.create_task(read_bounded(first, MOST, budgets[0]))
        assert len(await read_bounded(second, MOST, budgets[1])) == CHUNKS * CHUNK
    assert len(await reading) == CHUNKS * CHUNK


async def test_small_ones_wait_for_nobody() -> None:
    budget = Budget()
    async with asyncio.timeout(5), budget.alone:
        assert len(await read_bounded(Body(BIG // CHUNK), MOST, budget)) == BIG


@pytest.mark.parametrize("end", [Unreachable("gone"), TooMuch("too much")])
async def test_one_that_fails_lets_the_next_one_in(end: Exception) -> None:
    async with asyncio.timeout(5):
        await read([Body(CHUNKS, end), Body(CHUNKS)], Budget())


async def test_one_that_is_given_up_while_it_waits_leaves_the_door_as_it_was() -> None:
    budget = Budget()
    async with budget.alone:
        waiting = asyncio.create_task(read_bounded(Body(CHUNKS), MOST, budget))
        for _ in range(10 * CHUNKS):  # until it has grown big, and waits
            await asyncio.sleep(0)
        waiting.cancel()
        with suppress(asyncio.CancelledError):
            await waiting
        assert budget.alone.locked()
    assert not budget.alone.locked()
