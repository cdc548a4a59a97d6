"""The floor: the same upstream calls, and their bytes passed on. Nobody reads a word of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp

from tests.bench.peers.served import Order, run

_START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"application/json")],
}


class Floor:
    """A bare ASGI application."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._session: aiohttp.ClientSession | None = None

    async def __call__(self, scope: Any, receive: Callable[[], Awaitable[Any]], send: Any) -> None:
        if scope["type"] == "http":
            bodies = await asyncio.gather(*self._calls())
            await send(_START)
            await send({"type": "http.response.body", "body": b"[" + b",".join(bodies) + b"]"})
            return
        while scope["type"] == "lifespan":
            said = (await receive())["type"]
            if said == "lifespan.startup":
                connector = aiohttp.TCPConnector(limit=0, ssl=self._order.tls)
                self._session = aiohttp.ClientSession(connector=connector)
            elif self._session:
                await self._session.close()
            await send({"type": f"{said}.complete"})
            if said == "lifespan.shutdown":
                return

    def _calls(self) -> list[Awaitable[bytes]]:
        if self._order.batch is not None:
            return [self._ask("POST", base, self._order.batch.encode()) for base in self._order.sources.values()]
        return [self._ask("GET", url) for _, url in self._order.urls]

    async def _ask(self, method: str, url: str, body: bytes | None = None) -> bytes:
        assert self._session is not None
        async with self._session.request(method, url, data=body) as answer:
            answer.raise_for_status()
            return await answer.read()


if __name__ == "__main__":
    run(Floor)
