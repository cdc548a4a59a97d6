"""Servers on 127.0.0.1 that misbehave byte by byte: no HTTP library stands between the test and the wire."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

Play = Callable[["Line"], Awaitable[None]]

BUNDLE = b'{"resourceType":"Bundle","type":"searchset"}'


@dataclass(slots=True)
class Line:
    """One request that came in: its head, and the way back."""

    head: bytes
    body: bytes
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @property
    def target(self) -> str:
        """What stands between the method and `HTTP/1.1`, as it came."""
        return self.head.split(b" ")[1].decode("ascii")

    def header(self, name: str) -> str | None:
        """A header's value, or None."""
        for line in self.head.decode("latin-1").split("\r\n")[1:]:
            key, _, value = line.partition(":")
            if key.lower() == name.lower():
                return value.strip()
        return None

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()


@dataclass(slots=True)
class Wire:
    """A running server."""

    url: str
    lines: list[Line] = field(default_factory=list)
    connections: int = 0
    open: int = 0


def reply(
    body: bytes = BUNDLE, kind: str | None = "application/fhir+json", status: str = "200 OK", **headers: str
) -> bytes:
    """A whole answer. A header's name is written with underscores for dashes."""
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}"]
    lines += [f"content-type: {kind}"] if kind is not None else []
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def saying(answer: bytes) -> Play:
    """A server that always says the same."""

    async def play(line: Line) -> None:
        await line.send(answer)

    return play


async def silence(line: Line) -> None:
    """Accepts the question and never answers; ends when the other side leaves."""
    with contextlib.suppress(ConnectionError):
        await line.reader.read()


@asynccontextmanager
async def serving(play: Play, *, tls: ssl.SSLContext | None = None, path: str = "/fhir") -> AsyncIterator[Wire]:
    """A server that plays one answer to each request of each connection, until `play` closes it."""
    wire = Wire("")
    tasks: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        wire.connections += 1
        wire.open += 1
        try:
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                line = Line(head, b"", reader, writer)
                line.body = await reader.readexactly(int(line.header("content-length") or 0))
                wire.lines.append(line)
                await play(line)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            wire.open -= 1
            tasks.discard(task)
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    wire.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}{path}"
    try:
        yield wire
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


def soon(seconds: float = 5.0) -> float:
    """A deadline, as absolute loop time."""
    return asyncio.get_running_loop().time() + seconds
