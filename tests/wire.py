"""Servers on 127.0.0.1 that misbehave byte by byte (`connectors.kit.wire`), in the words of the tests."""

from __future__ import annotations

import asyncio

from connectors.kit import wire
from connectors.kit.wire import Line, Play, Wire, saying, serving, silence

__all__ = ["BUNDLE", "Line", "Play", "Wire", "reply", "saying", "serving", "silence", "soon"]

BUNDLE = b'{"resourceType":"Bundle","type":"searchset"}'


def reply(
    body: bytes = BUNDLE, kind: str | None = "application/fhir+json", status: str = "200 OK", **headers: str
) -> bytes:
    """A whole answer; an empty searchset where nothing else is given."""
    return wire.reply(body, kind, status, **headers)


def soon(seconds: float = 60.0) -> float:
    """A deadline, as absolute loop time."""
    return asyncio.get_running_loop().time() + seconds
