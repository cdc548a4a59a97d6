"""`POST /disclosures`: a record as a file, because a statute, a court or the public interest requires it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from fastapi import APIRouter, Request, Response

from connectors.sdk.model import SECTION_OF_TYPE
from gateway.api.bundle import Sending
from gateway.api.contract import takes
from gateway.api.disclosed import document
from gateway.api.door import parts_of, template
from gateway.api.http import authorization, read_model, request_id
from gateway.api.models import DisclosureRequest
from gateway.api.questions import Failing, headers_of
from gateway.caller.model import Caller
from gateway.choice.number import nhs_number_of
from gateway.contracts.answers import refusals, shown
from gateway.contracts.schemas import BUNDLE
from gateway.disclosure.claim import claimed
from gateway.disclosure.model import Disclosure
from gateway.errors import GatewayError, Refusal
from gateway.locate import Look
from gateway.parts import Parts
from gateway.search.representation import check_accept
from gateway.shown import Rendered, Shown

router = APIRouter(tags=["disclosure"])


@router.post(
    "/disclosures",
    response_class=Response,
    responses={
        "200": shown("What the law requires, as a document", BUNDLE, of_sources=True),
        **refusals([404, 406, 409]),
    },
    openapi_extra=takes(DisclosureRequest),
)
async def disclose(request: Request) -> Response:
    """A FHIR document Bundle, to be saved: a cover, what each organisation said, and what the named policy lets out."""
    parts, door, identity = parts_of(request), template(request), request_id(request)
    try:
        check_accept(request.headers.get("accept"))
        body = await read_model(request, parts.settings.max_body_bytes, DisclosureRequest)
        claim = _claim(body, parts)
        question = _Disclosing(door, identity, nhs_number_of(body.nhsNumber), body.birthDate, claim, parts)
    except GatewayError as error:
        rendered = await parts.records.open(authorization(request), Failing(door, identity, error))
    else:
        rendered = await parts.records.disclose(authorization(request), question, claim)
    return Response(rendered.body, headers=dict(rendered.headers))


def _claim(body: DisclosureRequest, parts: Parts) -> Disclosure:
    return claimed(
        parts.policy.disclosures,
        parts.sealer,
        basis=body.basis,
        policy=body.policy,
        reference=body.reference,
        recipient=body.recipient,
        reason=body.reason,
    )


def _require_whole(caller: Caller, claim: Disclosure) -> None:
    """A file that an application cut short would read as if an organisation had left something out."""
    needed = {name for name, section in SECTION_OF_TYPE.items() if section in claim.policy.terms.sections}
    lacking = sorted(name for name in needed if not caller.grants.lets_read_whole(name))
    if lacking:
        raise Refusal(
            "Your application's token lets it read some kinds of resources only, so the file would not be whole. Sign "
            f"in with one that may read {', '.join(lacking)} too, and whole (user/*.rs).",
            rule="scope.disclosure",
        )


@dataclass(frozen=True, slots=True)
class _Disclosing:
    """The whole of what the named policy lets out, on one page."""

    door: str
    request_id: str
    nhs_number: str
    birth_date: str
    claim: Disclosure
    parts: Parts

    def look(self, caller: Caller) -> Look:
        """Raises Refusal where the application's token would leave out what the policy lists."""
        _require_whole(caller, self.claim)
        return Look(
            nhs_number=self.nhs_number,
            door=self.door,
            request_id=self.request_id,
            sections=self.claim.policy.terms.sections,
            birth_date=self.birth_date,
        )

    def search(self, shown: Shown) -> Rendered:
        """Nothing is filtered: who must hand over a record doesn't choose from it."""
        sending = Sending()
        body = document(shown, sending, public_base=self.parts.settings.public_url, moment=datetime.now(UTC))
        name = f"disclosure-{self.claim.id}.json"
        headers = {**headers_of(shown.manifest), "Content-Disposition": f'attachment; filename="{name}"'}
        return Rendered(body, headers, shown.items, sent=sending.sent)
