"""`/launch`: the ways in from another system. What comes back is a page or a redirect, for a person's browser."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fastapi import APIRouter, Request, Response

from gateway import log
from gateway.api.door import parts_of, template
from gateway.api.http import FORM, read_body, request_id
from gateway.api.viewer import cookies_of, failed, once
from gateway.caller.refusals import CallerRefused
from gateway.choice.may import OPEN_RECORD, demand
from gateway.errors import BadRequest, GatewayError, TooMany
from gateway.launch import context as contextual
from gateway.launch.entered import Entered
from gateway.launch.flow import CALLBACK
from gateway.launch.refusals import malformed
from gateway.web import page
from gateway.web.viewer import page_of

router = APIRouter(include_in_schema=False)
_ANSWERS: Final = frozenset({"code", "state", "iss", "error"})
_NOT_ITS_END: Final = frozenset({"launch.state", "launch.malformed"})
"""Refusals of an answer that isn't of the launch under way: anybody can send a browser here with one."""
_MOST_BYTES: Final = 32 * 1024


@router.get("/launch")
async def launch(request: Request) -> Response:
    """SMART EHR launch: `iss` and `launch`, from a registered EHR."""
    parts = parts_of(request)
    try:
        asked = _asked(request)
        if not asked.keys() <= {"iss", "launch"}:
            raise malformed("a parameter that this door doesn't take")
        address, sealed = await parts.launches.begin(asked.get("iss", ""), asked.get("launch", ""))
    except GatewayError as error:
        return await _refused(request, error)
    response = _to(address)
    cookies_of(parts).begin_launch(response, sealed)
    return response


@router.get(CALLBACK)
async def callback(request: Request) -> Response:
    """Back from the EHR's authorize endpoint. Parameters that it adds are ignored (RFC 6749, section 4.1.2)."""
    parts = parts_of(request)
    cookies = cookies_of(parts)
    try:
        answer = {name: value for name, value in _asked(request).items() if name in _ANSWERS}
        entered = await parts.launches.finish(answer, cookies.launch(request))
        response = await _begun(request, entered)
    except GatewayError as error:
        response = await _refused(request, error)
        if error.rule in _NOT_ITS_END:
            return response
    cookies.end_launch(response)
    return response


@router.post(contextual.PATH)
async def context(request: Request) -> Response:
    """The UK contextual launch: the form field `launch` holds the JWT."""
    try:
        form = once(await read_body(request, _MOST_BYTES, frozenset({FORM})))
        if request.scope["query_string"] or form.keys() != {"launch"}:
            raise malformed("not the one field launch, in the body")
        return await _begun(request, await parts_of(request).launches.context(form["launch"]))
    except GatewayError as error:
        return await _refused(request, error)


async def _begun(request: Request, entered: Entered) -> Response:
    """The session of somebody who may open records, in place of whichever this browser had. Who may not is a row."""
    parts = parts_of(request)
    caller = await parts.callers.identify(entered.presented)
    async with parts.journal.refusals(
        caller, request_id(request), template(request), nhs_number=entered.session.nhs_number
    ):
        demand(lambda action, who: parts.policy.may(action, who.role, who.organisation_type), OPEN_RECORD, caller)
    cookies = cookies_of(parts)
    began = await parts.sessions.begin(entered.session, instead_of=cookies.session(request), until=entered.until)
    log.event(
        "session.began",
        request_id=request_id(request),
        organisation=caller.organisation,
        role=caller.role.value,
        client_id=caller.client_id,
        door=template(request),
    )
    response = _to(page_of(began.tag))
    cookies.begin_session(response, began.name)
    return response


def _asked(request: Request) -> Mapping[str, str]:
    try:
        return once(request.scope["query_string"])
    except BadRequest as error:
        raise malformed(error.told) from error


async def _refused(request: Request, error: GatewayError) -> Response:
    """Whoever is refused as somebody is a row; of a stranger there is nobody to name in one. The operator's log has
    the rule of every refusal."""
    if isinstance(error, CallerRefused):
        error = await _written(request, error)
    log.event(
        "launch.refused", rule=error.rule, status=error.status, request_id=request_id(request), detail=error.detail
    )
    return failed(request, error)


async def _written(request: Request, error: CallerRefused) -> GatewayError:
    """The refusal, once it is a row; or that too many came, whose rows are counted."""
    parts, known = parts_of(request), (error.known, request_id(request), template(request))
    try:
        await parts.fair_use.demand_of_refused(*known)
    except TooMany as many:
        return many
    await parts.journal.refuse(error, *known)
    return error


def _to(address: str) -> Response:
    return Response(status_code=303, headers={"Location": address, **page.HEADERS})
