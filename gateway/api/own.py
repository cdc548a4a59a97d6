"""What the doors of patients' own pages share: which patient is signed in, their forms, and pages in plain words.

Whose page it is follows from the session alone: no address, field or header names a patient here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from fastapi import Request, Response

from gateway import log
from gateway.api import once, pages
from gateway.api.door import parts_of, template
from gateway.api.http import request_id
from gateway.caller.model import Caller
from gateway.errors import GatewayError, NotSignedIn
from gateway.fair_use.count import Use
from gateway.launch.session import ResumedPatient
from gateway.observe.meters import refused
from gateway.parts import Parts
from gateway.web.frame import Around, Page, Place
from gateway.web.own_words import plainly

MY: Final = "/my"
SIGN_IN: Final = "/my/sign-in"
SIGN_OUT: Final = "/my/sign-out"
SESSION: Final = "/my/session"
CHOICE: Final = "/my/choice"
LOOKS: Final = "/my/looks"
PERMISSIONS: Final = "/my/permissions"
PLACES: Final = (
    Place("My choice", CHOICE),
    Place("Who looked at my record", LOOKS),
    Place("Who may look now", PERMISSIONS),
)
OUTSIDE: Final = Around(home=MY)
"""Around the pages of somebody who isn't signed in."""


@dataclass(frozen=True, slots=True)
class Own:
    """A patient on one of their own pages."""

    request: Request
    parts: Parts
    resumed: ResumedPatient
    caller: Caller

    @property
    def nhs_number(self) -> str:
        """Their own: the only one that any of these pages is about."""
        return self.resumed.session.nhs_number

    @property
    def request_id(self) -> str:
        return request_id(self.request)

    @property
    def door(self) -> str:
        """The route's method and template."""
        return template(self.request)

    @property
    def around(self) -> Around:
        """What surrounds each of their pages."""
        session = self.resumed.session
        here = pages.here(self.request, PLACES)
        words = f"You are signed in with {session.system}"
        ends = pages.ends_of(self.resumed, SESSION, SIGN_IN)
        return Around(words, PLACES, here, SIGN_OUT, session.csrf, home=MY, ends=ends)

    def shown(self, template: str, **said: Any) -> Response:
        """A page made of that template."""
        return pages.shown(self.around, template, csrf=self.resumed.session.csrf, **said)

    def place_of(self, ods: str) -> str:
        """The name of an organisation; "" for one that takes part no more."""
        organisation = self.parts.organisations.get(ods)
        return organisation.name if organisation is not None else ""

    async def form(self) -> dict[str, str]:
        """The fields of a form of theirs. Raises Refusal, BadRequest."""
        return await pages.form(self.request, self.resumed)

    async def first(self, fields: dict[str, str]) -> bool:
        """True for the first who sends this very form, in whichever worker: False for a second click."""
        return await once.is_first(self.parts, self.resumed, fields)


async def page(
    request: Request, answer: Callable[[Own], Awaitable[Response]], *, strangers_go_to: str = ""
) -> Response:
    """A patient's own page, or why not, as a page. Whatever a signed-in patient is refused is a row first."""
    try:
        own = await _signed_in(request)
    except GatewayError as error:
        is_stranger = isinstance(error, NotSignedIn) and strangers_go_to
        return pages.sent_to(strangers_go_to) if is_stranger else failed(request, error)
    try:
        await own.parts.fair_use.demand(own.caller, own.request_id, own.door, Use.REQUEST)
        async with own.parts.journal.refusals(own.caller, own.request_id, own.door, nhs_number=own.nhs_number):
            pages.refuse_parameters(request, "This page takes no parameters.", "my.parameters")
            return await answer(own)
    except GatewayError as error:
        return failed(request, error, own.around)


async def _signed_in(request: Request) -> Own:
    """Raises NotSignedIn, for staff too: theirs are sessions of another kind."""
    parts = parts_of(request)
    resumed = await parts.patient_sessions.resume(pages.cookies_of(parts).session(request))
    return Own(request, parts, resumed, parts.patient_sign_ins.caller(resumed.session))


def failed(request: Request, error: GatewayError, around: Around = OUTSIDE) -> Response:
    """What went wrong, in plain words, with what to do next."""
    refused(error)
    if error.status >= 500:
        log.event("request.unavailable", rule=error.rule, status=error.status, request_id=request_id(request))
    said = plainly(error)
    page = Page(around)
    then, then_text = (SIGN_IN, "Sign in") if isinstance(error, NotSignedIn) else (MY, "Go to the start")
    shown = {"title": said.title, "told": said.told, "then": then, "then_text": then_text}
    headers = {name: value for name, value in error.headers.items() if name != "WWW-Authenticate"}
    body = page.render("problem.jinja", request_id=request_id(request), **shown)
    return pages.answered(page, body, error.status, headers)
