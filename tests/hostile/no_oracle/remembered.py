"""A network towards sandboxes that remembers what each answered: many thousand questions stay affordable.

Every call is noted, so that two worlds can be held against each other by what they asked, not by how often alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import httpx2

from connectors.kit.sandbox import Sandbox
from connectors.sdk.http import Call, Httpx2Transport, Limits, Reply, Transport

_CARRIED: Final = ("content-type", "content-encoding", "retry-after", "location")
_Key = tuple[str, str, bytes | None]


@dataclass(frozen=True, slots=True)
class Kept:
    """A whole reply."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def header(self, name: str) -> str:
        """As Reply."""
        return self.headers.get(name.lower(), "")

    async def chunks(self) -> AsyncIterator[bytes]:
        """As Reply."""
        yield self.body


@dataclass(slots=True)
class Network:
    """`network(sandbox)` is a transport to it; `asked` is what went out since `begin`."""

    asked: Counter[_Key] = field(default_factory=Counter)

    def __call__(self, sandbox: Sandbox) -> Transport:
        """As `running` wants it."""
        return _Remembering(self, Httpx2Transport(Limits(), httpx2.ASGITransport(app=sandbox)))

    def begin(self) -> None:
        """From now on `asked` tells of what comes."""
        self.asked = Counter()


@dataclass(slots=True)
class _Remembering:
    network: Network
    to: Transport
    known: dict[_Key, Kept] = field(default_factory=dict)

    @asynccontextmanager
    async def send(self, call: Call) -> AsyncIterator[Reply]:
        key = (call.method, call.url, call.body)
        self.network.asked[key] += 1
        if key not in self.known:
            async with self.to.send(call) as reply:
                headers = {name: reply.header(name) for name in _CARRIED}
                self.known[key] = Kept(reply.status, headers, b"".join([chunk async for chunk in reply.chunks()]))
        yield self.known[key]

    async def aclose(self) -> None:
        await self.to.aclose()
