"""Whatever fails in a call is one of our own errors, and nothing of a library comes through."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import pkgutil
import socket
from collections.abc import Iterator
from types import ModuleType

import aiohttp
import httpx2
import pytest

from connectors.sdk import errors
from connectors.sdk.errors import SourceError, SourceTimeout, Unreachable, WrongContent
from connectors.sdk.http import LIBRARY_ERRORS, map_library_error
from tests.unit.sdk_http.calls import Open
from tests.wire import Line, serving, soon

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
