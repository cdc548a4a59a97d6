"""What the doors of all pages share: who is signed in, forms that are our own, and answers as pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

from fastapi import Request, Response

from gateway.api.door import parts_of, template
from gateway.api.http import FORM, read_body, request_id
from gateway.caller.model import Caller
from gateway.caller.presented import Presented
from gateway.choice.may import (
    MAKE_REPORT,
    OPEN_RECORD,
    READ_AUDIT,
    READ_DESK,
    READ_POLICY,
    RECORD_CHOICE,
    SEE_SOURCES,
    allowed,
)
from gateway.errors import BadRequest, GatewayError, NotSignedIn
from gateway.launch.cookies import Cookies
from gateway.launch.refusals import forged_form
from gateway.launch.session import Resumed, ResumedPatient, Session
from gateway.parts import Parts
from gateway.search.pairs import pairs_of
from gateway.web.frame import HTML, NOBODY, Around, Ends, Page, Place

HOME: Final = "/"
SIGN_IN: Final = "/sign-in"
SIGN_OUT: Final = "/sign-out"
SESSION: Final = "/session"
MOST_BYTES: Final = 32 * 1024
_PLACES: Final = (
    (OPEN_RECORD, Place("Find a patient", "/patients")),
    (RECORD_CHOICE, Place("Sharing choices", "/office/calls")),
    (READ_DESK, Place("Cases", "/office/cases")),
    (READ_AUDIT, Place("Audit", "/office/audit")),
    (MAKE_REPORT, Place("Access report", "/office/reports")),
    (READ_POLICY, Place("Policy", "/office/policy")),
    (SEE_SOURCES, Place("Sources", "/status")),
)
"""Where staff can go, by the policy's action that lets them in."""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A session that holds, what its person presents, and who that is now."""

    resumed: Resumed
    presented: Presented
    caller: Caller

    @property
    def session(self) -> Session:
        return self.resumed.session

    @property
    def words(self) -> str:
        """Who is signed in, as each of their pages says it."""
        who, until = self.caller, self.resumed.ends_at
        return (
            f"{who.name}, {who.role.value.replace('-', ' ')} at {who.organisation_name}, from {self.session.system}, "
            f"until {until:%H:%M} UTC at the latest"
        )


async def signed_in(request: Request) -> SignedIn:
    """Raises NotSignedIn; CallerRefused, with its row, where they may not ask any more; TooMany where they go on."""
    parts = parts_of(request)
    resumed = await parts.sessions.resume(cookies_of(parts).session(request))
    presented = await _presented(request, resumed)
    caller = await parts.entrance.identify(presented, request_id(request), template(request))
    return SignedIn(resumed, presented, caller)


async def still_signed_in(request: Request) -> SignedIn:
    """The same, only asked for: no session is prolonged, and no row is written. Raises NotSignedIn, CallerRefused."""
    parts = parts_of(request)
    resumed = await parts.sessions.standing(cookies_of(parts).session(request))
    presented = await _presented(request, resumed)
    return SignedIn(resumed, presented, await parts.callers.identify(presented))


async def _presented(request: Request, resumed: Resumed) -> Presented:
    parts = parts_of(request)
    holds = partial(parts.sessions.standing, cookies_of(parts).session(request))
    return replace(await parts.naming.presented(resumed.session), holds=holds)


def around(request: Request, who: SignedIn) -> Around:
    """What surrounds each page of somebody who signed in by themselves. A launched session has one page alone."""
    csrf = who.session.csrf
    if who.session.nhs_number:
        return Around(who.words, leave=SIGN_OUT, csrf=csrf, ends=ends_of(who.resumed, SESSION, ""))
    places = tuple(place for action, place in _PLACES if may(parts_of(request), action, who.caller))
    ends = ends_of(who.resumed, SESSION, SIGN_IN)
    return Around(who.words, places, here(request, places), SIGN_OUT, csrf, ends=ends)


def ends_of(resumed: Resumed | ResumedPatient, session: str, again: str) -> Ends:
    """When a page of this session is over. `session` is where sessions of its kind are asked after."""
    seconds = int(resumed.left.total_seconds())
    return Ends(seconds, resumed.now + resumed.left, f"{session}/{resumed.tag}", session, again)


def may(parts: Parts, action: str, caller: Caller) -> bool:
    """Whether policy lets them, so that a page offers what works."""
    return allowed(parts.policy.may_caller, action, caller)


def here(request: Request, places: tuple[Place, ...]) -> str:
    """The place that this page is in; "" where it is in none."""
    path = request.url.path
    return next((place.href for place in places if path == place.href or path.startswith(f"{place.href}/")), "")


def cookies_of(parts: Parts) -> Cookies:
    """The cookies as clients of this gateway can hold them."""
    return Cookies(secure=urlsplit(parts.settings.public_url).scheme == "https")


def answered(page: Page, body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A page with its headers."""
    return Response(body, status_code=status, headers={**(headers or {}), **page.headers}, media_type=HTML)


def shown(around: Around, template: str, *, status: int = 200, **said: Any) -> Response:
    """A page made of that template."""
    page = Page(around)
    return answered(page, page.render(template, **said), status)


def failed(request: Request, error: GatewayError, around: Around = NOBODY) -> Response:
    """What went wrong, as a page, with what to do. Who isn't signed in is shown where they can."""
    headers = {name: value for name, value in error.headers.items() if name != "WWW-Authenticate"}
    page = Page(around)
    offers = isinstance(error, NotSignedIn) and bool(parts_of(request).sign_ins.offered)
    then = {"then": SIGN_IN, "then_text": "Sign in"} if offers else {}
    said = {"title": "This page can't be shown", "told": error.told, "request_id": request_id(request), **then}
    return answered(page, page.render("problem.jinja", **said), error.status, headers)


def sent_to(address: str) -> Response:
    """On to another page of ours, or to where somebody signs in (303: whatever the method was, GET it)."""
    return Response(status_code=303, headers={"Location": address, **Page().headers})


async def form(request: Request, resumed: Resumed | ResumedPatient) -> dict[str, str]:
    """The fields of a form that this session's own page made. Raises Refusal, BadRequest."""
    origin = request.headers.get("origin")
    if origin is not None and origin != _origin(parts_of(request).settings.public_url):
        raise forged_form()
    fields = once(await read_body(request, MOST_BYTES, frozenset({FORM})))
    resumed.check_form(fields)
    return fields


def once(form: bytes) -> dict[str, str]:
    """The fields of a form or query. Raises BadRequest where one stands twice."""
    pairs = pairs_of(form)
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise BadRequest("A field stands twice. Send each once.", rule="form.repeated")
    return fields


def refuse_parameters(request: Request, told: str, rule: str) -> None:
    """Raises BadRequest for an address with a query: nothing of a patient ever stands in one."""
    if request.scope["query_string"]:
        raise BadRequest(told, rule=rule)


def _origin(public_url: str) -> str:
    parts = urlsplit(public_url)
    return f"{parts.scheme}://{parts.netloc}"
