"""`/my`, `/my/sign-in`, `/my/sign-out`: how patients come to their own pages, and leave them."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request, Response

from gateway import log
from gateway.api import own
from gateway.api.door import parts_of, template
from gateway.api.entering import NOT_ITS_END, answer_of, came_back, journalled, left
from gateway.api.http import request_id
from gateway.api.own import CHOICE, LOOKS, MY, OUTSIDE, PERMISSIONS, SIGN_IN, SIGN_OUT, Own
from gateway.api.pages import cookies_of, refuse_parameters, sent_to, shown
from gateway.errors import GatewayError
from gateway.launch.patient_sign_in import CALLBACK
from gateway.launch.pending import Pending
from gateway.launch.session import PatientSession

router = APIRouter(include_in_schema=False)
_TOLD: Final = {
    CHOICE: "Choose if staff who care for you may look at your record.",
    LOOKS: "See who looked, when and why. Print the list or save it.",
    PERMISSIONS: "See to whom you said yes, and stop them.",
}
"""What each place is for."""


@router.get(MY)
async def home(request: Request) -> Response:
    """What a patient can do here; somebody who isn't signed in is shown how to."""

    async def answer(me: Own) -> Response:
        return me.shown("own-home.jinja", title="Your record in Connect Care", told=_TOLD)

    return await own.page(request, answer, strangers_go_to=SIGN_IN)


@router.get(SIGN_IN)
async def choose(request: Request) -> Response:
    """The ways to sign in, and what it is for."""
    offered = parts_of(request).patient_sign_ins.offered
    return shown(OUTSIDE, "own-sign-in.jinja", title="See who looked at your record", offered=offered, under=SIGN_IN)


@router.get(CALLBACK)
async def callback(request: Request) -> Response:
    """Back from the provider."""
    parts = parts_of(request)
    cookies = cookies_of(parts)
    try:
        answer, cookie = answer_of(request.scope["query_string"]), cookies.sign_in(request)

        async def finish(pending: Pending, name: str) -> Response:
            return await _began(request, await parts.patient_sign_ins.finish(answer, pending), name)

        response = await came_back(request, answer, cookie, parts.patient_sessions, lambda _: MY, finish)
    except GatewayError as error:
        response = own.failed(request, await journalled(request, error, "signin.refused"))
        if error.rule in NOT_ITS_END:
            return response
    cookies.end_sign_in(response)
    return response


@router.get(SIGN_IN + "/{tag}")
async def begin(request: Request, tag: str) -> Response:
    """To the provider."""
    parts = parts_of(request)
    try:
        refuse_parameters(request, "This address takes no parameters.", "signin.parameters")
        address, sealed = await parts.patient_sign_ins.begin(tag)
    except GatewayError as error:
        return own.failed(request, await journalled(request, error, "signin.refused"))
    response = sent_to(address)
    cookies_of(parts).begin_sign_in(response, sealed)
    return response


@router.post(SIGN_OUT)
async def sign_out(request: Request) -> Response:
    """The session ends, in every tab and every worker; what the browser still holds of its pages is cleared."""

    async def answer(me: Own) -> Response:
        await me.form()
        await me.parts.patient_sessions.end(cookies_of(me.parts).session(request))
        elsewhere = await me.parts.patient_sign_ins.elsewhere(me.resumed.session)
        return left(request, OUTSIDE, SIGN_IN, elsewhere)

    return await own.page(request, answer)


async def _began(request: Request, session: PatientSession, name: str) -> Response:
    """A session in place of whichever this browser had: of staff, too."""
    parts = parts_of(request)
    cookies = cookies_of(parts)
    caller = parts.patient_sign_ins.caller(session)
    new = await parts.patient_sessions.begin(session, name=name, instead_of=cookies.session(request))
    log.event(
        "session.began",
        request_id=request_id(request),
        role=caller.role.value,
        client_id=caller.client_id,
        door=template(request),
    )
    response = sent_to(MY)
    cookies.begin_session(response, new.name)
    return response
