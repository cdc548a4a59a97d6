"""HealthChain: its own client towards every source, its provenance on every resource, its merge, in its own server.

It runs in the bench's own environment (`tests/bench/environment.py`). Its connection strings know https alone, so its
clients are made directly, which spares it the TLS that nobody else here pays for. Its merge isn't asked to
"deduplicate": by bare id, that drops resources of different sources and types.
"""

from __future__ import annotations

import asyncio
import logging
from urllib.parse import parse_qsl

from fastapi import Response
from fhir.resources.R4B.bundle import Bundle
from healthchain.fhir import add_provenance_metadata, merge_bundles
from healthchain.gateway import HealthChainAPI
from healthchain.gateway.clients.fhir.aio.client import AsyncFHIRClient
from healthchain.gateway.clients.fhir.base import FHIRAuthConfig

from tests.bench.peers.served import Order, run


def _client(base: str) -> AsyncFHIRClient:
    token_url = f"{base.removesuffix('/fhir')}/token"
    return AsyncFHIRClient(
        FHIRAuthConfig(base_url=base, client_id="bench", client_secret="bench", token_url=token_url, timeout=60)
    )


async def _search(client: AsyncFHIRClient, source: str, search: str) -> Bundle:
    kind, _, query = search.partition("?")
    bundle = await client.search(kind, dict(parse_qsl(query)))
    for entry in bundle.entry or ():
        entry.resource = add_provenance_metadata(entry.resource, source, "aggregated")
    return bundle


def make(order: Order) -> HealthChainAPI:
    """The application."""
    logging.disable(logging.INFO)
    app = HealthChainAPI(title="bench", service_type="fhir-gateway")
    clients: dict[str, AsyncFHIRClient] = {}

    @app.get("/record")
    async def record() -> Response:
        if not clients:
            clients.update({source: _client(base) for source, base in order.sources.items()})
        found = await asyncio.gather(
            *(_search(clients[source], source, search) for source in order.sources for search in order.searches)
        )
        whole = merge_bundles(list(found), bundle_type="searchset")
        return Response(whole.model_dump_json(), media_type="application/fhir+json")

    return app


if __name__ == "__main__":
    run(make)
