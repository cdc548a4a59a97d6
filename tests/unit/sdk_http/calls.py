"""One call, over whichever transport."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from connectors.sdk.http import Call, Limits, Reply, Transport
from tests.wire import saying, serving, soon

MIB = 1024 * 1024
QUICK = 0.3
"""Seconds that a hopeless call gets."""

Open = Callable[..., Any]


async def ask(opened: Open, answer: bytes, limits: Limits | None = None) -> bytes:
    """One GET of a server that always gives this answer."""
    async with serving(saying(answer)) as wire, opened(wire.url, limits) as client:
        body: bytes = await client.get("Patient", deadline=soon())
        return body


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
