"""A fair plain peer: httpx and orjson, one merged Bundle, ids that don't clash. No policy, no audit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.bench.peers.served import Order, run


def merged(bodies: list[tuple[str, bytes]]) -> bytes:
    """One searchset of all that came."""
    entries = []
    for source, body in bodies:
        for entry in orjson.loads(body).get("entry", ()):
            resource = namespaced(entry["resource"], source)
            full_url = f"urn:record/{resource['resourceType']}/{resource['id']}"
            entries.append({"fullUrl": full_url, "resource": resource, "search": {"mode": "match"}})
    bundle = {"resourceType": "Bundle", "type": "searchset", "total": len(entries), "entry": entries}
    return orjson.dumps(bundle)


def namespaced(resource: dict[str, Any], source: str) -> dict[str, Any]:
    """The same resource with its source's name in its id and its references, and as a tag."""
    _rewrite(resource, source)
    resource["id"] = f"{source}-{resource['id']}"
    resource.setdefault("meta", {}).setdefault("tag", []).append({"system": "urn:source", "code": source})
    return resource


def _rewrite(node: Any, source: str) -> None:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "reference" and isinstance(value, str):
                kind, _, name = value.partition("/")
                node[key] = f"{kind}/{source}-{name}"
            else:
                _rewrite(value, source)
    elif isinstance(node, list):
        for value in node:
            _rewrite(value, source)


def make(order: Order) -> Starlette:
    """The application."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=200)
        async with httpx.AsyncClient(limits=limits, timeout=60, verify=order.tls) as client:
            app.state.client = client
            yield

    async def record(request: Request) -> Response:
        async def ask(source: str, url: str) -> tuple[str, bytes]:
            answer = await request.app.state.client.get(url)
            answer.raise_for_status()
            return source, answer.content

        bodies = await asyncio.gather(*(ask(source, url) for source, url in order.urls))
        return Response(merged(bodies), media_type="application/fhir+json")

    return Starlette(routes=[Route("/record", record)], lifespan=lifespan)


if __name__ == "__main__":
    run(make)
