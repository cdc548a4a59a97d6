"""What a gateway reaches in the world, and how: the parts are made with it, and tests make them with their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from connectors.sdk.connector import Connector, connect
from connectors.sdk.http import Transport, fetch_bytes
from connectors.sdk.organisations import Organisation
from gateway.caller.issuer_document import Fetch
from gateway.caller.userinfo import FetchAs


async def fetch_document(url: str) -> bytes:
    """An issuer's keys or discovery document. Raises SourceError."""
    return await fetch_bytes(url, limit=64 * 1024, timeout=3.0)


async def fetch_userinfo(url: str, token: str) -> bytes:
    """What an issuer says of the person whose token it is. Raises SourceError."""
    return await fetch_bytes(url, limit=64 * 1024, timeout=3.0, bearer=token)


@dataclass(frozen=True, slots=True)
class Outside:
    """The world that a gateway reaches: its sources, and its issuers' documents. Tests put their own here."""

    connect: Callable[[Organisation], Connector] = connect
    fetch: Fetch = fetch_document
    audit_repository: Transport | None = None
    ehrs: Transport | None = None
    fetch_as: FetchAs = fetch_userinfo
