"""`/fhir/R4`: the FHIR API. Each route makes a question and hands it to the pipeline; nothing is looked up here."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request, Response

from gateway.api.door import journal_refusal, parts_of, template
from gateway.api.http import FHIR_JSON, FORM, authorization, read_body, request_id
from gateway.api.questions import Bundled, Failing, PersonSearch, ReadById
from gateway.errors import GatewayError, NotFound
from gateway.record import Question
from gateway.search.pairs import pairs_of
from gateway.search.person import seeks_person
from gateway.search.refuse import not_offered, repeated, wrong
from gateway.search.representation import check_accept
from gateway.search.table import SHOWN_TYPES
from gateway.shown import Rendered

router = APIRouter(prefix="/fhir/R4", include_in_schema=False)
_METADATA_PARAMS: Final = ("_format", "mode")


@router.get("/metadata")
async def metadata(request: Request) -> Response:
    """What this server offers. It needs no token: clients read it before they have one."""
    try:
        _check_metadata_params(pairs_of(request.scope["query_string"]))
        _check_accept(request)
    except GatewayError as error:
        await journal_refusal(request, error, template(request))
        raise
    return Response(parts_of(request).capabilities.document(), media_type=FHIR_JSON)


def _check_metadata_params(pairs: list[tuple[str, str]]) -> None:
    """R4's capabilities interaction takes `_format` and `mode`; the whole statement is the one mode here."""
    given = dict(pairs)
    for name in given:
        if name not in _METADATA_PARAMS:
            raise not_offered(name, "The CapabilityStatement takes", _METADATA_PARAMS)
    if len(given) < len(pairs):
        raise repeated(next(name for name in given if [each for each, _ in pairs].count(name) > 1))
    if given.get("mode", "full") != "full":
        raise wrong("mode", "takes full.")


@router.get("/Patient/{patient}/$everything")
async def everything(request: Request, patient: str) -> Response:
    """The whole record as one Bundle."""
    return await _open(request, _bundled(request, "Patient", everything_of=patient))


@router.get("/{resource_type}")
async def search(request: Request, resource_type: str) -> Response:
    """Search one type of one patient; or, by name and birth date, a person whose NHS number nobody knows."""
    if resource_type == "Patient" and seeks_person(request.scope["query_string"]):
        return await _find(request)
    return await _open(request, _of_type(request, resource_type) or _bundled(request, resource_type))


@router.post("/{resource_type}/_search")
async def post_search(request: Request, resource_type: str) -> Response:
    """The same search with its parameters in the body, where no log of addresses can keep them."""
    unknown = _of_type(request, resource_type)
    if unknown:
        return await _open(request, unknown)
    try:
        form = await read_body(request, parts_of(request).settings.max_body_bytes, frozenset({FORM}))
    except GatewayError as error:
        return await _open(request, Failing(template(request, resource_type), request_id(request), error))
    if resource_type == "Patient" and seeks_person(request.scope["query_string"], form):
        return await _find(request, form)
    return await _open(request, _bundled(request, resource_type, form=form), form)


@router.get("/{resource_type}/{resource_id}")
async def read(request: Request, resource_type: str, resource_id: str) -> Response:
    """One resource by its sealed id."""
    parts = parts_of(request)
    question = _of_type(request, resource_type) or ReadById(
        door=template(request, resource_type),
        request_id=request_id(request),
        resource_type=resource_type,
        id=resource_id,
        raw_query=request.scope["query_string"],
        sealer=parts.sealer,
    )
    return await _open(request, question)


def _bundled(request: Request, resource_type: str, *, form: bytes = b"", everything_of: str | None = None) -> Bundled:
    parts = parts_of(request)
    return Bundled(
        door=template(request, resource_type),
        request_id=request_id(request),
        resource_type=resource_type,
        raw_query=request.scope["query_string"],
        pager=parts.pager,
        public_url=parts.settings.public_url,
        form=form,
        everything_of=everything_of,
    )


def _of_type(request: Request, resource_type: str) -> Failing | None:
    if resource_type in SHOWN_TYPES:
        return None
    told = f"This resource type is not offered. Offered: {', '.join(SHOWN_TYPES)}."
    return Failing(template(request), request_id(request), NotFound(told, rule="route.unknown-type"))


def _check_accept(request: Request, form: bytes = b"") -> None:
    """`_format` may stand in the form of a POST `_search` as well; wherever it stands, it beats the Accept header."""
    given = dict(pairs_of(request.scope["query_string"], form))
    check_accept(request.headers.get("accept"), given.get("_format"))


class Answered(Response):
    """The answer. It holds on to the record until its bytes are out: to let go of a record's many thousand parts takes
    as long as writing them did, and nobody should wait for it."""

    def __init__(self, rendered: Rendered) -> None:
        super().__init__(rendered.body, headers=dict(rendered.headers))
        self._rendered = rendered


async def _find(request: Request, form: bytes = b"") -> Response:
    parts, door = parts_of(request), template(request, "Patient")
    try:
        _check_accept(request, form)
    except GatewayError as error:
        return await _open(request, Failing(door, request_id(request), error), form)
    search = PersonSearch(door, request_id(request), request.scope["query_string"], parts.settings.public_url, form)
    rendered = await parts.people.find(authorization(request), search)
    return Response(rendered.body, headers=dict(rendered.headers))


async def _open(request: Request, question: Question, form: bytes = b"") -> Response:
    try:
        _check_accept(request, form)
    except GatewayError as error:
        question = Failing(question.door, question.request_id, error)
    rendered = await parts_of(request).records.open(authorization(request), question)
    return Answered(rendered)
