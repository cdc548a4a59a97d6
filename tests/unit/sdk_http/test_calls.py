"""The one HTTP module against servers that misbehave on the wire, over both transports: calls and connections."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from connectors.sdk.errors import SourceTimeout, Unreachable, Unwell
from connectors.sdk.http import Limits, SourceClient
from tests.unit.sdk_http.calls import QUICK, Failing, Open
from tests.wire import BUNDLE, Line, reply, saying, serving, silence, soon

# ---- the absolute deadline ----


async def drip_body(line: Line) -> None:
    await line.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/fhir+json\r\ncontent-length: 1000\r\n\r\n")
    while True:
        await line.send(b" ")
        await asyncio.sleep(0.05)


async def drip_head(line: Line) -> None:
    await line.send(b"HTTP/1.1 200 OK\r\nx-slow: ")
    while True:
        await line.send(b"a")
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("play", [drip_body, drip_head, silence])
async def test_the_deadline_cuts_what_never_ends(opened: Open, play: Any) -> None:
    async with serving(play) as wire, opened(wire.url) as client:
        started = time.monotonic()
        with pytest.raises(SourceTimeout):
            await client.get("Patient", deadline=soon(QUICK))
        assert time.monotonic() - started < QUICK + 10
        assert len(wire.lines) == 1


@pytest.fixture
def full_house() -> Iterator[str]:
    """The address of a server whose queue is full: a new connection is neither accepted nor refused."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(3):
            guest = stack.enter_context(socket.socket())
            guest.setblocking(False)
            guest.connect_ex(server.getsockname())
        yield f"http://127.0.0.1:{server.getsockname()[1]}/fhir"


@pytest.mark.parametrize(("connect_timeout", "seconds"), [(30.0, QUICK), (QUICK, 30.0)])
async def test_a_connection_that_hangs_is_cut_by_either_limit(
    opened: Open, full_house: str, connect_timeout: float, seconds: float
) -> None:
    async with opened(full_house, Limits(connect_timeout=connect_timeout)) as client:
        started = time.monotonic()
        with pytest.raises(SourceTimeout):
            await client.get("Patient", deadline=soon(seconds))
        assert time.monotonic() - started < QUICK + 10
        assert client.calls == 1


async def test_a_call_after_its_deadline_never_goes_out(opened: Open) -> None:
    async with serving(saying(reply())) as wire, opened(wire.url) as client:
        await client.get("Patient", deadline=soon())
        with pytest.raises(SourceTimeout):
            await client.get("Patient", deadline=soon(-1))
        assert len(wire.lines) == client.calls == 1


# ---- the pool ----


async def test_a_cancelled_call_gives_its_connection_back(opened: Open) -> None:
    under_way = asyncio.Event()

    async def play(line: Line) -> None:
        if "hang" in line.target:
            under_way.set()
            await silence(line)
        else:
            await line.send(reply())

    async with serving(play) as wire, opened(wire.url, Limits(connections=1)) as client:
        for _ in range(3):
            hanging = asyncio.create_task(client.get("hang", deadline=soon()))
            await asyncio.wait_for(under_way.wait(), 60)
            under_way.clear()
            hanging.cancel()
            with pytest.raises(asyncio.CancelledError):
                await hanging
            assert await client.get("Patient", deadline=soon(60)) == BUNDLE


async def test_a_broken_off_answer_gives_its_connection_back(opened: Open) -> None:
    async def play(line: Line) -> None:
        await (line.send(reply()) if "whole" in line.target else drip_body(line))

    async with serving(play) as wire, opened(wire.url, Limits(connections=1)) as client:
        for _ in range(3):
            with pytest.raises(SourceTimeout):
                await client.get("half", deadline=soon(0.1))
            assert await client.get("whole", deadline=soon(60)) == BUNDLE


async def test_connections_are_kept_and_each_source_has_its_own(opened: Open) -> None:
    async with (
        serving(silence) as stuck,
        serving(saying(reply())) as well,
        opened(stuck.url, Limits(connections=1)) as first,
        opened(well.url, Limits(connections=1)) as second,
    ):
        waiting = [asyncio.create_task(first.get("Patient", deadline=soon(1))) for _ in range(4)]
        for _ in range(5):
            assert await second.get("Patient", deadline=soon(60)) == BUNDLE
        assert well.connections == 1
        for outcome in await asyncio.gather(*waiting, return_exceptions=True):
            assert isinstance(outcome, SourceTimeout)
        assert stuck.connections == 1


async def test_no_cookie_is_kept(opened: Open) -> None:
    async with serving(saying(reply(set_cookie="session=of-the-last-patient"))) as wire, opened(wire.url) as client:
        await client.get("Patient", deadline=soon())
        await client.get("Patient", deadline=soon())
        assert [line.header("cookie") for line in wire.lines] == [None, None]


# ---- the single retry ----


async def test_a_get_that_failed_is_made_once_more(opened: Open) -> None:
    answers = iter([reply(status="503 Unwell"), reply()])

    async def play(line: Line) -> None:
        await line.send(next(answers))

    async with serving(play) as wire, opened(wire.url) as client:
        assert await client.get("Patient", deadline=soon()) == BUNDLE
        assert client.calls == 2


async def test_a_post_is_never_made_twice(opened: Open) -> None:
    async with serving(saying(reply(status="503 Unwell"))) as wire, opened(wire.url) as client:
        with pytest.raises(Unwell):
            await client.post("Patient/$match", b"{}", deadline=soon())
        assert [(line.body, line.target) for line in wire.lines] == [(b"{}", "/fhir/Patient/$match")]


async def hang_up(line: Line) -> None:
    line.writer.close()


async def test_a_broken_connection_costs_one_retry_and_no_more(opened: Open) -> None:
    async with serving(hang_up) as wire, opened(wire.url) as client:
        with pytest.raises(Unreachable):
            await client.get("Patient", deadline=soon())
        assert len(wire.lines) == client.calls == 2


async def test_no_library_repeats_a_get_behind_our_back_when_a_kept_connection_breaks(opened: Open) -> None:
    async def play(line: Line) -> None:
        if len(wire.lines) == 1:
            await line.send(reply())
        else:
            line.writer.close()

    async with serving(play) as wire, opened(wire.url, Limits(retry_reserve=0)) as client:
        await client.get("Patient", deadline=soon())
        with pytest.raises(Unreachable):
            await client.get("Patient", deadline=soon())
        assert len(wire.lines) == client.calls == 2


async def test_there_is_no_retry_after_the_deadline(opened: Open) -> None:
    async def play(line: Line) -> None:
        await asyncio.sleep(QUICK - 0.1)
        await line.send(reply(status="503 Unwell"))

    async with serving(play) as wire, opened(wire.url) as client:
        with pytest.raises(SourceTimeout):
            await client.get("Patient", deadline=soon(QUICK))
        assert len(wire.lines) <= 2
        before = len(wire.lines)
        await asyncio.sleep(QUICK)
        assert len(wire.lines) == before


async def test_a_thousand_failing_calls_make_a_hundred_retries() -> None:
    transport = Failing()
    client = SourceClient("http://source.test/fhir", transport)
    for _ in range(1000):
        with pytest.raises(Unwell):
            await client.counted().get("Patient", deadline=soon())
    assert 1000 < transport.sent <= 1000 * 1.1 + client.limits.retry_reserve
