"""An answer in parts: each goes out when the pipeline has released it, to whoever still listens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Final

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.errors import GatewayError
from gateway.shown import Rendered

PATIENCE: Final = 30.0
"""Seconds that a client may take to read one part. The record is held in memory for as long."""
_UNBUFFERED: Final = {"X-Accel-Buffering": "no"}
"""For a proxy of nginx's kind, which would else wait until a buffer is full, or the answer over."""


class Streamed(Response):
    """The parts of a live look as one response.

    Nothing is sent before the first part, so that what stands against the look by then is an ordinary answer with its
    own status: it's raised. What stands against a further part is told by `stopped`, and ends the answer. Where the
    client goes away, or doesn't read for `patience` seconds, the look ends with it. A part is only made once the one
    before was taken.
    """

    def __init__(
        self,
        parts: AsyncGenerator[Rendered, None],
        stopped: Callable[[GatewayError], bytes],
        headers: Mapping[str, str],
        *,
        patience: float = PATIENCE,
    ) -> None:
        super().__init__(headers={**headers, **_UNBUFFERED})
        del self.headers["content-length"]
        self._parts = parts
        self._stopped = stopped
        self._patience = patience

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the parts, unless the client goes away first. Raises GatewayError before the first one, and
        ClientDisconnect."""
        sending = asyncio.create_task(self._send(send))
        gone = asyncio.create_task(_until_gone(receive))
        try:
            await asyncio.wait({sending, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not sending.done():
                raise ClientDisconnect
            sending.result()
        finally:
            sending.cancel()
            gone.cancel()
            await asyncio.gather(sending, gone, return_exceptions=True)

    async def _send(self, send: Send) -> None:
        started = False
        async with aclosing(self._parts) as parts:
            try:
                async for part in parts:
                    if not started:
                        await self._start(send)
                    started = True
                    await self._pass(send, part.body)
            except GatewayError as error:
                if not started:
                    raise
                await self._pass(send, self._stopped(error))
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _start(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})

    async def _pass(self, send: Send, body: bytes) -> None:
        try:
            async with asyncio.timeout(self._patience):
                await send({"type": "http.response.body", "body": body, "more_body": True})
        except TimeoutError:
            raise ClientDisconnect from None


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
