"""One request to a fault server and what the system behind it would have answered."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Final
from urllib.parse import quote, unquote

from connectors.kit.asgi import ASGIApp, Message, Scope
from connectors.kit.wire import Line
from connectors.sdk.http import AiohttpTransport, Call, Limits

__all__ = ["Backend", "Exchange", "Fault", "Request", "Response", "of_app", "of_upstream"]

_OWN_TO_A_HOP: Final = frozenset({"connection", "content-length", "host", "keep-alive", "transfer-encoding", "te"})
_PHRASES: Final = {int(status): status.phrase for status in HTTPStatus}
_CARRIED: Final = ("content-type", "content-encoding", "location", "retry-after", "www-authenticate")


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came; names of headers are in lower case."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def key(self) -> tuple[str, str, bytes]:
        """What makes two requests the same question: headers may carry a fresh id or proof each time."""
        return self.method, self.target, self.body

    def header(self, name: str) -> str:
        """A header's value, or an empty string."""
        return next((value for key, value in self.headers if key == name), "")

    def about(self, others: Mapping[str, str]) -> Request:
        """The same question with each of these ids replaced, in the address (also as a URL writes it) and the body."""
        target, body = self.target, self.body.decode("utf-8", "surrogateescape")
        for text, other in others.items():
            for before, after in ((text, other), (quote(text, safe=""), quote(other, safe=""))):
                target = _replaced(target, before, after)
            body = _replaced(body, text, other)
        return replace(self, target=target, body=body.encode("utf-8", "surrogateescape"))


@dataclass(frozen=True, slots=True)
class Response:
    """One whole answer."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def with_body(self, body: bytes) -> Response:
        """The same answer with another body."""
        return replace(self, body=body)

    def with_header(self, name: str, value: str) -> Response:
        """The same answer with one header set."""
        kept = tuple(pair for pair in self.headers if pair[0].lower() != name.lower())
        return replace(self, headers=(*kept, (name, value)))

    def head(self, length: int | None) -> bytes:
        """Status line and headers; chunked where the length isn't known."""
        framing = "transfer-encoding: chunked" if length is None else f"content-length: {length}"
        lines = [f"HTTP/1.1 {self.status} {_PHRASES.get(self.status, 'Unknown')}", framing]
        lines += [f"{name}: {value}" for name, value in self.headers if name.lower() not in _OWN_TO_A_HOP]
        return "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n"


def _replaced(text: str, before: str, after: str) -> str:
    """Each `before` that stands by itself (after `%7C` too): the id `17` is no part of `117`."""
    return re.sub(rf"(?:(?<![A-Za-z0-9])|(?<=%[0-9A-F]{{2}})){re.escape(before)}(?![A-Za-z0-9])", lambda _: after, text)


Backend = Callable[[Request], Awaitable[Response]]
"""The system behind the faults. One that raises ConnectionError has its connection reset."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request, the system behind, and the way back. `elsewhere` is an origin where nobody ought to be led."""

    request: Request
    backend: Backend
    line: Line
    elsewhere: str

    async def well(self) -> Response:
        """What the system answers."""
        return await self.backend(self.request)

    async def reply(self, response: Response) -> None:
        """Send an answer whole."""
        await self.line.send(response.head(len(response.body)) + response.body)

    async def gone(self, seconds: float | None) -> bool:
        """Wait up to `seconds` (None: without end) for the caller to leave; True as soon as it has."""
        with contextlib.suppress(ConnectionError):
            try:
                async with asyncio.timeout(seconds):
                    await self.line.reader.read(1)
            except TimeoutError:
                return False
        return True


Fault = Callable[[Exchange], Awaitable[None]]
"""What a server does with one request."""


def of_app(app: ASGIApp) -> Backend:
    """An ASGI app, called in this process."""

    async def answer(request: Request) -> Response:
        sent: list[Message] = []
        waiting = [request.body]

        async def receive() -> Message:
            if waiting:
                return {"type": "http.request", "body": waiting.pop(), "more_body": False}
            await asyncio.Event().wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            sent.append(message)

        await app(_scope(request), receive, send)
        head = sent[0]
        headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in head["headers"])
        return Response(head["status"], headers, b"".join(message.get("body", b"") for message in sent[1:]))

    return answer


def _scope(request: Request) -> Scope:
    path, _, query = request.target.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode("ascii", "replace"),
        "root_path": "",
        "query_string": query.encode("ascii", "replace"),
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in request.headers],
        "client": ("127.0.0.1", 0),
        "server": ("127.0.0.1", 80),
    }


@asynccontextmanager
async def of_upstream(origin: str) -> AsyncIterator[Backend]:
    """A system somewhere else, by its origin (`http://127.0.0.1:8080`): asked over HTTP, path for path."""
    transport = AiohttpTransport(Limits())

    async def answer(request: Request) -> Response:
        headers = {name: value for name, value in request.headers if name not in _OWN_TO_A_HOP}
        call = Call(request.method, origin.rstrip("/") + request.target, headers, request.body or None)
        async with transport.send(call) as reply:
            carried = tuple((name, reply.header(name)) for name in _CARRIED if reply.header(name))
            return Response(reply.status, carried, b"".join([chunk async for chunk in reply.chunks()]))

    try:
        yield answer
    finally:
        await transport.aclose()
