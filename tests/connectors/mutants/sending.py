"""The reference with calls of its own making, for mutants that have to get past what the SDK's client never allows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from connectors.sdk.errors import SourceTimeout
from connectors.sdk.http import LIBRARY_ERRORS, AiohttpTransport, Call, Reply, Transport, map_library_error
from connectors.sdk.intake import check_content_type, check_status, read_bounded
from tests.connectors.mutants.reference import LIMITS, Look, Reference


class OwnCalls(Reference):
    """Makes each call by itself, once, without fault. A mutant replaces how the body is taken, or the call."""

    async def fetch(self, look: Look, url: str) -> bytes:
        call = Call("GET", look.client.resolve(url), {"Accept": "application/fhir+json", "Accept-Encoding": "gzip"})
        return await self.by_deadline(look, await self.proven(call, look))

    async def proven(self, call: Call, look: Look) -> Call:
        assert self.authorize is not None
        return await self.authorize(call, look.ask.deadline)

    async def by_deadline(self, look: Look, call: Call) -> bytes:
        if asyncio.get_running_loop().time() >= look.ask.deadline:
            raise SourceTimeout("the deadline passed before the call")
        try:
            async with asyncio.timeout_at(look.ask.deadline):
                return await self.exchange(look, call)
        except TimeoutError as error:
            raise SourceTimeout("the deadline passed") from error
        except LIBRARY_ERRORS as error:
            raise map_library_error(error) from error

    async def exchange(self, look: Look, call: Call) -> bytes:
        look.client.calls += 1
        async with self.transport.send(call) as reply:
            return await self.checked(look, reply)

    async def checked(self, look: Look, reply: Reply) -> bytes:
        check_status(reply.status)
        check_content_type(reply.header("content-type"))
        return await self.take(look, reply)

    async def take(self, look: Look, reply: Reply) -> bytes:
        return await read_bounded(reply, LIMITS.max_bytes, look.budget)


class Watching(Transport):
    """A transport that notes whether the head of an answer came."""

    def __init__(self) -> None:
        self._inner = AiohttpTransport(LIMITS)
        self.heads = 0

    def send(self, call: Call) -> AbstractAsyncContextManager[Reply]:
        return self._send(call)

    @asynccontextmanager
    async def _send(self, call: Call) -> AsyncIterator[Reply]:
        async with self._inner.send(call) as reply:
            self.heads += 1
            yield reply

    async def aclose(self) -> None:
        await self._inner.aclose()
