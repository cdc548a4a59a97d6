"""`/`, `/sign-in`, `/sign-out`: how staff come to the pages by themselves, and leave them."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from gateway.api.door import parts_of
from gateway.api.entering import NOT_ITS_END, answer_of, began, came_back, left, refused
from gateway.api.pages import (
    HOME,
    SIGN_IN,
    SIGN_OUT,
    around,
    cookies_of,
    failed,
    form,
    refuse_parameters,
    sent_to,
    shown,
    signed_in,
)
from gateway.api.viewer import page_of
from gateway.errors import GatewayError, NotSignedIn
from gateway.launch.pending import Pending
from gateway.launch.sign_in import CALLBACK
from gateway.web.frame import NOBODY

router = APIRouter(include_in_schema=False)


@router.get(HOME)
async def home(request: Request) -> Response:
    """Where somebody who is signed in can go; everybody else is shown how to sign in."""
    try:
        refuse_parameters(request, "This page takes no parameters.", "home.parameters")
        who = await signed_in(request)
    except NotSignedIn:
        return sent_to(SIGN_IN)
    except GatewayError as error:
        return failed(request, error)
    if who.session.nhs_number:
        return sent_to(page_of(who.resumed.tag))
    return shown(around(request, who), "home.jinja", title="Connect Care")


@router.get(SIGN_IN)
async def choose(request: Request) -> Response:
    """The ways to sign in."""
    return shown(NOBODY, "sign-in.jinja", title="Sign in", offered=parts_of(request).sign_ins.offered, under=SIGN_IN)


@router.get(CALLBACK)
async def callback(request: Request) -> Response:
    """Back from the provider's authorize endpoint."""
    parts = parts_of(request)
    cookies = cookies_of(parts)
    try:
        answer, cookie = answer_of(request.scope["query_string"]), cookies.sign_in(request)

        async def finish(pending: Pending, name: str) -> Response:
            entered = await parts.sign_ins.finish(answer, pending)
            return await began(request, entered, await parts.callers.identify(entered.presented), _home, name)

        response = await came_back(request, answer, cookie, parts.sessions, _home, finish)
    except GatewayError as error:
        response = await refused(request, error, "signin.refused")
        if error.rule in NOT_ITS_END:
            return response
    cookies.end_sign_in(response)
    if response.headers.get("location"):
        cookies.forget_leaving(response)
    return response


@router.get(SIGN_IN + "/{tag}")
async def begin(request: Request, tag: str) -> Response:
    """To the provider. A link, not a form: a browser lets no form's answer lead to another host (CSP, form-action)."""
    parts = parts_of(request)
    try:
        refuse_parameters(request, "This address takes no parameters.", "signin.parameters")
        address, sealed = await parts.sign_ins.begin(tag, anew=cookies_of(parts).left(request))
    except GatewayError as error:
        return await refused(request, error, "signin.refused")
    response = sent_to(address)
    cookies_of(parts).begin_sign_in(response, sealed)
    return response


@router.post(SIGN_OUT)
async def sign_out(request: Request) -> Response:
    """The session ends, in every tab and every worker; what the browser still holds of its pages is cleared."""
    parts = parts_of(request)
    name = cookies_of(parts).session(request)
    try:
        resumed = await parts.sessions.resume(name)
        await form(request, resumed)
        await parts.sessions.end(name)
        elsewhere = await parts.sign_ins.elsewhere(resumed.session)
    except GatewayError as error:
        return failed(request, error)
    return left(request, NOBODY, SIGN_IN, elsewhere)


def _home(_: str) -> str:
    return HOME
