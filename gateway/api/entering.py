"""How a session begins in a browser, and what somebody sees who isn't let in: the same whichever way they came."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from fastapi import Request, Response

from gateway import log
from gateway.api.door import parts_of, template
from gateway.api.http import request_id
from gateway.api.pages import cookies_of, failed, once, sent_to, shown
from gateway.caller.model import Caller
from gateway.caller.refusals import CallerRefused
from gateway.errors import GatewayError, NotSignedIn, TooMany
from gateway.launch.entered import Entered
from gateway.launch.pending import Pending
from gateway.launch.session import PatientSessions, Sessions
from gateway.launch.sign_in import Elsewhere
from gateway.web.frame import Around

_ANSWERS: Final = frozenset({"code", "state", "iss", "error"})
"""What is read of an authorize endpoint's answer; what it adds is ignored (RFC 6749, section 4.1.2)."""
NOT_ITS_END: Final = frozenset({"launch.state", "launch.malformed", "form.repeated"})
"""Refusals of an answer that isn't of what is under way: anybody can send a browser here with one."""


async def came_back(
    request: Request,
    answer: Mapping[str, str],
    cookie: str,
    sessions: Sessions | PatientSessions,
    page_of: Callable[[str], str],
    finish: Callable[[Pending, str], Awaitable[Response]],
) -> Response:
    """One answer is one session, however often this browser brings it: a second click ends where the first one did.

    `finish` makes a session of that name of it. Raises NotSignedIn where the answer isn't of what this browser began.
    """
    parts = parts_of(request)
    pending = parts.codes.returned(answer, cookie)
    name = parts.codes.session_of(pending)
    async with parts.codes.alone(pending):
        try:
            made = await sessions.standing(name)
        except NotSignedIn:
            return await finish(pending, name)
    response = sent_to(page_of(made.tag))
    cookies_of(parts).begin_session(response, name)
    return response


async def began(
    request: Request, entered: Entered, caller: Caller, page_of: Callable[[str], str], name: str = ""
) -> Response:
    """A session in place of whichever this browser had, and on to the page of its tag."""
    parts = parts_of(request)
    cookies = cookies_of(parts)
    held = cookies.session(request)
    new = await parts.sessions.begin(entered.session, name=name, instead_of=held, until=entered.until)
    log.event(
        "session.began",
        request_id=request_id(request),
        organisation=caller.organisation,
        role=caller.role.value,
        client_id=caller.client_id,
        door=template(request),
    )
    response = sent_to(page_of(new.tag))
    cookies.begin_session(response, new.name)
    return response


def answer_of(query: bytes) -> dict[str, str]:
    """What an authorize endpoint answers with, as the browser brings it. Raises BadRequest where it stands twice."""
    return {name: value for name, value in once(query).items() if name in _ANSWERS}


def left(request: Request, around: Around, then: str, elsewhere: Elsewhere | None) -> Response:
    """The page after a session's end: what the browser still holds of its pages is cleared. `elsewhere`: the provider
    that still holds a session of its own."""
    response = shown(around, "signed-out.jinja", title="You are signed out", then=then, elsewhere=elsewhere)
    response.headers["Clear-Site-Data"] = '"cache"'
    cookies = cookies_of(parts_of(request))
    cookies.end_session(response)
    cookies.leave(response)
    return response


async def refused(request: Request, error: GatewayError, event: str) -> Response:
    """The page of a refusal, once it is journalled."""
    return failed(request, await journalled(request, error, event))


async def journalled(request: Request, error: GatewayError, event: str) -> GatewayError:
    """Whoever is refused as somebody is a row; of a stranger there is nobody to name in one. The operator's log has
    the rule of every refusal, under that event. Returns what is answered: the refusal, or that too many came."""
    if isinstance(error, CallerRefused):
        error = await _written(request, error)
    log.event(event, rule=error.rule, status=error.status, request_id=request_id(request), detail=error.detail)
    return error


async def _written(request: Request, error: CallerRefused) -> GatewayError:
    """The refusal, once it is a row; or that too many came, whose rows are counted."""
    try:
        await parts_of(request).entrance.refuse(error, error.known, request_id(request), template(request))
    except TooMany as many:
        return many
    return error
