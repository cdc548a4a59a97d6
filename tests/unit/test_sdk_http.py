"""The one HTTP module against servers that misbehave on the wire, over both transports."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import importlib
import inspect
import pkgutil
import socket
import sys
import time
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from types import ModuleType
from typing import Any

import aiohttp
import httpx2
import pytest
import respx

from connectors.sdk import errors
from connectors.sdk.errors import (
    Busy,
    NotUnderstood,
    Refused,
    SourceError,
    SourceTimeout,
    TooMuch,
    Unreachable,
    Unwell,
    WrongContent,
)
from connectors.sdk.http import (
    LIBRARY_ERRORS,
    AiohttpTransport,
    Call,
    Httpx2Transport,
    Limits,
    Reply,
    SourceClient,
    Transport,
    fetch_bytes,
    map_library_error,
)
from tests.mocked import HttpCore2Mocker
from tests.wire import BUNDLE, Line, Wire, reply, saying, serving, silence, soon

MIB = 1024 * 1024
QUICK = 0.3
"""Seconds that a hopeless call gets."""

Open = Callable[..., Any]


@pytest.fixture(params=[AiohttpTransport, Httpx2Transport], ids=["aiohttp", "httpx2"])
def opened(request: pytest.FixtureRequest) -> Open:
    """`async with opened(url, limits) as client`, over each of the transports."""

    @asynccontextmanager
    async def client(url: str, limits: Limits | None = None) -> AsyncIterator[SourceClient]:
        bounds = limits or Limits()
        source = SourceClient(url, request.param(bounds), limits=bounds)
        try:
            yield source
        finally:
            await source.aclose()

    return client


async def ask(opened: Open, answer: bytes, limits: Limits | None = None) -> bytes:
    """One GET of a server that always gives this answer."""
    async with serving(saying(answer)) as wire, opened(wire.url, limits) as client:
        body: bytes = await client.get("Patient", deadline=soon())
        return body


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
            await asyncio.wait_for(under_way.wait(), 2)
            under_way.clear()
            hanging.cancel()
            with pytest.raises(asyncio.CancelledError):
                await hanging
            assert await client.get("Patient", deadline=soon(2)) == BUNDLE


async def test_a_broken_off_answer_gives_its_connection_back(opened: Open) -> None:
    async def play(line: Line) -> None:
        await (line.send(reply()) if "whole" in line.target else drip_body(line))

    async with serving(play) as wire, opened(wire.url, Limits(connections=1)) as client:
        for _ in range(3):
            with pytest.raises(SourceTimeout):
                await client.get("half", deadline=soon(0.1))
            assert await client.get("whole", deadline=soon(2)) == BUNDLE


async def test_connections_are_kept_and_each_source_has_its_own(opened: Open) -> None:
    async with (
        serving(silence) as stuck,
        serving(saying(reply())) as well,
        opened(stuck.url, Limits(connections=1)) as first,
        opened(well.url, Limits(connections=1)) as second,
    ):
        waiting = [asyncio.create_task(first.get("Patient", deadline=soon(1))) for _ in range(4)]
        for _ in range(5):
            assert await second.get("Patient", deadline=soon(1)) == BUNDLE
        assert well.connections == 1
        for outcome in await asyncio.gather(*waiting, return_exceptions=True):
            assert isinstance(outcome, SourceTimeout)
        assert stuck.connections == 1


async def test_no_cookie_is_kept(opened: Open) -> None:
    async with serving(saying(reply(set_cookie="session=of-the-last-patient"))) as wire, opened(wire.url) as client:
        await client.get("Patient", deadline=soon())
        await client.get("Patient", deadline=soon())
        assert [line.header("cookie") for line in wire.lines] == [None, None]


# ---- bytes ----


def bomb(mebibytes: int) -> bytes:
    """gzip of that much white space: the one compressed block is said again and again."""
    squeeze = zlib.compressobj(9, wbits=31)
    head = squeeze.compress(b" ") + squeeze.flush(zlib.Z_FULL_FLUSH)
    block = squeeze.compress(b" " * MIB) + squeeze.flush(zlib.Z_FULL_FLUSH)
    return head + block * mebibytes


MEASURE = """
import asyncio, resource, sys
from connectors.sdk.errors import TooMuch
from connectors.sdk.http import AiohttpTransport, Httpx2Transport, Limits, SourceClient

