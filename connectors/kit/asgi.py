"""The few ASGI moves that every sandbox shares. No framework: a sandbox has to cost less than what it measures."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = [
    "FHIR_JSON",
    "ASGIApp",
    "BodyTooLong",
    "Message",
    "Receive",
    "Scope",
    "Send",
    "gone_within",
    "outcome",
    "read",
    "reply",
]

FHIR_JSON: Final = b"application/fhir+json"
_BODY_LIMIT: Final = 65_536


class BodyTooLong(ValueError):
    """A request body beyond 64 KiB; nothing that asks a sandbox is that long."""


async def read(receive: Receive) -> bytes:
    """The whole request body. Raises BodyTooLong beyond 64 KiB."""
    body = b""
    while True:
        message = await receive()
        part: bytes = message.get("body", b"")
        body += part
        if len(body) > _BODY_LIMIT:
            raise BodyTooLong("The request body is longer than 64 KiB.")
        if not message.get("more_body", False):
            return body


async def reply(
    send: Send, status: int, body: bytes, kind: bytes = b"application/json", *more: tuple[bytes, bytes]
) -> None:
    """Send one whole answer of content type `kind`, with `more` headers."""
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode()), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def outcome(code: str, sentence: str, *, severity: str = "error") -> bytes:
    """An OperationOutcome with one issue, as bytes. `code` is of the R4 value set issue-type."""
    issue: dict[str, Any] = {"severity": severity, "code": code, "diagnostics": sentence}
    return msgspec.json.encode({"resourceType": "OperationOutcome", "issue": [issue]})


async def gone_within(receive: Receive, seconds: float | None) -> bool:
    """Wait up to `seconds` (None: without end) for the client to leave; True as soon as it has."""
    try:
        async with asyncio.timeout(seconds):
            while (await receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        return False
    return True
