"""A server on 127.0.0.1 that speaks HTTP/1.1 byte by byte: no HTTP library stands between the fault and the wire."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

__all__ = ["Line", "Play", "Wire", "reply", "saying", "serving", "silence"]

_HEAD_LIMIT: Final = 1024 * 1024


@dataclass(slots=True)
class Line:
    """One request that came in: its head, its body, and the way back."""

    head: bytes
    body: bytes
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @property
    def method(self) -> str:
        """GET, POST."""
        return self.head.split(b" ")[0].decode("ascii", "replace")

    @property
    def target(self) -> str:
        """What stands between the method and `HTTP/1.1`, as it came."""
        return self.head.split(b" ")[1].decode("ascii", "replace")

    @property
    def headers(self) -> list[tuple[str, str]]:
        """Every header, its name in lower case, in the order in which they came."""
        pairs = (line.partition(":") for line in self.head.decode("latin-1").split("\r\n")[1:] if line)
        return [(name.lower(), value.strip()) for name, _, value in pairs]

    def header(self, name: str) -> str | None:
        """A header's value, or None."""
        return next((value for key, value in self.headers if key == name.lower()), None)

    async def send(self, data: bytes) -> None:
        """Write, and wait until the other side takes it. Raises ConnectionError where it has left."""
        self.writer.write(data)
        await self.writer.drain()

    def reset(self) -> None:
        """End the connection with RST, as a crashing server or a firewall does: no FIN, nothing more."""
        found: socket.socket | None = self.writer.get_extra_info("socket")
        if found is not None:
            with contextlib.suppress(OSError):  # the other side was faster
                found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Play = Callable[[Line], Awaitable[None]]


@dataclass(slots=True)
class Wire:
    """A running server: every request that came, how many connections were ever made, how many are open now."""

    url: str
    lines: list[Line] = field(default_factory=list)
    connections: int = 0
    open: int = 0


def reply(body: bytes, kind: str | None = "application/fhir+json", status: str = "200 OK", **headers: str) -> bytes:
    """A whole answer. A header's name is written with underscores for dashes."""
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}"]
    lines += [f"content-type: {kind}"] if kind is not None else []
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n" + body


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
    """A server that plays one answer to each request of each connection, until `play` closes it.

    Whatever is still under way when the context ends is cut off.
    """
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
                line = await _read(reader, writer)
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

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls, limit=_HEAD_LIMIT)
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


async def _read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Line:
    line = Line(await reader.readuntil(b"\r\n\r\n"), b"", reader, writer)
    if (line.header("transfer-encoding") or "").lower() == "chunked":
        line.body = await _chunked(reader)
    else:
        line.body = await reader.readexactly(int(line.header("content-length") or 0))
    return line


async def _chunked(reader: asyncio.StreamReader) -> bytes:
    parts: list[bytes] = []
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        parts.append(await reader.readexactly(size))
        await reader.readexactly(2)
    await reader.readuntil(b"\r\n")
    return b"".join(parts)
