"""The journal as AuditEvents in an external audit repository.

Each row is one event whose id is made of log and row, sent by PUT in a `transaction` Bundle: a row that is sent twice
is one event. A transaction is whole or nothing, so the repository's events are the journal's first rows, in order. What
the repository refuses is looked for by halving; the one row that it won't have stops the copy, with an alarm: nothing
is skipped, since a gap in an audit that nobody knows of is worse than a late one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from connectors.sdk.auth import authorizer, tls_context
from connectors.sdk.errors import NotUnderstood, SourceError
from connectors.sdk.http import AiohttpTransport, Limits, SourceClient, Transport
from gateway.audit.events.codes import Json
from gateway.audit.events.render import Events
from gateway.audit.followers.model import REPOSITORY, CopyFailed, CopyStopped
from gateway.audit.followers.settings import AuditRepository
from gateway.audit.row import Row
from gateway.store.interface import Entry, Kept

_MEDIA_TYPE: Final = {"Content-Type": "application/fhir+json"}
_MAX_ANSWER: Final = 4 * 1024 * 1024
_PASSING: Final = frozenset({"status 408", "status 409", "status 425"})
"""What the SDK says of a 4xx that may be another one next time: too slow, a conflict with somebody else's write."""


class Rejected(CopyFailed):
    """The repository won't have these events as they are."""


class Repository:
    """The repository's end: one transaction at a time. `transport` replaces the network in tests."""

    def __init__(self, settings: AuditRepository, transport: Transport | None = None) -> None:
        tls = tls_context(settings.tls, settings.auth)
        limits = Limits(max_bytes=_MAX_ANSWER, connections=1)
        self._timeout = settings.timeout
        self._client = SourceClient(
            settings.address,
            transport or AiohttpTransport(limits, tls),
            limits=limits,
            authorize=authorizer(settings.auth, transport=transport, tls=tls),
        )

    async def hold(self, events: Sequence[Json]) -> None:
        """Return once the repository says that it holds every one. Raises Rejected, or CopyFailed where it may hold
        them or not."""
        body = msgspec.json.encode({"resourceType": "Bundle", "type": "transaction", "entry": [*map(_entry, events)]})
        deadline = asyncio.get_running_loop().time() + self._timeout
        try:
            answer = await self._client.post(self._client.base_url, body, deadline=deadline, headers=_MEDIA_TYPE)
        except NotUnderstood as error:
            if str(error) in _PASSING:
                raise CopyFailed(f"the repository: {error}") from error
            raise Rejected(f"the repository: {error}") from error
        except SourceError as error:
            raise CopyFailed(f"the repository: {error}") from error
        _require_held(answer, len(events))

    async def aclose(self) -> None:
        """Close the connection."""
        await self._client.aclose()


class Push:
    """`Copy` in a repository."""

    name: Final = REPOSITORY

    def __init__(self, repository: Repository, events: Events, most: int) -> None:
        self._repository = repository
        self._events = events
        self.most = most

    async def begin(self, position: int) -> int:
        """See Copy. The store's position is all there is to know."""
        return position

    async def take(self, entries: Sequence[Entry]) -> int:
        """See Copy. An erased row has nothing to send: its event was sent before, or never will be."""
        events = [self._event(entry.leaf.seq, entry.row) for entry in entries if entry.row is not None]
        try:
            if events:
                await self._repository.hold(events)
        except Rejected as error:
            if len(entries) > 1:
                return await self.take(entries[: len(entries) // 2])
            raise CopyStopped(f"{error}; the row isn't skipped", entries[0].leaf.seq) from error
        return entries[-1].leaf.seq

    def _event(self, seq: int, row: bytes) -> Json:
        try:
            return self._events.of(Kept(seq, msgspec.json.decode(row, type=Row)))
        except ValueError as error:  # not a row, or sealed with another key
            raise CopyStopped("a row can't be read", seq) from error

    async def end(self) -> None:
        """See Copy."""

    async def aclose(self) -> None:
        """See Copy."""
        await self._repository.aclose()


def _entry(event: Json) -> Json:
    return {
        "fullUrl": f"urn:uuid:{event['id']}",
        "resource": event,
        "request": {"method": "PUT", "url": f"AuditEvent/{event['id']}"},
    }


def _require_held(answer: bytes, count: int) -> None:
    """A repository that answers 200 and says something else, or less, holds nothing that we know of."""
    statuses = _statuses(answer)
    if len(statuses) != count:
        raise CopyFailed("the repository's answer doesn't account for every event")
    if any(status.startswith("4") for status in statuses):
        raise Rejected("the repository refused an event")
    if not all(status.startswith("2") for status in statuses):
        raise CopyFailed("the repository's answer doesn't say that it holds every event")


def _statuses(answer: bytes) -> list[str]:
    try:
        bundle: Any = msgspec.json.decode(answer)
        return [str(entry["response"]["status"]) for entry in bundle["entry"]]
    except (msgspec.DecodeError, KeyError, TypeError, RecursionError) as error:
        raise CopyFailed("the repository's answer isn't that of a transaction") from error
