"""The register mirrors each request's id. An answer without it is an answer to something else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from connectors.sdk.errors import WrongContent
from connectors.sdk.port import Call, Reply, Transport

REQUEST_ID: Final = "X-Request-ID"


class Mirrored:
    """A transport whose bodies can't be read whole where they don't come with the id of their own request.

    A cache or a proxy that mixes up two answers would otherwise show one patient for another, or nobody for somebody.
    A status stands without: it may be a proxy's, that never saw the header.
    """

    def __init__(self, inner: Transport) -> None:
        self._inner = inner

    @asynccontextmanager
    async def send(self, call: Call) -> AsyncIterator[Reply]:
        """See Transport."""
        async with self._inner.send(call) as reply:
            yield _Checked(reply, call.headers[REQUEST_ID])

    async def aclose(self) -> None:
        """See Transport."""
        await self._inner.aclose()


class _Checked:
    def __init__(self, reply: Reply, request_id: str) -> None:
        self.status = reply.status
        self.header = reply.header
        self._reply = reply
        self._request_id = request_id

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body. At its end (the caps on what may come hold for anybody's) raises WrongContent."""
        async for chunk in self._reply.chunks():
            yield chunk
        if self.header(REQUEST_ID).lower() != self._request_id.lower():
            raise WrongContent("the answer does not carry the id of its request")
