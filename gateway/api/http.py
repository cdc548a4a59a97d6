"""What every answer of the gateway has in common: request ids, headers, no caching; and bodies read within bounds."""

from __future__ import annotations

import json
import re
import uuid
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import BadRequest, TooLarge, WrongMediaType

_ID: Final = re.compile(r"[A-Za-z0-9._\-]{1,64}", re.ASCII)
FHIR_JSON: Final = "application/fhir+json"
_JSON: Final = frozenset({"application/json", FHIR_JSON})
FORM: Final = "application/x-www-form-urlencoded"

M = TypeVar("M", bound=BaseModel)


class CommonHeaders:
    """Pure ASGI middleware: `X-Request-ID` echoed or minted, `X-Correlation-ID` echoed, nothing may be cached."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        request_id = _clean(headers.get(b"x-request-id", b"")) or str(uuid.uuid4())
        correlation_id = _clean(headers.get(b"x-correlation-id", b""))
        scope.setdefault("state", {})["request_id"] = request_id

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(scope=message)
                answer["X-Request-ID"] = request_id
                if correlation_id:
                    answer["X-Correlation-ID"] = correlation_id
                answer["Cache-Control"] = "no-store"
                answer["Vary"] = "Authorization"
                answer["X-Content-Type-Options"] = "nosniff"
            await send(message)

        await self._app(scope, receive, with_headers)


def _clean(value: bytes) -> str:
    text = value.decode("latin-1")
    return text if _ID.fullmatch(text) else ""


def request_id(request: Request) -> str:
    """The id that this request's rows, logs and answer carry."""
    return str(request.state.request_id)


def authorization(request: Request) -> list[str]:
    """Every Authorization header of the request: more than one is refused by the caller step."""
    return request.headers.getlist("authorization")


async def read_body(request: Request, limit: int, accepted: frozenset[str]) -> bytes:
    """The body. Raises TooLarge (as soon as it is known) or WrongMediaType."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in accepted:
        raise WrongMediaType(
            f"Send the body as {' or '.join(sorted(accepted))}.", rule="body.media-type", expression="Content-Type"
        )
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > limit:
        raise _too_large(limit)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise _too_large(limit)
    return bytes(body)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The body is too large: send at most {limit} bytes.", rule="body.too-large")


async def read_model(request: Request, limit: int, model: type[M]) -> M:
    """The JSON body as a model. Raises BadRequest with the member's name; never with its value."""
    body = await read_body(request, limit, _JSON)
    try:
        values = json.loads(body, object_pairs_hook=_distinct)
    except (ValueError, RecursionError) as error:
        raise BadRequest("The body is not JSON, or names a member twice.", rule="body.not-json") from error
    try:
        return model.model_validate(values, strict=False)
    except ValidationError as error:
        raise _member_error(error) from error


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member stands twice")
    return members


def _member_error(error: ValidationError) -> BadRequest:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    name = ".".join(str(step) for step in first["loc"])
    shown = name if re.fullmatch(r"[A-Za-z0-9_.]{1,64}", name) else "a member"
    if first["type"] == "extra_forbidden":
        told = f"Unknown member: {shown}. Remove it, or correct its spelling."
    elif first["type"] == "missing":
        told = f"{shown} is missing. Add it."
    elif not first["loc"]:
        told = "The body must be a JSON object."
    else:
        told = f"{shown}: {first['msg']}."
    return BadRequest(told, rule="body.member", expression=shown if name else "")
