"""The record as a page that goes up piece by piece: one look, released piece by piece, and never asked for again.

The first piece decides the answer: whatever stands in the way before it is a page of its own. What stands in the way
later (the patient opts out, the permission ends, somebody signs out in another window) ends the page in words.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Final

from fastapi import Request, Response
from starlette.responses import StreamingResponse

from connectors.sdk.model import Section
from gateway.api.bundle import source_sentence
from gateway.api.door import parts_of, template
from gateway.api.http import request_id
from gateway.api.pages import SignedIn, around
from gateway.api.subject import Subject
from gateway.caller.model import Caller
from gateway.choice.model import Permission
from gateway.errors import GatewayError, NotSignedIn, Refusal
from gateway.locate import Look
from gateway.shown import Part, Rendered
from gateway.store.moments import utc_now
from gateway.web.frame import HTML, Around, Page
from gateway.web.moments import today
from gateway.web.record.page import About, RecordPage
from gateway.web.words import grouped

_TITLE: Final = "A patient’s record"
"""Browsers keep titles in their history: nobody is named in one."""
_SIGNED_OUT: Final = (
    "You are signed out, or your session is over, so nothing more is shown. Sign in and open the record again."
)
_HERE: Final = "<!-- the record -->"
"""Where the pieces go. Whatever else stands in a page is escaped, so it can't be there twice."""


async def streamed(request: Request, who: SignedIn, subject: Subject) -> Response:
    """The page, with its first piece there. Raises whatever stands in the way of that."""
    question = _question(request, subject)
    pieces = parts_of(request).records.live(who.presented, question)
    first = await anext(pieces)
    page = Page(_around(request, who, subject, question.page.permission))
    frame = page.render("record/page.jinja", title=_TITLE)
    before, _, after = frame.partition(_HERE.encode())
    body = _pieces(question, pieces, [before, first.body], after)
    # Some proxies hold back what comes slowly, unless they are told not to.
    return StreamingResponse(body, headers={**page.headers, "X-Accel-Buffering": "no"}, media_type=HTML)


def _around(request: Request, who: SignedIn, subject: Subject, permission: Permission | None) -> Around:
    """A record doesn't outlast the permission on which it stands, nor its session."""
    frame = around(request, who)
    if permission is None or frame.ends is None:  # a page is only ever shown on a permission, in a session
        raise AssertionError("a record without an end")
    at = min(frame.ends.at, permission.expires_at)
    seconds = max(int((at - utc_now()).total_seconds()), 0)
    asks = f"{subject.standing}/{permission.id}"
    return replace(frame, ends=replace(frame.ends, seconds=seconds, at=at, asks=asks, record=subject.record))


async def _pieces(
    question: Viewing, pieces: AsyncGenerator[Rendered, None], first: list[bytes], after: bytes
) -> AsyncIterator[bytes]:
    """Whoever has signed out by then isn't shown the next one, and what went up before is hidden."""
    async with aclosing(pieces):
        yield b"".join(first)
        try:
            async for piece in pieces:
                yield piece.body
        except NotSignedIn:
            yield question.page.stopped(_SIGNED_OUT, hides=True)
        except Refusal as error:
            yield question.page.stopped(error.told, hides=True)
        except GatewayError as error:
            yield question.page.stopped(error.told, hides=False)
    yield after


def _question(request: Request, subject: Subject) -> Viewing:
    about = About(
        number=grouped(subject.nhs_number),
        needs_banner=subject.needs_banner,
        permission=subject.permission,
        find=subject.find,
        said=source_sentence,
        today=today(),
        clock=time.monotonic,
    )
    return Viewing(template(request), request_id(request), subject, RecordPage(about))


@dataclass(frozen=True, slots=True)
class Viewing:
    """The question of a page: the whole record of one patient."""

    door: str
    request_id: str
    subject: Subject
    page: RecordPage

    def look(self, caller: Caller) -> Look:
        """Everything that the role may see."""
        return Look(
            nhs_number=self.subject.nhs_number,
            door=self.door,
            request_id=self.request_id,
            sections=frozenset(Section),
            birth_date=self.subject.birth_date,
        )

    def part(self, part: Part) -> Rendered:
        """The next piece of the page."""
        piece = self.page.piece(part)
        return Rendered(piece.body, {}, piece.items, sent=piece.sent)
