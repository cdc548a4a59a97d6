"""The naive peer: FastAPI, httpx, a fhir.resources model of every resource, and a model as the response.

It is what the libraries' own front pages lead to. What comes out has lost digits: `0.10` is `0.1`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from fastapi import FastAPI, Request
from fhir.resources.R4B import get_fhir_model_class
from fhir.resources.R4B.bundle import Bundle, BundleEntry

from tests.bench.peers.plain import namespaced
from tests.bench.peers.served import Order, run


def read(source: str, body: dict[str, Any]) -> list[BundleEntry]:
    """Every resource as the model of its type, with ids that don't clash."""
    return [BundleEntry(resource=_model(namespaced(entry["resource"], source))) for entry in body.get("entry", ())]


def _model(resource: dict[str, Any]) -> Any:
    return get_fhir_model_class(resource["resourceType"]).model_validate(resource)


def make(order: Order) -> FastAPI:
    """The application."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        # Without these limits, 24 records at once end in PoolTimeout and a 500.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=200)
        async with httpx.AsyncClient(limits=limits, timeout=60, verify=order.tls) as client:
            app.state.client = client
            yield

    app = FastAPI(lifespan=lifespan)

    @app.get("/record", response_model_exclude_none=True)
    async def record(request: Request) -> Bundle:
        async def ask(source: str, url: str) -> list[BundleEntry]:
            answer = await request.app.state.client.get(url)
            answer.raise_for_status()
            return read(source, answer.json())

        found = await asyncio.gather(*(ask(source, url) for source, url in order.urls))
        entries = [entry for entries in found for entry in entries]
        return Bundle(type="searchset", total=len(entries), entry=entries)

    return app


if __name__ == "__main__":
    run(make)
