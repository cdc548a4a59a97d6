"""Answers as they come: each once, what follows from one at once, and nothing left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from connectors.sdk.model import Answer, Ask, Outcome
from gateway.coming import Coming
from tests.unit.pipeline import an_ask


class Calls:
    """Calls that end when a test says so."""

    def __init__(self, *sources: str) -> None:
        self.ends = {source: asyncio.get_running_loop().create_future() for source in sources}
        self.cut: list[str] = []
        self.asked = {source: asyncio.Event() for source in sources}

    async def ask_one(self, source: str, _: Ask) -> Answer:
        self.asked[source].set()
        try:
            await self.ends[source]
        except asyncio.CancelledError:
            self.cut.append(source)
            raise
        return Answer(source, Outcome.ANSWERED)

    def end(self, *sources: str) -> None:
        for source in sources:
            self.ends[source].set_result(None)


def nothing_follows(_: Answer) -> Mapping[str, Ask]:
    return {}


async def test_those_that_came_come_together_and_the_rest_is_waited_for() -> None:
    calls = Calls("A", "B", "C")
    async with Coming(calls.ask_one, dict.fromkeys("CAB", an_ask()), nothing_follows) as coming:
        calls.end("B", "A")
        assert [answer.source for answer in await coming.next()] == ["A", "B"]
        assert coming.waiting == {"C"}
        calls.end("C")
        assert [answer.source for answer in await coming.next()] == ["C"]
        assert (await coming.next(), coming.waiting) == ([], frozenset())


async def test_who_has_something_to_do_meanwhile_takes_what_came_and_waits_for_nobody() -> None:
    calls = Calls("A", "B")
    async with Coming(calls.ask_one, dict.fromkeys("AB", an_ask()), nothing_follows) as coming:
        assert await coming.next(waits=False) == []
        calls.end("A")
        assert [answer.source for answer in await coming.next()] == ["A"]
        assert (await coming.next(waits=False), coming.waiting) == ([], {"B"})


async def test_what_follows_is_asked_before_anybody_takes_the_answer() -> None:
    calls = Calls("REGISTER", "PRACTICE")
    asks = {"PRACTICE": an_ask()}
    async with Coming(
        calls.ask_one, {"REGISTER": an_ask()}, lambda answer: asks if answer.source == "REGISTER" else {}
    ) as coming:
        calls.end("REGISTER")
        await calls.asked["PRACTICE"].wait()
        assert coming.waiting == {"REGISTER", "PRACTICE"}
        assert [answer.source for answer in await coming.next()] == ["REGISTER"]


async def test_leaving_ends_what_is_under_way() -> None:
    calls = Calls("A", "B")
    async with Coming(calls.ask_one, dict.fromkeys("AB", an_ask()), nothing_follows) as coming:
        calls.end("A")
        await coming.next()
    assert calls.cut == ["B"]


async def test_a_fault_in_what_follows_is_raised() -> None:
    def broken(_: Answer) -> Mapping[str, Ask]:
        raise ZeroDivisionError

    calls = Calls("A")
    async with Coming(calls.ask_one, {"A": an_ask()}, broken) as coming:
        calls.end("A")
        with pytest.raises(ZeroDivisionError):
            await coming.next()
