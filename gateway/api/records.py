"""`POST /records`: the whole record (or some sections) without an NHS number in any address."""

from __future__ import annotations

from dataclasses import dataclass, replace

from fastapi import APIRouter, Request, Response

from connectors.sdk.model import SECTION_OF_TYPE
from gateway.api.contract import takes
from gateway.api.door import parts_of, template
from gateway.api.http import authorization, read_model, request_id
from gateway.api.models import RecordRequest
from gateway.api.questions import Bundled, Failing
from gateway.caller.model import Caller
from gateway.choice.number import nhs_number_of
from gateway.contracts.answers import refusals, shown
from gateway.contracts.schemas import BUNDLE
from gateway.errors import GatewayError
from gateway.locate import Look
from gateway.record import Question
from gateway.search.representation import check_accept
from gateway.shown import Rendered, Shown

router = APIRouter(tags=["record"])


@router.post(
    "/records",
    response_class=Response,
    responses={
        "200": shown("The record, as far as the caller may see it", BUNDLE, of_sources=True),
        **refusals([404, 406, 409]),
    },
    openapi_extra=takes(RecordRequest),
)
async def open_record(request: Request) -> Response:
    """A FHIR searchset Bundle of the sections asked for (all, where none are named), as `$everything` gives it."""
    parts = parts_of(request)
    question: Question
    try:
        check_accept(request.headers.get("accept"))
        body = await read_model(request, parts.settings.max_body_bytes, RecordRequest)
        question = _Narrowed(_everything(request, nhs_number_of(body.nhsNumber), body), body.birthDate)
    except GatewayError as error:
        question = Failing(template(request), request_id(request), error)
    rendered = await parts.records.open(authorization(request), question)
    return Response(rendered.body, headers=dict(rendered.headers))


def _everything(request: Request, nhs_number: str, body: RecordRequest) -> Bundled:
    parts = parts_of(request)
    types = [name for name, section in SECTION_OF_TYPE.items() if section in body.sections]
    return Bundled(
        door=template(request),
        request_id=request_id(request),
        resource_type="Patient",
        raw_query=f"_type={','.join(types)}".encode() if types else b"",
        pager=parts.pager,
        public_url=parts.settings.public_url,
        everything_of=nhs_number,
    )


@dataclass(frozen=True, slots=True)
class _Narrowed:
    """`$everything`, with the birth date as the second fact."""

    bundled: Bundled
    birth_date: str | None

    @property
    def door(self) -> str:
        return self.bundled.door

    @property
    def request_id(self) -> str:
        return self.bundled.request_id

    def look(self, caller: Caller) -> Look:
        return replace(self.bundled.look(caller), birth_date=self.birth_date)

    def search(self, shown: Shown) -> Rendered:
        return self.bundled.search(shown)
