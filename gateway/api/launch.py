"""`/launch`: the ways in from another system. What comes back is a page or a redirect, for a person's browser."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fastapi import APIRouter, Request, Response

from gateway.api.door import parts_of, template
from gateway.api.entering import NOT_ITS_END, answer_of, began, came_back, refused
from gateway.api.http import FORM, read_body, request_id
from gateway.api.pages import MOST_BYTES, cookies_of, once, sent_to
from gateway.api.viewer import page_of
from gateway.choice.may import OPEN_RECORD, demand
from gateway.errors import BadRequest, GatewayError
from gateway.launch import context as contextual
from gateway.launch.entered import Entered
from gateway.launch.flow import CALLBACK
from gateway.launch.pending import Pending
from gateway.launch.refusals import malformed

router = APIRouter(include_in_schema=False)


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
        return await refused(request, error, "launch.refused")
    response = sent_to(address)
    cookies_of(parts).begin_launch(response, sealed)
    return response


@router.get(CALLBACK)
async def callback(request: Request) -> Response:
    """Back from the EHR's authorize endpoint. Parameters that it adds are ignored (RFC 6749, section 4.1.2)."""
    parts = parts_of(request)
    cookies = cookies_of(parts)
    try:
        answer, cookie = _asked(request, answer_of), cookies.launch(request)

        async def finish(pending: Pending, name: str) -> Response:
            return await _begun(request, await parts.launches.finish(answer, pending), name)

        response = await came_back(request, answer, cookie, parts.sessions, page_of, finish)
    except GatewayError as error:
        response = await refused(request, error, "launch.refused")
        if error.rule in NOT_ITS_END:
            return response
    cookies.end_launch(response)
    return response


@router.post(contextual.PATH)
async def context(request: Request) -> Response:
    """The UK contextual launch: the form field `launch` holds the JWT."""
    try:
        form = once(await read_body(request, MOST_BYTES, frozenset({FORM})))
        if request.scope["query_string"] or form.keys() != {"launch"}:
            raise malformed("not the one field launch, in the body")
        return await _begun(request, await parts_of(request).launches.context(form["launch"]))
    except GatewayError as error:
        return await refused(request, error, "launch.refused")


async def _begun(request: Request, entered: Entered, name: str = "") -> Response:
    """The session of somebody who may open records: who may not has nothing to see here, and is a row."""
    parts = parts_of(request)
    caller = await parts.callers.identify(entered.presented)
    async with parts.journal.refusals(
        caller, request_id(request), template(request), nhs_number=entered.session.nhs_number
    ):
        demand(parts.policy.may_caller, OPEN_RECORD, caller)
    return await began(request, entered, caller, page_of, name)


def _asked(request: Request, read: Callable[[bytes], Mapping[str, str]] = once) -> Mapping[str, str]:
    try:
        return read(request.scope["query_string"])
    except BadRequest as error:
        raise malformed(error.told) from error