async def main(url, name):
    limits = Limits()
    client = SourceClient(url, {"aiohttp": AiohttpTransport, "httpx2": Httpx2Transport}[name](limits), limits=limits)
    await client.get("small", deadline=asyncio.get_running_loop().time() + 5)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        await client.get("bomb", deadline=asyncio.get_running_loop().time() + 20)
    except TooMuch:
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    await client.aclose()

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize("transport", ["aiohttp", "httpx2"])
async def test_half_a_gibibyte_of_bomb_costs_less_than_48_mebibytes(transport: str) -> None:
    body = bomb(512)
    assert len(body) < MIB

    async def play(line: Line) -> None:
        await line.send(reply(body, content_encoding="gzip") if "bomb" in line.target else reply())

    async with serving(play) as wire:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", MEASURE, wire.url, transport, stdout=asyncio.subprocess.PIPE
        )
        told, _ = await child.communicate()
    assert child.returncode == 0
    assert int(told) < 48 * 1024


@pytest.mark.parametrize("encoding", [None, "gzip"])
async def test_an_answer_over_the_cap_is_cut_while_it_streams(opened: Open, encoding: str | None) -> None:
    body = b" " * 100_001
    sent = gzip.compress(body) if encoding else body
    headers = {"content_encoding": encoding} if encoding else {}
    with pytest.raises(TooMuch):
        await ask(opened, reply(sent, **headers), Limits(max_bytes=100_000))
    assert await ask(opened, reply(sent, **headers), Limits(max_bytes=100_001)) == body


async def test_an_endless_chunked_answer_is_cut_by_its_bytes(opened: Open) -> None:
    async def play(line: Line) -> None:
        await line.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/fhir+json\r\ntransfer-encoding: chunked\r\n\r\n")
        while True:
            await line.send(b"10000\r\n" + b" " * 65536 + b"\r\n")

    async with serving(play) as wire, opened(wire.url, Limits(max_bytes=MIB)) as client:
        with pytest.raises(TooMuch):
            await client.get("Patient", deadline=soon())


async def test_gzip_that_opens_to_nothing_is_bounded_by_what_came_in(opened: Open) -> None:
    squeeze = zlib.compressobj(9, wbits=31)
    head = squeeze.compress(b"") + squeeze.flush(zlib.Z_FULL_FLUSH)
    nothing = squeeze.flush(zlib.Z_FULL_FLUSH) or b"\x00\x00\x00\xff\xff"
    with pytest.raises(TooMuch):
        await ask(opened, reply(head + nothing * 100_000, content_encoding="gzip"), Limits(max_bytes=100_000))


@pytest.mark.parametrize("size", [1, 255, 256 * 1024 - 1, 256 * 1024, 256 * 1024 + 1, 3 * MIB])
async def test_gzip_opens_whole_at_every_edge_of_a_step(opened: Open, size: int) -> None:
    body = b'"' + b"0123456789abcdef" * (size // 16 + 1)
    assert await ask(opened, reply(gzip.compress(body[:size]), content_encoding="gzip")) == body[:size]


WHOLE = gzip.compress(BUNDLE)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (WHOLE[:-1], Unreachable),
        (WHOLE[:-9], Unreachable),
        (WHOLE[:5], Unreachable),
        (b"", Unreachable),
        (WHOLE + b"x", WrongContent),
        (WHOLE + WHOLE, WrongContent),
        (WHOLE[:-8] + b"\0" * 8, WrongContent),
        (b"not gzip at all", WrongContent),
        (zlib.compress(BUNDLE), WrongContent),
    ],
    ids=["no-last-byte", "no-trailer", "head-only", "empty", "one-more", "two-members", "wrong-sum", "text", "zlib"],
)
async def test_broken_gzip_is_never_half_used(opened: Open, body: bytes, expected: type[SourceError]) -> None:
    with pytest.raises(expected):
        await ask(opened, reply(body, content_encoding="gzip"))


async def test_bytes_after_the_compressed_body_are_seen_in_a_later_packet_too(opened: Open) -> None:
    async def play(line: Line) -> None:
        whole = reply(WHOLE + b"x", content_encoding="gzip")
        await line.send(whole[:-1])
        await asyncio.sleep(0.05)
        await line.send(whole[-1:])

    async with serving(play) as wire, opened(wire.url) as client:
        with pytest.raises(WrongContent):
            await client.get("Patient", deadline=soon())


@pytest.mark.parametrize("encoding", ["br", "deflate", "zstd", "gzip, gzip", "compress", "x-gzip", "nonsense"])
async def test_an_encoding_that_was_not_asked_for_is_refused(opened: Open, encoding: str) -> None:
    with pytest.raises(WrongContent):
        await ask(opened, reply(content_encoding=encoding))


