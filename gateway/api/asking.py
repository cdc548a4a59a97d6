"""From a request at a FHIR door to a question, and from the pipeline's answer to a response."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import Request, Response

from gateway.api.door import parts_of, template
from gateway.api.http import JSON, authorization, read_body, request_id
from gateway.api.prefer import is_lenient
from gateway.api.questions import Bundled, Failing, PersonSearch
from gateway.errors import GatewayError, NotFound
from gateway.record import Question
from gateway.search.everything import pairs_of_parameters
from gateway.search.pairs import pairs_of
from gateway.search.parse import RawPairs
from gateway.search.representation import check_accept
from gateway.search.supporting import READABLE
from gateway.shown import Rendered


def bundled(request: Request, resource_type: str, **more: Any) -> Bundled:
    """The question of a search, a compartment or `$everything`; `more` are Bundled's own."""
    parts = parts_of(request)
    return Bundled(
        door=template(request, resource_type),
        request_id=request_id(request),
        resource_type=resource_type,
        raw_query=request.scope["query_string"],
        pager=parts.pager,
        public_url=parts.settings.public_url,
        lenient=is_lenient(request),
        usable=parts.usable,
        **more,
    )


def of_type(request: Request, resource_type: str, *, compartment: bool = False) -> Failing | None:
    """The refusal of a type that isn't offered at all: nothing that a client made up stands in a row."""
    if resource_type in READABLE and not (compartment and resource_type == "Patient"):
        return None
    told = f"This resource type is not offered. Offered: {', '.join(READABLE)}."
    return Failing(template(request), request_id(request), NotFound(told, rule="route.unknown-type"))


async def open_record(request: Request, question: Question, form: bytes = b"") -> Response:
    """Put a question to the pipeline."""
    try:
        check_representation(request, form)
    except GatewayError as error:
        question = Failing(question.door, question.request_id, error)
    rendered = await parts_of(request).records.open(authorization(request), question)
    return Answered(rendered)


async def open_with_parameters(request: Request, put: Callable[[RawPairs], Awaitable[Response]]) -> Response:
    """`put` the question of a POSTed operation, whose parameters stand in a Parameters resource, or in no body at all.
    What is wrong with the body is told in whichever form the client wants the answer."""
    limit = parts_of(request).settings.max_body_bytes
    kinds = JSON if "content-type" in request.headers else frozenset({""})
    try:
        posted = pairs_of_parameters(await read_body(request, limit, kinds))
    except GatewayError as error:
        failing = Failing(template(request), request_id(request), error)
        return Answered(await parts_of(request).records.open(authorization(request), failing))
    return await put(posted)


async def find_person(request: Request, form: bytes = b"") -> Response:
    """Look for somebody by name and birth date, where nobody knows the NHS number."""
    parts, door = parts_of(request), template(request, "Patient")
    try:
        check_representation(request, form)
    except GatewayError as error:
        return await open_record(request, Failing(door, request_id(request), error), form)
    search = PersonSearch(door, request_id(request), request.scope["query_string"], parts.settings.public_url, form)
    rendered = await parts.people.find(authorization(request), search)
    return Response(rendered.body, headers=dict(rendered.headers))


def check_representation(request: Request, form: bytes = b"") -> None:
    """Raises NotAcceptable where the client takes no FHIR JSON. `_format` may stand in the form of a POST `_search` as
    well; wherever it stands, it beats the Accept header."""
    given = dict(pairs_of(request.scope["query_string"], form))
    check_accept(request.headers.get("accept"), given.get("_format"))


class Answered(Response):
    """The answer. It holds on to the record until its bytes are out: to let go of a record's many thousand parts takes
    as long as writing them did, and nobody should wait for it."""

    def __init__(self, rendered: Rendered) -> None:
        super().__init__(rendered.body, headers=dict(rendered.headers))
        self._rendered = rendered
