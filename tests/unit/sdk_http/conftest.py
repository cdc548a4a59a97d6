"""Both transports, for whoever asks for one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from connectors.sdk.http import AiohttpTransport, Httpx2Transport, Limits, SourceClient
from tests.unit.sdk_http.calls import Open


@pytest.fixture(params=[AiohttpTransport, Httpx2Transport], ids=["aiohttp", "httpx2"])
def opened(request: pytest.FixtureRequest) -> Open:
    """`async with opened(url, limits) as client`, over each of the transports."""

    @asynccontextmanager
    async def client(url: str, limits: Limits | None = None) -> AsyncIterator[SourceClient]:
        bounds = limits or Limits()
        source = SourceClient(url, request.param(bounds), limits=bounds)
        try:
            yield source
        finally:
            await source.aclose()

    return client