async def test_gzip_is_all_that_is_asked_for(opened: Open) -> None:
    async with serving(saying(reply(content_encoding="Identity"))) as wire, opened(wire.url) as client:
        assert await client.get("Patient", deadline=soon()) == BUNDLE
        assert wire.lines[0].header("accept-encoding") == "gzip"
        assert wire.lines[0].header("accept") == "application/fhir+json"
        assert wire.lines[0].header("user-agent") == "connect-care"


# ---- content type, status, redirects ----


@pytest.mark.parametrize(
    "kind",
    [
        "application/fhir+json",
        "application/fhir+json; charset=utf-8",
        'application/fhir+json;charset="UTF-8";fhirVersion=4.0',
        "Application/JSON",
        "application/json+fhir",
    ],
)
async def test_fhir_json_is_read(opened: Open, kind: str) -> None:
    assert await ask(opened, reply(kind=kind)) == BUNDLE


@pytest.mark.parametrize(
    "kind",
    [
        None,
        "",
        "text/html",
        "text/html; charset=utf-8",
        "application/fhir+xml",
        "application/xml",
        "text/plain",
        "text/json",
        "application/jwk-set+json",
        "application/octet-stream",
        "application/fhir+json, text/html",
        "application/fhir+json; charset=utf-16",
        "application/fhir+json; charset=iso-8859-1",
    ],
)
async def test_anything_else_is_refused_unparsed(opened: Open, kind: str | None) -> None:
    with pytest.raises(WrongContent):
        await ask(opened, reply(kind=kind))


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308])
async def test_a_redirect_is_not_followed(opened: Open, status: int) -> None:
    async with serving(saying(reply())) as elsewhere:
        answer = reply(b"", status=f"{status} Elsewhere", location=elsewhere.url)
        async with serving(saying(answer)) as wire, opened(wire.url) as client:
            with pytest.raises(WrongContent):
                await client.get("Patient", deadline=soon())
            assert len(wire.lines) == 1
        assert elsewhere.lines == []


@pytest.mark.parametrize(
    ("status", "expected", "calls"),
    [
        (202, WrongContent, 1),
        (204, WrongContent, 1),
        (206, WrongContent, 1),
        (400, NotUnderstood, 1),
        (401, Refused, 1),
        (403, Refused, 1),
        (404, NotUnderstood, 1),
        (408, NotUnderstood, 1),
        (410, NotUnderstood, 1),
        (429, Busy, 1),
        (500, Unwell, 2),
        (502, Unwell, 2),
        (503, Unwell, 2),
        (599, Unwell, 2),
    ],
)
async def test_each_status_has_one_meaning_and_only_5xx_is_tried_again(
    opened: Open, status: int, expected: type[SourceError], calls: int
) -> None:
    body = b"" if status == 204 else b'{"resourceType":"OperationOutcome","text":"9990000018"}'
    async with serving(saying(reply(body, status=f"{status} Some 9990000018"))) as wire, opened(wire.url) as client:
        with pytest.raises(expected) as caught:
            await client.get("Patient", deadline=soon())
        assert type(caught.value) is expected
        assert str(caught.value) == f"status {status}"
        assert len(wire.lines) == client.calls == calls


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


class Failing(Transport):
    """A transport without a network whose every call is a 503."""

    class _Unwell(Reply):
        status = 503

        def header(self, name: str) -> str:
            return ""

        async def chunks(self) -> AsyncIterator[bytes]:
            yield b""

    def __init__(self) -> None:
        self.sent = 0

    @asynccontextmanager
    async def send(self, call: Call) -> AsyncIterator[Reply]:
        self.sent += 1
        yield self._Unwell()

    async def aclose(self) -> None:
        return None


async def test_a_thousand_failing_calls_make_a_hundred_retries() -> None:
    transport = Failing()
    client = SourceClient("http://source.test/fhir", transport)
    for _ in range(1000):
        with pytest.raises(Unwell):
            await client.counted().get("Patient", deadline=soon())
    assert 1000 < transport.sent <= 1000 * 1.1 + client.limits.retry_reserve


# ---- nothing but our own errors ----

RUBBISH = [
    b"",
    b"\r\n\r\n",
    b"hello\r\n\r\n",
    b"HTTP/1.1\r\n\r\n",
    b"HTTP/1.1 abc OK\r\n\r\n",
    b"HTTP/9.9 200 OK\r\n\r\n",
    b"HTTP/1.1 99999 OK\r\n\r\n",
    b"HTTP/1.1 -1 OK\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\ncontent-type: application/json\r\n\r\nabcdef",
    b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\ncontent-type: application/json\r\n\r\nzz",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-type: application/json\r\n\r\nzz\r\n",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-type: application/json\r\n\r\n-5\r\nabc\r\n",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-type: application/json\r\n\r\n5\r\nab",
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\nshort",
    b"HTTP/1.1 200 OK\r\n" + b"x: " + b"a" * 200_000 + b"\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n" + b"".join(b"x-%d: y\r\n" % n for n in range(20_000)) + b"\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-type: \xff\xfe\x00\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 300,
    b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n" * 50,
]


