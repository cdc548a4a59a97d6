"""Whoever goes away before all had come leaves a row: one, however often and whenever the look is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, cast

import anyio
import pytest

from gateway.audit.journal import Journal
from gateway.caller.model import Caller
from gateway.errors import AuditUnavailable, GatewayError
from gateway.looking import Written


class SlowJournal:
    """A journal that takes its time over a row, until a test lets it go; `fails` instead of writing."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.go = asyncio.Event()
        self.rules: list[str] = []
        self.fails: GatewayError | None = None

    async def refuse(self, error: GatewayError, *_: Any, **__: Any) -> int:
        self.asked.set()
        await self.go.wait()
        if self.fails is not None:
            raise self.fails
        self.rules.append(error.rule)
        return 1


def written(journal: SlowJournal) -> Written:
    return Written(cast(Journal, journal), cast(Caller, None), "request-1", "GET /")


async def look(journal: SlowJournal) -> None:
    async with written(journal).unless_cut_short():
        await asyncio.Event().wait()


async def turns(many: int = 5) -> None:
    for _ in range(many):
        await asyncio.sleep(0)


@pytest.mark.parametrize("again", [0, 1, 3])
async def test_however_often_it_is_cancelled_the_row_is_there_before_the_look_ends(again: int) -> None:
    journal = SlowJournal()
    looking = asyncio.create_task(look(journal))
    await turns()
    looking.cancel()
    await journal.asked.wait()
    for _ in range(again):
        looking.cancel()
        await turns()
    assert (looking.done(), journal.rules) == (False, [])
    journal.go.set()
    with pytest.raises(asyncio.CancelledError):
        await looking
    assert journal.rules == ["live.cut-short"]


async def test_a_second_cancellation_at_once_loses_nothing() -> None:
    journal = SlowJournal()
    journal.go.set()
    looking = asyncio.create_task(look(journal))
    await turns()
    looking.cancel()
    looking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await looking
    assert journal.rules == ["live.cut-short"]


async def test_a_generator_that_is_closed_and_cancelled_meanwhile_is_cancelled_with_its_row() -> None:
    async def parts() -> AsyncGenerator[int, None]:
        async with written(journal).unless_cut_short():
            yield 1

    journal = SlowJournal()
    made = parts()
    assert await anext(made) == 1
    closing = asyncio.create_task(cast(Any, made.aclose()))
    await journal.asked.wait()
    closing.cancel()
    await turns()
    journal.go.set()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert journal.rules == ["live.cut-short"]


async def test_a_scope_that_cancels_again_and_again_waits_for_the_row() -> None:
    journal = SlowJournal()
    async with anyio.create_task_group() as group:
        group.start_soon(look, journal)
        await turns()
        group.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await journal.asked.wait()
            await turns()
            journal.go.set()
    assert journal.rules == ["live.cut-short"]


async def test_a_row_that_cannot_be_written_is_told() -> None:
    journal = SlowJournal()
    journal.fails = AuditUnavailable("full")
    looking = asyncio.create_task(look(journal))
    await turns()
    looking.cancel()
    await journal.asked.wait()
    looking.cancel()
    journal.go.set()
    with pytest.raises(AuditUnavailable):
        await looking


@pytest.mark.parametrize("turns_before_the_end", range(6))
def test_the_end_of_the_loop_waits_for_the_row(turns_before_the_end: int) -> None:
    """A process that is told to stop at once cancels whatever runs, also what is being cancelled, at any moment."""
    journals: list[SlowJournal] = []

    async def main() -> None:
        journals.append(journal := SlowJournal())
        journal.go.set()
        looking = asyncio.create_task(look(journal))
        await turns()
        looking.cancel()
        await turns(turns_before_the_end)

    asyncio.run(main())
    assert journals[0].rules == ["live.cut-short"]


async def test_what_comes_to_its_end_leaves_no_such_row() -> None:
    journal = SlowJournal()
    async with written(journal).unless_cut_short():
        pass
    with pytest.raises(ZeroDivisionError):
        async with written(journal).unless_cut_short():
            raise ZeroDivisionError
    assert not journal.asked.is_set()
