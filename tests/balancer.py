"""Shares out connections among the processes that say they are ready, as a Kubernetes Service does.

Whoever isn't ready is given no new connection, and keeps those that it has. Nothing is mended here: a process that
refuses or drops a connection costs whoever sent it a request.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

_LOOK_SECONDS = 0.2


@dataclass
class Balancer:
    """In front of processes on these ports of this machine. `port` is its own."""

    ports: Sequence[int]
    port: int = 0
    ready: set[int] = field(default_factory=set)
    given: dict[int, int] = field(default_factory=dict)
    _open: set[asyncio.Task[None]] = field(default_factory=set)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Balancer]:
        """Until the block is left."""
        looking = [asyncio.create_task(self._keep_looking(port)) for port in self.ports]
        server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in (*looking, *self._open):
                task.cancel()
            await asyncio.gather(*looking, *self._open, return_exceptions=True)

    async def until_ready(self, port: int) -> None:
        """Until this process is given connections."""
        while port not in self.ready:  # noqa: ASYNC110 - that a process became ready is seen by looking
            await asyncio.sleep(_LOOK_SECONDS / 2)

    async def _keep_looking(self, port: int) -> None:
        while True:
            if await is_ready(port):
                self.ready.add(port)
            else:
                self.ready.discard(port)
            await asyncio.sleep(_LOOK_SECONDS)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            await self._pass_on(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            self._open.discard(task)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not self.ready:  # noqa: ASYNC110 - that a process became ready is seen by looking
            await asyncio.sleep(_LOOK_SECONDS / 2)
        port = min(self.ready, key=lambda one: self.given.get(one, 0))
        self.given[port] = self.given.get(port, 0) + 1
        upstream, back = await asyncio.open_connection("127.0.0.1", port)
        try:
            ways = {asyncio.create_task(_copy(reader, back)), asyncio.create_task(_copy(upstream, writer))}
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
        finally:
            back.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(65536):
        writer.write(chunk)
        await writer.drain()


async def is_ready(port: int) -> bool:
    """What `/readyz` says on that port."""
    with suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
        async with asyncio.timeout(5):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(b"GET /readyz HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n")
                return b" 200 " in await reader.readline()
            finally:
                writer.close()
    return False