@pytest.mark.parametrize("rubbish", RUBBISH, ids=lambda value: repr(value[9:60]))
async def test_rubbish_on_the_wire_becomes_one_of_our_errors(opened: Open, rubbish: bytes) -> None:
    async def play(line: Line) -> None:
        with contextlib.suppress(ConnectionError):
            await line.send(rubbish)
        line.writer.close()

    async with serving(play) as wire, opened(wire.url) as client:
        with pytest.raises(SourceError) as caught:
            await client.get("Patient?identifier=9990000018", deadline=soon(2))
        assert "9990000018" not in str(caught.value)
        assert "127.0.0.1" not in str(caught.value)


async def test_nobody_at_home_is_unreachable(opened: Open) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        async with opened(f"http://127.0.0.1:{free.getsockname()[1]}/fhir") as client:
            with pytest.raises(Unreachable):
                await client.get("Patient", deadline=soon())
            assert client.calls == 2


async def test_a_name_that_nobody_knows_is_unreachable(opened: Open) -> None:
    async with opened("http://nobody.invalid/fhir") as client:
        with pytest.raises((Unreachable, SourceTimeout)):
            await client.get("Patient", deadline=soon(3))


def _modules(package: ModuleType) -> Iterator[ModuleType]:
    yield package
    for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not any(part in found.name for part in ("pytest", "web", "test_utils", "worker", "__main__", "_main")):
            with contextlib.suppress(ImportError):  # an optional backend that isn't installed
                yield importlib.import_module(found.name)


def library_errors() -> list[type[BaseException]]:
    """Every exception that aiohttp's client side and httpx2 define, wherever they do."""
    found = {
        value
        for package in (aiohttp, httpx2)
        for module in _modules(package)
        for value in vars(module).values()
        if inspect.isclass(value)
        and issubclass(value, Exception)
        and not issubclass(value, Warning)
        and value.__module__.split(".")[0] == package.__name__
    }
    return sorted(found, key=lambda kind: f"{kind.__module__}.{kind.__qualname__}")


NOT_OF_A_CALL = {
    "EofStream": "ends a stream inside aiohttp's readers, which turn it into an empty read",
    "LookupError": "raised and caught while a payload type is chosen",
    "TooManyMembersError": "aiohttp's own decompression, which is switched off",
    "WSHandshakeError": "websockets are not used",
    "WSMessageTypeError": "websockets are not used",
    "WebSocketError": "websockets are not used",
}


def test_every_error_that_a_library_defines_is_mapped() -> None:
    """When a release adds a class that isn't under one of ours, this fails; decide then what it means."""
    kinds = library_errors()
    assert len(kinds) > 50
    unmapped = {kind.__name__ for kind in kinds if not issubclass(kind, LIBRARY_ERRORS)}
    assert unmapped == set(NOT_OF_A_CALL)


def _made(kind: type[BaseException]) -> BaseException:
    return kind.__new__(kind)


@pytest.mark.parametrize("kind", [kind for kind in library_errors() if issubclass(kind, LIBRARY_ERRORS)])
def test_each_of_them_becomes_one_of_ours(kind: type[BaseException]) -> None:
    mapped = map_library_error(_made(kind))
    assert isinstance(mapped, SourceTimeout | Unreachable | WrongContent)
    if "Timeout" in kind.__name__:
        assert isinstance(mapped, SourceTimeout)
    assert str(mapped) == kind.__name__


def test_every_error_of_ours_tells_the_person_something_without_a_name_in_it() -> None:
    kinds = [kind for kind in vars(errors).values() if inspect.isclass(kind) and issubclass(kind, SourceError)]
    assert len(kinds) >= 14
    for kind in kinds:
        assert f" {kind.__name__} " in str(errors.__doc__) or kind is SourceError
        assert kind.told
        assert not any(char.isdigit() for char in kind.told)


# ---- the mockable twin ----


async def test_respx_mocks_the_second_transport() -> None:
    with respx.mock(using=HttpCore2Mocker.name) as mock:
        route = mock.get("http://source.test/fhir/Patient", params={"identifier": "s|1"}).respond(
            200, content=BUNDLE, headers={"content-type": "application/fhir+json"}
        )
        client = SourceClient("http://source.test/fhir", Httpx2Transport(Limits()))
        assert await client.get("Patient?identifier=s%7C1", deadline=soon()) == BUNDLE
        assert route.call_count == 1
        await client.aclose()


