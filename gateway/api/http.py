"""What every answer of the gateway has in common: request ids, headers, no caching; and bodies read within bounds."""

from __future__ import annotations

import json
import re
import uuid
from typing import Any, Final, TypeVar
from urllib.parse import quote

from pydantic import BaseModel, ValidationError
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.caller.presented import Presented
from gateway.ending import Drain
from gateway.errors import BadRequest, TooLarge, WrongMediaType

_ID: Final = re.compile(r"[A-Za-z0-9._\-]{1,64}", re.ASCII)
FHIR_JSON: Final = "application/fhir+json"
JSON: Final = frozenset({"application/json", FHIR_JSON})
FORM: Final = "application/x-www-form-urlencoded"

M = TypeVar("M", bound=BaseModel)


class CommonHeaders:
    """Pure ASGI middleware: `X-Request-ID` echoed or minted, `X-Correlation-ID` echoed, nothing may be cached (but by
    an answer that says otherwise: the pages' own files); and once the process is about to end, the connection ends with
    its answer."""

    def __init__(self, app: ASGIApp, *, drain: Drain) -> None:
        self._app = app
        self._drain = drain

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
                answer.setdefault("Cache-Control", "no-store")
                answer.add_vary_header("Authorization")
                answer["X-Content-Type-Options"] = "nosniff"
                if self._drain.begun:
                    answer["Connection"] = "close"
            await send(message)

        await self._app(scope, receive, with_headers)


def _clean(value: bytes) -> str:
    text = value.decode("latin-1")
    return text if _ID.fullmatch(text) else ""


def request_id(request: Request) -> str:
    """The id that this request's rows, logs and answer carry."""
    return str(request.state.request_id)


def authorization(request: Request) -> Presented:
    """What the request presents for sign-in. The same object for the whole request, however often it is asked for."""
    presented: Presented | None = getattr(request.state, "presented", None)
    if presented is None:
        presented = request.state.presented = _presented(request)
    return presented


def _presented(request: Request) -> Presented:
    headers, scope = request.headers, request.scope
    raw: bytes = scope.get("raw_path") or quote(scope["path"]).encode("ascii")
    path = raw.partition(b"?")[0].decode("latin-1")
    return Presented(
        authorization=tuple(headers.getlist("authorization")),
        dpop=tuple(headers.getlist("dpop")),
        certificate=tuple(headers.getlist("client-cert")),
        method=sent_method(request),
        url=request.state.parts.settings.public_url.rstrip("/") + path,
        peer=_peer(scope),
    )


def sent_method(request: Request) -> str:
    """The method as the client sent it: a HEAD is answered as a GET."""
    return str(getattr(request.state, "sent_method", request.method))


def _peer(scope: Scope) -> str:
    """Who connected. Over a Unix socket there is no client, and the server's address is the socket's path."""
    client, server = scope.get("client"), scope.get("server")
    if client:
        return str(client[0])
    return f"unix:{server[0]}" if server and server[1] is None else ""


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


async def read_json(request: Request, limit: int) -> Any:
    """The JSON body. Raises TooLarge, WrongMediaType, or BadRequest for what is no JSON, is nested deeper than can be
    read, or says one thing twice."""
    body = await read_body(request, limit, JSON)
    try:
        return json.loads(body, object_pairs_hook=_distinct, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise BadRequest("The body is not JSON, or names a member twice.", rule="body.not-json") from error


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


async def read_model(request: Request, limit: int, model: type[M]) -> M:
    """The JSON body as a model. Raises BadRequest with the member's name; never with its value."""
    values = await read_json(request, limit)
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
