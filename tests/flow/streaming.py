"""A live answer read event by event, and sources that answer when a test says so: order alone, never a clock."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from starlette.types import Message

from connectors.sdk.connector import Connector
from connectors.sdk.errors import SourceError
from connectors.sdk.model import Answer, Ask
from tests.flow.stack import Stack

STREAM = "text/event-stream"


@dataclass
class Held:
    """A connector whose answer waits until it's let go, or `fails`. `cut` is how often nobody waited any more."""

    inner: Connector
    fails: SourceError | None = None
    go: asyncio.Event = field(default_factory=asyncio.Event)
    cut: int = 0

    async def ask(self, ask: Ask) -> Answer:
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cut += 1
            raise
        if self.fails is not None:
            raise self.fails
        return await self.inner.ask(ask)

    async def aclose(self) -> None:
        await self.inner.aclose()


@dataclass
class Holding:
    """Puts a Held around each of these sources. The others answer at once."""

    sources: Iterable[str]
    held: dict[str, Held] = field(default_factory=dict)

    def around(self, ods: str, connector: Connector) -> Connector:
        if ods not in self.sources:
            return connector
        self.held[ods] = Held(connector)
        return self.held[ods]

    def let_go(self, *sources: str) -> None:
        for ods in sources or self.held:
            self.held[ods].go.set()

    def hold_again(self) -> None:
        for one in self.held.values():
            one.go.clear()
            one.fails, one.cut = None, 0


@dataclass(frozen=True)
class Event:
    name: str
    id: str
    data: dict[str, Any]


class Open:
    """One answer under way. `all` is what was read of it; every event is held against R4. `reads`, where it is set, is
    how the client takes each piece."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.status = 0
        self.headers: dict[str, str] = {}
        self.raw = b""
        self.all = b""
        self._came: asyncio.Queue[Message | None] = asyncio.Queue()
        self._gone = asyncio.Event()
        self._asked = False
        self._body = b""
        self.reads: Callable[[], Awaitable[object]] | None = None
        self.task: asyncio.Task[None] | None = None

    async def receive(self) -> Message:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": self._body, "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        await self._came.put(message)
        if self.reads is not None and message["type"] == "http.response.body":
            await self.reads()

    async def begun(self) -> int:
        """The status, once there is one."""
        await self._until(lambda: bool(self.status))
        return self.status

    async def event(self) -> Event | None:
        """The next event; None at the end of the answer."""
        await self._until(lambda: b"\n\n" in self.raw)
        if b"\n\n" not in self.raw:
            return None
        text, _, self.raw = self.raw.partition(b"\n\n")
        lines = dict(line.split(": ", 1) for line in text.decode().splitlines())
        self._stack.answers.hold(lines["data"].encode())
        self.all += text + b"\n\n"
        return Event(lines["event"], lines.get("id", ""), json.loads(lines["data"]))

    async def events(self) -> list[Event]:
        """All that is to come."""
        found = []
        while (event := await self.event()) is not None:
            found.append(event)
        return found

    async def hang_up(self) -> None:
        """Go away, and wait until the gateway has noticed."""
        self._gone.set()
        assert self.task is not None
        await asyncio.gather(self.task, return_exceptions=True)

    async def _until(self, there: Callable[[], bool]) -> None:
        while not there():
            message = await self._came.get()
            if message is None:
                self._came.put_nowait(None)
                return
            if message["type"] == "http.response.start":
                self.status = message["status"]
                self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            else:
                self.raw += message["body"]

    def over(self, _: asyncio.Task[None]) -> None:
        self._came.put_nowait(None)


@asynccontextmanager
async def streaming(
    stack: Stack, path: str, who: str = "gp", *, method: str = "GET", headers: Mapping[str, str] | None = None
) -> AsyncIterator[Open]:
    """Ask for an event stream. Whatever is still under way at the end is ended."""
    parts = urlsplit(path)
    sent = {"host": "127.0.0.1:8000", "accept": STREAM, **stack.headers(who), **(headers or {})}
    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": method,
        "scheme": "http", "path": parts.path, "raw_path": parts.path.encode(), "query_string": parts.query.encode(),
        "root_path": "", "headers": [(name.lower().encode(), value.encode()) for name, value in sent.items()],
        "client": ("127.0.0.1", 50000), "server": ("127.0.0.1", 8000), "state": {},
    }  # fmt: skip
    answer = Open(stack)
    answer.task = asyncio.create_task(stack.app(scope, answer.receive, answer.send))
    answer.task.add_done_callback(answer.over)
    try:
        yield answer
    finally:
        answer.task.cancel()
        await asyncio.gather(answer.task, return_exceptions=True)


def everything(nhs_number: str, query: str = "") -> str:
    return f"/fhir/R4/Patient/{nhs_number}/$everything" + (f"?{query}" if query else "")
