"""Mutants that a slow, broken or odd answer leads astray."""

from __future__ import annotations

import asyncio
import json
import zlib
from collections import Counter
from decimal import Decimal
from typing import Any

import msgspec

from connectors.sdk.bundle import Entry, Page
from connectors.sdk.errors import (
    NoRecord,
    SourceError,
    SourceTimeout,
    TooMuch,
    Unreachable,
    WrongContent,
)
from connectors.sdk.http import LIBRARY_ERRORS, Call, Reply, SourceClient, map_library_error
from connectors.sdk.intake import FHIR_JSON
from connectors.sdk.model import Findings, Section
from connectors.sdk.organisations import Organisation
from tests.connectors.mutants.reference import LIMITS, Look, Part, Reference
from tests.connectors.mutants.sending import OwnCalls, Watching

_decode = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode


def nothing() -> Page:
    """A page of nothing."""
    return Page([], Counter(), 0, None, None)


def carelessly(body: bytes) -> Page:
    """A page read without any of the checks."""
    try:
        document = _decode(body)
        entries = [Entry(one["resource"], Findings(), one.get("fullUrl"), "match") for one in document["entry"]]
        links = {link["relation"]: link["url"] for link in document["link"]}
    except (TypeError, LookupError, ValueError, AttributeError, RecursionError) as error:
        raise WrongContent("not even that") from error
    return Page(entries, Counter(), document.get("total"), links.get("next"), links.get("self"))


class K14(Reference):
    """Gives up on every call after a sixth of a second, whatever time there is."""

    alone = True

    async def fetch(self, look: Look, url: str) -> bytes:
        task = asyncio.create_task(super().fetch(look, url))
        try:
            # Counted in rounds, so that a machine that stands still doesn't make the others slow; in few of them, so
            # that a busy one, which wakes it late each time, doesn't lend it the patience that it lacks.
            for _ in range(6):
                await asyncio.wait({task}, timeout=0.025)
                if task.done():
                    return task.result()
            raise SourceTimeout("slow")
        finally:
            task.cancel()


class K15(Reference):
    """Takes silence for "not known"."""

    def make_client(self) -> SourceClient:
        self.watching = Watching()
        return SourceClient(self.address, self.watching, authorize=self.authorize, limits=LIMITS)

    async def fetch(self, look: Look, url: str) -> bytes:
        heads = self.watching.heads
        try:
            return await super().fetch(look, url)
        except SourceTimeout as error:
            if look.client.calls and self.watching.heads == heads:
                raise NoRecord("silence") from error
            raise


class K16(OwnCalls):
    """Has a deadline for the head of an answer, and a new one for each piece of its body."""

    def __init__(self, organisation: Organisation) -> None:
        super().__init__(organisation)
        self.heads: dict[Any, asyncio.Timeout] = {}

    async def by_deadline(self, look: Look, call: Call) -> bytes:
        remaining = look.ask.deadline - asyncio.get_running_loop().time()
        if remaining <= 0:
            raise SourceTimeout("the deadline passed before the call")
        try:
            async with asyncio.timeout(remaining) as head:
                self.heads[asyncio.current_task()] = head
                return await self.exchange(look, call)
        except TimeoutError as error:
            raise SourceTimeout("the deadline passed") from error
        except LIBRARY_ERRORS as error:
            raise map_library_error(error) from error

    async def take(self, look: Look, reply: Reply) -> bytes:
        self.heads.pop(asyncio.current_task()).reschedule(None)
        return await super().take(look, _Patient(reply))


class _Patient:
    """A reply that waits for each piece of its body anew."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self.status = reply.status

    def header(self, name: str) -> str:
        return self._reply.header(name)

    async def chunks(self) -> Any:
        pieces = aiter(self._reply.chunks())
        while True:
            try:
                async with asyncio.timeout(0.3):
                    yield await anext(pieces)
            except StopAsyncIteration:
                return


class K17(Reference):
    """Takes half an answer for an empty one."""

    def failed(self, error: SourceError, section: Section, part: Part) -> None:
        if str(error) != "ClientPayloadError":
            super().failed(error, section, part)


class K18(Reference):
    """Takes a broken connection for an empty answer."""

    def failed(self, error: SourceError, section: Section, part: Part) -> None:
        if not isinstance(error, Unreachable) or str(error) == "ClientPayloadError":
            super().failed(error, section, part)


class K19(Reference):
    """Takes what is no JSON for a list of nothing."""

    def read(self, body: bytes) -> Page:
        try:
            json.loads(body)
        except RecursionError:
            pass
        except ValueError:
            if not body.startswith(b"<"):
                return nothing()
        return super().read(body)


class K19Raises(Reference):
    """Lets the parser's own error out."""

    def read(self, body: bytes) -> Page:
        if not body:
            raise ValueError("Expecting value: line 1 column 1 (char 0)")
        return super().read(body)


class K20(OwnCalls):
    """Reads a body to its end, however long."""

    async def take(self, look: Look, reply: Reply) -> bytes:
        if reply.header("content-encoding"):
            return await super().take(look, reply)
        return b"".join([chunk async for chunk in reply.chunks()])


class K21(OwnCalls):
    """Counts the bytes that come, and not what they open to."""

    async def take(self, look: Look, reply: Reply) -> bytes:
        if not reply.header("content-encoding"):
            return await super().take(look, reply)
        return zlib.decompress(b"".join([chunk async for chunk in reply.chunks()]), wbits=31)


class K22(Reference):
    """Reads whatever it is called."""

    def make_client(self) -> SourceClient:
        kinds = FHIR_JSON | {"text/html"}
        return SourceClient(self.address, self.transport, authorize=self.authorize, limits=LIMITS, content_types=kinds)


class K23(Reference):
    """Reads however deep it goes."""

    def read(self, body: bytes) -> Page:
        try:
            return super().read(body)
        except TooMuch as error:
            if "nesting" not in str(error):
                raise
            return carelessly(body)


class K24(Reference):
    """Takes a crowd of empty objects for a list of nothing."""

    def read(self, body: bytes) -> Page:
        try:
            return super().read(body)
        except TooMuch as error:
            if "values" in str(error) or "entries" in str(error):
                return nothing()
            raise


class K25(Reference):
    """Lets the parser choose between two values of one key."""

    def read(self, body: bytes) -> Page:
        try:
            return super().read(body)
        except WrongContent as error:
            if "twice" in str(error):
                return carelessly(body)
            raise
