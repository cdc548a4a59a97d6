"""An external audit repository in one small ASGI app: it takes transactions of PUTs, and fails in every known way."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx2

from connectors.sdk.http import Httpx2Transport, Limits
from connectors.sdk.port import Call, Reply

BASE = "http://audit.example/fhir"


class Lost(httpx2.ReadError):
    """The connection broke."""


class Repository:
    """`held` are the events by id, in the order in which they first came; `sent` is every id of every call.

    Each call takes the next of `moods`: a status, or `hang`, `short` (answers for fewer than it was sent), `html`,
    `garbage`, `entry-500`, `entry-422` (200, and one entry is not well), `lost` (held, and the answer never comes),
    `dies` (in the middle: nothing is held). Without one it is well. `refuses` are ids that it won't have.
    """

    def __init__(self, *moods: int | str) -> None:
        self.moods: deque[int | str] = deque(moods)
        self.refuses: set[str] = set()
        self.held: dict[str, Any] = {}
        self.sent: list[list[str]] = []
        self.credentials: list[str] = []

    @property
    def calls(self) -> int:
        return len(self.sent)

    def transport(self) -> Httpx2Transport:
        return Httpx2Transport(Limits(), httpx2.ASGITransport(app=self))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        assert (scope["method"], scope["path"]) == ("POST", "/fhir")
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        assert headers["content-type"] == "application/fhir+json"
        self.credentials.append(headers.get("authorization", ""))
        entries = json.loads(await _body(receive))["entry"]
        self.sent.append([entry["resource"]["id"] for entry in entries])
        await self._answer(entries, self.moods.popleft() if self.moods else "well", send)

    async def _answer(self, entries: Sequence[dict[str, Any]], mood: int | str, send: Any) -> None:
        if mood == "hang":
            await asyncio.sleep(3600)
        if mood == "dies":
            raise Lost("in the middle")
        if any(entry["resource"]["id"] in self.refuses for entry in entries):
            mood = 422
        if isinstance(mood, int) and mood not in (200, 201):
            await _send(send, mood, b'{"resourceType":"OperationOutcome"}')
            return
        answers = [{"response": {"status": self._put(entry)}} for entry in entries]
        if mood == "lost":
            raise Lost("after it was held")
        if mood == "short":
            answers.pop()
        if isinstance(mood, str) and mood.startswith("entry-"):
            answers[-1]["response"]["status"] = mood.removeprefix("entry-")
        body = json.dumps({"resourceType": "Bundle", "type": "transaction-response", "entry": answers}).encode()
        body = {"html": b"<html></html>", "garbage": b'{"entry": [1]}'}.get(str(mood), body)
        kind = b"text/html" if mood == "html" else b"application/fhir+json"
        await _send(send, mood if isinstance(mood, int) else 200, body, kind)

    def _put(self, entry: dict[str, Any]) -> str:
        event = entry["resource"]
        assert entry["request"] == {"method": "PUT", "url": f"AuditEvent/{event['id']}"}
        was_there = event["id"] in self.held
        assert not was_there or self.held[event["id"]] == event, "the same id, another event"
        self.held[event["id"]] = event
        return "200 OK" if was_there else "201 Created"


class Cutting:
    """A transport that is cut short before or after a call, as `cut` says."""

    def __init__(self, inner: Httpx2Transport, cut: Any) -> None:
        self._inner = inner
        self._cut = cut

    @asynccontextmanager
    async def send(self, call: Call) -> AsyncIterator[Reply]:
        self._cut()
        async with self._inner.send(call) as reply:
            self._cut()
            yield reply

    async def aclose(self) -> None:
        await self._inner.aclose()


async def _body(receive: Any) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


async def _send(send: Any, status: int, body: bytes, kind: bytes = b"application/fhir+json") -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", kind)]})
    await send({"type": "http.response.body", "body": body})
