"""A process that is told to end isn't ready, goes on answering, and is stopped once."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from functools import partial

import pytest
from starlette.types import Message, Receive, Scope, Send

from gateway.ending import Drain, Drained, leave


@pytest.fixture
def stopped() -> Iterator[list[int]]:
    """Where a server's own handler notes that it was called."""
    found: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: found.append(number))
    yield found
    signal.signal(signal.SIGTERM, before)


async def nothing() -> Message:
    return {"type": "lifespan.startup"}


async def nowhere(_: Message) -> None:
    pass


async def empty(_scope: Scope, _receive: Receive, _send: Send) -> None:
    pass


async def test_sigterm_begins_the_drain_and_the_server_is_told_when_it_is_over(stopped: list[int]) -> None:
    drain = Drain(0.0)
    await Drained(empty, drain)({"type": "lifespan"}, nothing, nowhere)
    os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(30):
        while not stopped:  # noqa: ASYNC110 - a signal handler has noted it
            await asyncio.sleep(0)
    assert (drain.begun, stopped) == (True, [signal.SIGTERM])


async def test_who_is_told_twice_is_stopped_once_and_not_before_its_time() -> None:
    calls: list[str] = []
    drain = Drain(3600.0)
    drain.begin(partial(calls.append, "first"))
    assert drain.begun
    drain = Drain(0.0)
    drain.begin(partial(calls.append, "only"))
    drain.begin(partial(calls.append, "again"))
    await asyncio.sleep(0.01)
    assert calls == ["only"]


async def test_requests_change_no_signal_handler(stopped: list[int]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    await Drained(empty, Drain(0.0))({"type": "http"}, nothing, nowhere)
    assert signal.getsignal(signal.SIGTERM) is before


async def test_a_server_that_leaves_signals_alone_is_left_alone() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        Drain(0.0).listen()
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_process_that_was_told_to_end_ends_well() -> None:
    with pytest.raises(SystemExit) as ended:
        leave(signal.SIGTERM, None)
    assert ended.value.code == 0
