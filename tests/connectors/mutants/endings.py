"""Mutants that go where they shouldn't, don't end when they should, or tell what they mustn't."""

from __future__ import annotations

import asyncio
import logging
from urllib.parse import urlsplit

from connectors.sdk.bundle import Page
from connectors.sdk.errors import (
    NotUnderstood,
    SourceTimeout,
    Unreachable,
    Unwell,
    WrongContent,
)
from connectors.sdk.http import AiohttpTransport, Call, Reply, SourceClient
from connectors.sdk.model import Answer, Ask, Resource, Section
from tests.connectors.mutants.reference import LIMITS, Look, Part, Reference
from tests.connectors.mutants.sending import OwnCalls


class K26(Reference):
    """Turns pages as long as there are any."""

    max_pages = 10_000


class K27(Reference):
    """Goes wherever a next link leads."""

    def follow(self, look: Look, link: str) -> str:
        return link

    async def fetch(self, look: Look, url: str) -> bytes:
        if not url.startswith("http"):
            return await super().fetch(look, url)
        parts = urlsplit(url)
        client = SourceClient(f"{parts.scheme}://{parts.netloc}", self.transport, limits=LIMITS)
        client.calls = look.client.calls
        body = await client.get(url, deadline=look.ask.deadline)
        look.client.calls = client.calls
        return body


class K28(OwnCalls):
    """Follows redirects."""

    async def exchange(self, look: Look, call: Call) -> bytes:
        look.client.calls += 1
        async with self.transport.send(call) as reply:
            if reply.status not in (302, 307):
                return await self.checked(look, reply)
            location = reply.header("location")
        async with self.transport.send(Call("GET", location, call.headers)) as reply:
            return await self.checked(look, reply)


class K29(Reference):
    """Has a whole deadline for each call."""

    async def ask(self, ask: Ask) -> Answer:
        self.each = ask.deadline - asyncio.get_running_loop().time()
        return await super().ask(ask)

    async def fetch(self, look: Look, url: str) -> bytes:
        deadline = asyncio.get_running_loop().time() + self.each
        return await look.client.get(url, deadline=deadline, budget=look.budget)


class K29Asks(Reference):
    """Asks when it is too late to hear the answer."""

    async def fetch(self, look: Look, url: str) -> bytes:
        late = asyncio.get_running_loop().time() >= look.ask.deadline
        if not late:
            return await super().fetch(look, url)
        await look.client.get(url, deadline=asyncio.get_running_loop().time() + 0.2)
        raise SourceTimeout("late")


class K30(Reference):
    """Takes its cancellation for a deadline."""

    async def ask(self, ask: Ask) -> Answer:
        try:
            return await super().ask(ask)
        except asyncio.CancelledError as error:
            raise SourceTimeout("cancelled") from error


class K31(Reference):
    """Stops waiting at the deadline, and leaves the call behind."""

    left: list[asyncio.Task[bytes]]

    async def fetch(self, look: Look, url: str) -> bytes:
        loop = asyncio.get_running_loop()
        remaining = look.ask.deadline - loop.time()
        if remaining <= 0:
            raise SourceTimeout("the deadline passed before the call")
        call = look.client.get(url, deadline=look.ask.deadline + 5, budget=look.budget)
        task = asyncio.create_task(call)
        try:
            done, _ = await asyncio.wait({task}, timeout=remaining)
        except asyncio.CancelledError:
            task.cancel()
            raise
        if done:
            return task.result()
        self.left = [*getattr(self, "left", []), task]
        raise SourceTimeout("the deadline passed")

    async def aclose(self) -> None:
        for task in getattr(self, "left", []):
            task.cancel()
        await asyncio.gather(*getattr(self, "left", []), return_exceptions=True)
        await super().aclose()


class K41(Reference):
    """Puts a question that wasn't understood once more."""

    async def fetch(self, look: Look, url: str) -> bytes:
        try:
            return await super().fetch(look, url)
        except NotUnderstood:
            return await super().fetch(look, url)


class K42(Reference):
    """Tries a system that is unwell again and again."""

    async def fetch(self, look: Look, url: str) -> bytes:
        try:
            return await super().fetch(look, url)
        except Unwell:
            await super().fetch(look, url)
            return await super().fetch(look, url)


class K42Reset(Reference):
    """Calls four times where connections break."""

    async def fetch(self, look: Look, url: str) -> bytes:
        for _ in range(3):
            try:
                return await super().fetch(look, url)
            except Unreachable:
                continue
        return await super().fetch(look, url)


class K44(Reference):
    """Closes nothing."""

    async def aclose(self) -> None:
        _left_open.append(self.transport)


_left_open: list[AiohttpTransport] = []


async def close_what_was_left_open() -> None:
    """What K44 leaves behind would be reported as a warning of the process."""
    while _left_open:
        await _left_open.pop().aclose()


class K46(Reference):
    """Logs whom it asks for."""

    async def ask(self, ask: Ask) -> Answer:
        logging.getLogger("mutant").debug("asking", extra={"patient": ask.nhs_number})
        return await super().ask(ask)


class K46Detail(Reference):
    """Puts the address of the call into the operator's text."""

    async def section(self, look: Look, patient: Resource, section: Section) -> Part:
        part = await super().section(look, patient, section)
        part.detail = part.detail and f"{part.detail} for {look.ask.nhs_number}"
        return part


class K46Error(Reference):
    """Puts the number into the error."""

    async def person(self, look: Look) -> Resource:
        try:
            return await super().person(look)
        except WrongContent as error:
            raise WrongContent(f"{error}: {look.ask.nhs_number}") from error


class K47(Reference):
    """Shows its secret to whoever prints it."""

    def __repr__(self) -> str:
        return f"Reference({self.address}, {vars(self.authorize)})"


class K47Prints(OwnCalls):
    """Prints the headers that it sends."""

    async def proven(self, call: Call, look: Look) -> Call:
        proven = await super().proven(call, look)
        print(proven.headers)
        return proven


class K48(OwnCalls):
    """Tells the operator what the source wrote."""

    async def checked(self, look: Look, reply: Reply) -> bytes:
        try:
            return await super().checked(look, reply)
        except NotUnderstood as error:
            said = (await self.take(look, reply)).decode("utf-8", "replace")
            raise NotUnderstood(f"{error}: {said.partition('diagnostics')[2][:36]}") from error


class K48Logs(Reference):
    """Logs what came."""

    def read(self, body: bytes) -> Page:
        page = super().read(body)
        for entry in page.entries:
            logging.getLogger("mutant").debug("came: %s", entry.resource.get("note"))
        return page
