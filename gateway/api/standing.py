"""`/session`, `/my/session` and a record's `/standing`: an open page asks whether it may still be seen.

The answer is a word and a number of seconds, for the session's own pages alone: to anybody else every page is over, and
nothing tells of what. To ask is no look: no source is asked, nothing is released, so no row is written; and nothing is
prolonged, or a page that nobody reads would keep itself open. "Stay signed in" is a form of its own.
"""

from __future__ import annotations

import hmac
from datetime import timedelta
from typing import Final

from fastapi import APIRouter, Request, Response
from starlette.responses import JSONResponse

from gateway.api import own
from gateway.api.door import parts_of
from gateway.api.own import MY, OUTSIDE, Own
from gateway.api.pages import HOME, SESSION, SignedIn, cookies_of, failed, shown, signed_in, still_signed_in
from gateway.api.staff import sent
from gateway.api.subject import PATIENTS, subject_sealed
from gateway.api.viewer import PAGE
from gateway.errors import GatewayError, NotSignedIn, Refusal
from gateway.launch.session import Resumed, ResumedPatient
from gateway.sealed import Unsealable
from gateway.store.moments import utc_now
from gateway.web.frame import NOBODY

router = APIRouter(include_in_schema=False)
_STANDING: Final = "/standing/{permission}"
_NO_CONTENT: Final = 204
"""What a form answers that leaves its page where it is."""


@router.get(SESSION)
async def closed(_: Request) -> Response:
    """Where a page without scripts goes once its time is over: it shows nothing, and leads back."""
    return shown(NOBODY, "closed.jinja", title="This page was closed", then=HOME)


@router.post(SESSION)
async def stay(request: Request) -> Response:
    """Stay signed in: the session goes on, as with every page."""
    try:
        await sent(request, await signed_in(request))
    except GatewayError as error:
        return failed(request, error)
    return Response(status_code=_NO_CONTENT)


@router.get(SESSION + "/{tag}")
async def ask_session(request: Request, tag: str) -> Response:
    """Whether a page of this very session may still be seen."""
    who = await _still(request)
    return _open(who.resumed) if who is not None and _is(tag, who.resumed.tag) else _over("session")


@router.get(own.SESSION)
async def own_closed(_: Request) -> Response:
    """The same for a patient's own page."""
    return shown(OUTSIDE, "closed.jinja", title="This page was closed", then=MY)


@router.post(own.SESSION)
async def own_stay(request: Request) -> Response:
    """The same for a patient."""

    async def answer(me: Own) -> Response:
        await me.form()
        return Response(status_code=_NO_CONTENT)

    return await own.page(request, answer)


@router.get(own.SESSION + "/{tag}")
async def ask_own_session(request: Request, tag: str) -> Response:
    """The same for a patient."""
    parts = parts_of(request)
    try:
        resumed = await parts.patient_sessions.standing(cookies_of(parts).session(request))
        parts.patient_sign_ins.caller(resumed.session)
    except NotSignedIn:
        return _over("session")
    return _open(resumed) if _is(tag, resumed.tag) else _over("session")


@router.get(PATIENTS + "/{name}" + _STANDING)
async def ask_record(request: Request, name: str, permission: str) -> Response:
    """Whether a record that is open may still be seen, on the permission on which it was opened."""
    who = await _still(request)
    try:
        nhs_number = subject_sealed(request, who, name).nhs_number if who else ""
    except Unsealable:
        nhs_number = ""
    return await _record(request, who, nhs_number, permission)


@router.get(PAGE + _STANDING)
async def ask_launched_record(request: Request, tag: str, permission: str) -> Response:
    """The same in a launched session, whose patient stands in the session."""
    who = await _still(request)
    nhs_number = who.session.nhs_number if who is not None and _is(tag, who.resumed.tag) else ""
    return await _record(request, who, nhs_number, permission)


async def _record(request: Request, who: SignedIn | None, nhs_number: str, permission: str) -> Response:
    """`nhs_number` is "" where the address is of another session. Opted out, withdrawn, ended and replaced are one."""
    if who is None or not nhs_number:
        return _over("session")
    parts = parts_of(request)
    try:
        await parts.sharing.require_opted_in(nhs_number)
        held = await parts.permissions.require(who.caller, nhs_number)
    except Refusal:
        return _over("record")
    if permission not in (held.id, held.extends):
        return _over("record")
    return _open(who.resumed, held.expires_at - utc_now())


async def _still(request: Request) -> SignedIn | None:
    """Who is signed in. Raises SignInUnavailable, AuditUnavailable: nobody can tell."""
    try:
        return await still_signed_in(request)
    except (NotSignedIn, Refusal):
        return None


def _is(tag: str, another: str) -> bool:
    return hmac.compare_digest(tag.encode(), another.encode())


def _open(resumed: Resumed | ResumedPatient, permission: timedelta = timedelta.max) -> Response:
    """For how long, in seconds, and what ends then: the `permission`, or the session, which can go on where it is
    `idle`."""
    if permission < resumed.left:
        seconds, ends = permission, "permission"
    else:
        seconds, ends = resumed.left, "idle" if resumed.may_stay else "session"
    return JSONResponse({"open": True, "seconds": max(seconds.total_seconds(), 0), "ends": ends})


def _over(why: str) -> Response:
    return JSONResponse({"open": False, "why": why})
