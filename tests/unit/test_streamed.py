"""Parts as one response: nothing before the first, an end in words, and nobody waited for who doesn't read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable

import pytest
from starlette.requests import ClientDisconnect
from starlette.types import Message

from gateway.api.streamed import Streamed
from gateway.errors import AuditUnavailable, GatewayError
from gateway.shown import Rendered

SCOPE = {"type": "http"}


async def parts(*bodies: bytes, then: Exception | None = None) -> AsyncGenerator[Rendered, None]:
    for body in bodies:
        yield Rendered(body, {}, [])
    if then is not None:
        raise then


def streamed(made: AsyncGenerator[Rendered, None], patience: float = 60.0) -> Streamed:
    return Streamed(made, lambda error: f"stopped: {error.rule}".encode(), {"Content-Type": "x/y"}, patience=patience)


async def run(response: Streamed, send: Callable[[Message], Awaitable[None]] | None = None) -> list[Message]:
    sent: list[Message] = []

    async def keep(message: Message) -> None:
        sent.append(message)

    async def still_there() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    await response(SCOPE, still_there, send or keep)
    return sent


async def test_each_part_is_a_piece_and_no_length_is_told() -> None:
    start, first, second, end = await run(streamed(parts(b"a", b"b")))
    names = {name for name, _ in start["headers"]}
    assert (start["status"], b"content-length" in names, b"x-accel-buffering" in names) == (200, False, True)
    assert [first["body"], second["body"], end["body"], end["more_body"]] == [b"a", b"b", b"", False]


async def test_what_stands_against_the_first_part_is_raised_before_anything_is_sent() -> None:
    sent: list[Message] = []

    async def keep(message: Message) -> None:
        sent.append(message)

    with pytest.raises(AuditUnavailable):
        await run(streamed(parts(then=AuditUnavailable("full"))), keep)
    assert sent == []


async def test_what_stands_against_a_later_part_is_told_and_ends_the_answer() -> None:
    _, first, told, end = await run(streamed(parts(b"a", then=GatewayError("No.", rule="choice.opted-out"))))
    assert (first["body"], told["body"], end["more_body"]) == (b"a", b"stopped: choice.opted-out", False)


async def test_a_fault_cuts_the_answer_off_so_that_nobody_takes_it_for_whole() -> None:
    sent: list[Message] = []

    async def keep(message: Message) -> None:
        sent.append(message)

    with pytest.raises(ZeroDivisionError):
        await run(streamed(parts(b"a", then=ZeroDivisionError())), keep)
    assert sent[-1]["more_body"]


async def test_who_does_not_read_is_gone_and_the_parts_are_closed() -> None:
    closed = []

    async def made() -> AsyncGenerator[Rendered, None]:
        try:
            yield Rendered(b"a", {}, [])
        finally:
            closed.append(True)

    async def never(message: Message) -> None:
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()

    with pytest.raises(ClientDisconnect):
        await run(streamed(made(), patience=0.01), never)
    assert closed == [True]