async def test_a_mock_transport_and_an_asgi_app_serve_as_well() -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        headers = {"content-type": "application/fhir+json", "content-encoding": "gzip"}
        return httpx2.Response(200, content=gzip.compress(BUNDLE), headers=headers)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"application/fhir+json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": BUNDLE})

    for transport in (httpx2.MockTransport(answer), httpx2.ASGITransport(app=app)):
        client = SourceClient("http://source.test/fhir", Httpx2Transport(Limits(), transport))
        assert await client.get("Patient", deadline=soon()) == BUNDLE
        await client.aclose()


async def test_a_mocked_library_error_is_mapped() -> None:
    def broken(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ReadError("at 127.0.0.1 for 9990000018")

    client = SourceClient("http://source.test/fhir", Httpx2Transport(Limits(), httpx2.MockTransport(broken)))
    with pytest.raises(Unreachable, match=r"^ReadError$"):
        await client.get("Patient", deadline=soon())
    assert client.calls == 2
    await client.aclose()


# ---- the client itself ----


async def test_a_question_goes_out_letter_for_letter(opened: Open) -> None:
    question = (
        "Observation?patient.identifier=https%3A%2F%2Ffhir.nhs.uk%2FId%2Fnhs-number%7C9990000018&code=a%2Cb&_x=%20"
    )
    async with serving(saying(reply())) as wire, opened(wire.url) as client:
        await client.get(question, deadline=soon())
        await client.get(f"{wire.url}/{question}", deadline=soon())
        assert [line.target for line in wire.lines] == [f"/fhir/{question}"] * 2


async def test_each_ask_counts_its_own_calls(opened: Open) -> None:
    async with serving(saying(reply())) as wire, opened(wire.url) as client:
        asks = [client.counted() for _ in range(3)]
        await asyncio.gather(*(one.get("Patient", deadline=soon()) for one in asks for _ in range(4)))
        assert [one.calls for one in asks] == [4, 4, 4]
        assert len(wire.lines) == 12


@pytest.mark.parametrize(
    "address",
    [
        "",
        "sandbox",
        "ftp://source.test",
        "//source.test/fhir",
        "http://",
        "http://:80/fhir",
        "http://source.test:0/fhir",
        "http://source.test:99999/fhir",
        "http://[::1/fhir",
        "http://user:secret@source.test/fhir",
        "http://@source.test/fhir",
        "http://source.test/fhir?x=1",
        "http://source.test/fhir#x",
        "http://source.test/a b",
    ],
)
def test_an_address_that_is_none_stops_at_once(address: str) -> None:
    with pytest.raises(ValueError, match="The address of a source") as caught:
        SourceClient(address, Failing())
    assert "secret" not in str(caught.value)


def test_a_call_does_not_tell_its_patient_or_its_proof() -> None:
    call = Call(
        "GET", "http://source.test/Patient?identifier=9990000018", {"Authorization": "Bearer s3cret"}, b"s3cret"
    )
    assert repr(call) == "Call(method='GET')"


async def test_closing_an_unused_client_is_fine() -> None:
    await SourceClient("http://source.test/fhir", AiohttpTransport(Limits())).aclose()


# ---- documents that belong to no source ----


@pytest.fixture
async def keys() -> AsyncIterator[Wire]:
    async with serving(saying(reply(b'{"keys":[]}', kind="application/jwk-set+json")), path="") as wire:
        yield wire


async def test_an_issuers_keys_are_fetched(keys: Wire) -> None:
    assert await fetch_bytes(f"{keys.url}/.well-known/jwks.json", limit=1000, timeout=2) == b'{"keys":[]}'
    assert keys.lines[0].target == "/.well-known/jwks.json"
    assert keys.lines[0].header("accept") == "application/json"


async def test_they_are_bounded(keys: Wire) -> None:
    with pytest.raises(TooMuch):
        await fetch_bytes(f"{keys.url}/keys", limit=10, timeout=2)
    async with serving(silence) as hung:
        with pytest.raises(SourceTimeout):
            await fetch_bytes(f"{hung.url}/keys", limit=10, timeout=0.1)


@pytest.mark.parametrize("url", ["", "file:///etc/passwd", "http://[::1/x", "http://u:p@h/x", "/keys", "http://h:0/x"])
async def test_an_address_of_keys_that_is_none_is_wrong_content(url: str) -> None:
    with pytest.raises(WrongContent):
        await fetch_bytes(url, limit=10, timeout=1)
