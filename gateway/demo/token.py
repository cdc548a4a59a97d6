"""A token of the running demo's identity provider."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import urlencode

from connectors.sdk.http import AiohttpTransport, Limits, SourceClient

DEMO_GRANT: Final = "urn:connect-care:demo"
"""The demo's own OAuth grant: whoever can reach the demo is whoever they say."""


async def fetch_token(issuer: str, spoken: str) -> str:
    """An access token of the demo's identity provider for `gp`, or `gp@G85004`. Raises SourceError."""
    form = urlencode({"grant_type": DEMO_GRANT, "as": spoken}).encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
    async with demo_client(issuer) as client:
        answer = await client.post("token", form, deadline=soon(), headers=headers)
    return str(json.loads(answer)["access_token"])


def soon() -> float:
    """A deadline for a call on this machine: five seconds from now."""
    return asyncio.get_running_loop().time() + 5.0


@asynccontextmanager
async def demo_client(base_url: str) -> AsyncIterator[SourceClient]:
    """A client for the demo's own parts, of the module that asks sources."""
    limits = Limits(max_bytes=1024 * 1024, connections=2)
    client = SourceClient(base_url, AiohttpTransport(limits), limits=limits)
    try:
        yield client
    finally:
        await client.aclose()
