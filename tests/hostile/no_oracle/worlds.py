"""Two gateways with the same key and the same patient: the second's sources hold nothing of what the first hides."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2

from tests.boundless import UNHURRIED
from tests.flow.stack import Stack, resources, running
from tests.flow.test_no_trace import UUID, hidden_from
from tests.hostile.no_oracle.questions import FHIR, Known, Question, content_of, known_of
from tests.hostile.no_oracle.remembered import Network

_CURSOR: Final = re.compile(r"(?<=_cursor=)[A-Za-z0-9_-]+")
_OF_THE_ANSWER: Final = frozenset({"date", "x-request-id", "content-length"})
"""Headers that differ between any two answers; a length goes with the body, which is compared itself."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What one question showed and caused, less what differs between any two answers."""

    status: int
    headers: Mapping[str, str]
    body: Any
    asked: Counter[Any]


@dataclass(slots=True)
class World:
    """One gateway, as one person asks it."""

    stack: Stack
    network: Network
    client: httpx2.AsyncClient
    headers: Mapping[str, str]

    async def ask(self, question: Question) -> tuple[Seen, str | None]:
        """What it shows and causes, and the address of the next page where there is one."""
        self.network.begin()
        kind = {"Content-Type": "application/json"} if isinstance(question.body, dict) else {}
        sent = {**self.headers, **kind, **question.headers}
        answer = await self.client.request(question.method, question.path, content=content_of(question), headers=sent)
        headers = {name: value for name, value in answer.headers.items() if name not in _OF_THE_ANSWER}
        body = json.loads(answer.content)
        return Seen(answer.status_code, headers, normalised(answer.text), self.network.asked), _next(body)


@dataclass(slots=True)
class Pair:
    """The two worlds, what the asker knows, how many questions were asked, and what of them showed something."""

    one: World
    two: World
    known: Known
    hidden: int
    asked: int = 0
    shown: int = 0
    statuses: Counter[int] = field(default_factory=Counter)

    async def ask(self, question: Question, pages: int = 2) -> None:
        """Ask both, and so many further pages. Raises AssertionError with the question where they differ."""
        following: Question | None = question
        while following and pages >= 0:
            (first, link), (second, other) = await self.one.ask(following), await self.two.ask(following)
            entries = following.body.get("entry") if isinstance(following.body, dict) else None
            assert first == second, (following, first, second)
            assert (link is None) == (other is None), following
            self.asked += len(entries or [0])
            self.statuses[first.status] += 1
            following, pages = (None if link is None or link != other else Question("GET", link)), pages - 1
            if link is not None and other is not None and link != other:
                await self._pages_of_their_own(link, other)

    async def _pages_of_their_own(self, link: str, other: str) -> None:
        """A cursor is of its own moment: each world goes on with its own."""
        (first, _), (second, _) = await self.one.ask(Question("GET", link)), await self.two.ask(Question("GET", other))
        assert first == second, link
        self.asked += 1
        self.statuses[first.status] += 1


def normalised(text: str) -> Any:
    """The body without the ids and moments of the answer itself, and with no more of a cursor than its length."""
    bare = _CURSOR.sub(lambda found: f"#{len(found[0])}", UUID.sub("", text))
    body = json.loads(bare)
    for moment in _moments(body):
        bare = bare.replace(moment, "")
    return json.loads(bare)


def _moments(node: Any) -> set[str]:
    """When each Bundle in it was made."""
    found: set[str] = set()
    if isinstance(node, dict) and node.get("resourceType") == "Bundle":
        found |= {node.get("timestamp"), node.get("meta", {}).get("lastUpdated")} - {None}
        for entry in node.get("entry", ()):
            found |= _moments(entry.get("resource"))
    return found


def _next(body: Any) -> str | None:
    if not isinstance(body, dict) or body.get("resourceType") != "Bundle":
        return None
    urls = [link["url"] for link in body.get("link", ()) if link["relation"] == "next"]
    if not urls:
        return None
    parts = urlsplit(urls[0])
    return f"{parts.path}?{parts.query}"


@asynccontextmanager
async def worlds(folder: Path, patient: str, role: str, *, hidden_too: tuple[str, ...] = ()) -> AsyncIterator[Pair]:
    """Both, with everybody's permission. What is left out of the second is what `role` isn't shown; with `hidden_too`,
    what none of these is shown either, so that the pair serves them all."""
    async with AsyncExitStack() as exits:
        (folder / "one").mkdir(parents=True)
        (folder / "two").mkdir()
        network = Network()
        one = await exits.enter_async_context(running(folder / "one", network=network, deadline=UNHURRIED))
        hidden = await _hidden(one, patient, (role, *hidden_too))
        known = known_of(patient, resources((await one.everything(patient, "gp")).json()))
        (folder / "two" / "master.key").write_text((folder / "one" / "master.key").read_text())
        other = Network()
        two = await exits.enter_async_context(
            running(folder / "two", network=other, without=hidden, deadline=UNHURRIED)
        )
        for each in (role, *hidden_too):
            await two.agree(patient, each)
        seen = [
            World(stack, net, await exits.enter_async_context(stack.browser()), stack.headers(role))
            for stack, net in ((one, network), (two, other))
        ]
        yield Pair(*seen, known, len(hidden))


async def _hidden(stack: Stack, patient: str, roles: tuple[str, ...]) -> frozenset[str]:
    for role in roles:
        await stack.agree(patient, role)
    return frozenset.intersection(*[await hidden_from(stack, patient, role) for role in roles])


def as_role(pair: Pair, role: str) -> Pair:
    """The same worlds, asked by somebody else."""
    one, two = (World(w.stack, w.network, w.client, w.stack.headers(role)) for w in (pair.one, pair.two))
    return Pair(one, two, pair.known, pair.hidden)


__all__ = ["FHIR", "Pair", "Seen", "World", "as_role", "normalised", "worlds"]
