"""What a client gets in place of an answer: the refusals of every route, and faults of our own."""

from __future__ import annotations

from fastapi import Request, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway import log
from gateway.api import challenge
from gateway.api.door import journal_refusal
from gateway.api.http import FHIR_JSON
from gateway.api.outcome import operation_outcome
from gateway.errors import GatewayError, NotAllowed, NotFound, NotSignedIn
from gateway.observe.meters import refused


async def answer_gateway_error(request: Request, error: Exception) -> Response:
    """A refusal, or what could not be had: an OperationOutcome, and a line for the operator where one is needed."""
    if not isinstance(error, GatewayError):
        raise error
    refused(error)
    if error.status >= 500:
        log.event("request.unavailable", rule=error.rule, status=error.status, request_id=request.state.request_id)
    elif isinstance(error, NotSignedIn):
        log.event("signin.refused", rule=error.rule, request_id=request.state.request_id)
    body = operation_outcome(error, request.state.request_id)
    headers = dict(error.headers)
    if challenge.HEADER in headers:
        headers[challenge.HEADER] = challenge.challenges(
            headers[challenge.HEADER], request, request.state.parts.settings
        )
    return Response(body, status_code=error.status, headers=headers, media_type=FHIR_JSON)


async def answer_no_route(request: Request, error: Exception) -> Response:
    """No such address, or not by this method: a row where the token says who it was."""
    status = error.status_code if isinstance(error, HTTPException) else 404
    refusal: GatewayError
    if status == 405:
        refusal = NotAllowed("This address does not take this method.", rule="route.method")
        allow = (getattr(error, "headers", None) or {}).get("Allow", "")
        refusal.headers["Allow"] = f"{allow}, HEAD" if allow == "GET" else allow
    else:
        refusal = NotFound("There is nothing at this address. See /fhir/R4/metadata.", rule="route.unknown")
    try:
        await journal_refusal(request, refusal, f"{request.method} (no route)")
    except GatewayError as unavailable:
        return await answer_gateway_error(request, unavailable)
    return await answer_gateway_error(request, refusal)


class Faults:
    """Pure ASGI middleware: a fault of our own is an OperationOutcome and a log line; a client sees no traceback."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def watching(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watching)
        except ClientDisconnect:
            log.event("request.client-gone", request_id=scope["state"]["request_id"])
        except Exception as error:
            if scope["type"] != "http":
                raise
            log.failed("request.fault", error, request_id=scope["state"]["request_id"])
            if started:
                raise
            fault = GatewayError("Something went wrong here, and was noted. Try again.", rule="fault")
            refused(fault)
            body = operation_outcome(fault, scope["state"]["request_id"])
            await Response(body, status_code=500, media_type=FHIR_JSON)(scope, receive, send)
