"""`$everything` as an event stream: `part` events as sources answer, and one that says `complete`, or `stopped`.

Each event's data is a Bundle in FHIR JSON on one line (of `stopped` an OperationOutcome), so that a client reads it as
it reads any other answer. The stream is one look: nothing in it makes a client ask again by itself, and a client that
does so all the same (an EventSource names the last event that it saw) is refused before anybody is asked.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from fastapi import Request, Response

from connectors.sdk.model import Item
from gateway.api.asking import Answered, open_record
from gateway.api.bundle import COMPLETE, PART, LivePart, Sending, searchset
from gateway.api.door import parts_of
from gateway.api.http import authorization, sent_method
from gateway.api.outcome import operation_outcome
from gateway.api.prefer import LENIENT
from gateway.api.questions import Bundled, Failing, linkages_of
from gateway.api.streamed import Streamed
from gateway.caller.model import Caller
from gateway.errors import Conflict, GatewayError, NotSupported
from gateway.live import reference_of
from gateway.locate import Look
from gateway.search import find
from gateway.search.include import referred
from gateway.search.page import Page
from gateway.search.query import Query
from gateway.search.representation import EVENT_STREAM, prefers_stream
from gateway.shown import Part, Rendered

STOPPED: Final = "stopped"


async def open_everything(request: Request, question: Bundled) -> Response:
    """Put `$everything` to the pipeline: live where the client would rather have an event stream, else at once."""
    if not prefers_stream(request.headers.get("accept"), request.query_params.get("_format")):
        return await open_record(request, question)
    records, presented = parts_of(request).records, authorization(request)
    against = _against(request)
    if against is not None:
        return Answered(await records.open(presented, Failing(question.door, question.request_id, against)))

    def stopped(error: GatewayError) -> bytes:
        return _event(STOPPED, "", operation_outcome(error, question.request_id))

    headers = {"Content-Type": f"{EVENT_STREAM}; charset=utf-8", **(LENIENT if question.lenient else {})}
    return Streamed(records.live(presented, Everything(question)), stopped, headers)


def _against(request: Request) -> GatewayError | None:
    """Why this isn't a request that a stream can answer."""
    if "last-event-id" in request.headers:
        return Conflict(
            "This stream can't be continued: each is one look, and nobody is asked again without being told. To see "
            "the record again, ask again without Last-Event-ID.",
            rule="live.not-continued",
            expression="Last-Event-ID",
        )
    if sent_method(request) == "HEAD":
        return NotSupported(
            "An event stream has nothing to say without its events. Ask with GET, or for FHIR JSON.", rule="live.head"
        )
    return None


@dataclass(frozen=True, slots=True)
class Everything:
    """`$everything`, part by part."""

    bundled: Bundled

    @property
    def door(self) -> str:
        """See Asking."""
        return self.bundled.door

    @property
    def request_id(self) -> str:
        """See Asking."""
        return self.bundled.request_id

    def look(self, caller: Caller) -> Look:
        """See Asking. Raises NotSupported for what only a whole answer has: pages."""
        look = self.bundled.look(caller)
        query = self.query
        if query.position is not None or query.count is not None:
            raise NotSupported(
                "An event stream has no pages: leave out `_count` and `_cursor`, or ask for FHIR JSON.",
                rule="live.pages",
                expression="http._count",
            )
        return look

    @property
    def query(self) -> Query:
        """What `look` made of the parameters."""
        if self.bundled.query is None:
            raise AssertionError("look comes before this")
        return self.bundled.query

    def part(self, part: Part) -> Rendered:
        """See LiveQuestion. The last event holds what the whole answer would and hasn't been sent."""
        shown = part.shown
        found = find(self.query, shown.items)
        page = self.bundled.pager.unpaged(self.query, found, shown.caller.key)
        matches = [item for item in found if reference_of(item) not in part.sent]
        extra = _unsent(part, page)
        if not (matches or extra or part.closes):
            return Rendered(b"", {}, [])
        sending = Sending()
        body = searchset(
            Page(self.query, tuple(matches), len(found), page.links),
            shown.manifest,
            extra,
            linkages_of(shown, found, found),
            public_base=self.bundled.public_url,
            moment=datetime.now(UTC),
            bundle_id=uuid.uuid4(),
            sending=sending,
            streamed=LivePart(part.closes, part.waiting),
        )
        event = _event(COMPLETE if part.closes else PART, f"{self.request_id}/{part.number}", body)
        return Rendered(event, {}, [*matches, *extra], len(found) if part.closes else None, sending.sent)


def _unsent(part: Part, page: Page[Item]) -> list[Item]:
    by_reference = {reference_of(item): item for item in part.shown.items}
    return [item for item in referred(page, by_reference.get) if reference_of(item) not in part.sent]


def _event(name: str, identity: str, data: bytes) -> bytes:
    """One event (WHATWG HTML, server-sent events). JSON holds no line end, so one line of data is enough."""
    named = f"event: {name}\n" + (f"id: {identity}\n" if identity else "")
    return named.encode() + b"data: " + data + b"\n\n"
