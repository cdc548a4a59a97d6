"""`/fhir/R4/Consent`: sharing choices and permissions as FHIR, for privacy officers; reading them is itself a row."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from fastapi import APIRouter, Request, Response
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.consent import Consent

from gateway.api.authored import demand_scope
from gateway.api.consent_search import CONSENT, ConsentPage, ConsentPager
from gateway.api.door import Door, opened
from gateway.api.http import FHIR_JSON, FORM, read_body
from gateway.choice.consent import Json
from gateway.search.pairs import pairs_of
from gateway.search.parse import once
from gateway.search.representation import check_accept

router = APIRouter(prefix="/fhir/R4/Consent", include_in_schema=False)


@router.get("")
async def search(request: Request) -> Response:
    """One patient's Consents, newest first."""
    async with opened(request) as door:
        return await _searched(request, door)


@router.post("/_search")
async def post_search(request: Request) -> Response:
    """The same, with its parameters in the body, where no log of addresses can keep them."""
    async with opened(request) as door:
        form = await read_body(request, door.parts.settings.max_body_bytes, frozenset({FORM}))
        return await _searched(request, door, form)


@router.get("/{consent_id}")
async def read(request: Request, consent_id: str) -> Response:
    """One Consent, by the id that this server gave it."""
    async with opened(request) as door:
        demand_scope(door.caller, CONSENT.type, "scope.consent")
        given = once(pairs_of(request.scope["query_string"]), "Reading a Consent takes", ("_format",))
        check_accept(request.headers.get("accept"), given.get("_format"))
        door.about(None)
        found = await door.parts.consents.one(door.caller, consent_id, door.request_id, door=door.name)
        return _fhir(Consent.model_validate(found))


async def _searched(request: Request, door: Door, form: bytes = b"") -> Response:
    demand_scope(door.caller, CONSENT.type, "scope.consent")
    parts = door.parts
    pairs = pairs_of(request.scope["query_string"], form)
    pager = ConsentPager(parts.sealer, parts.settings.fhir_base, parts.consents.now(), door.caller.key)
    query = pager.read(pairs)
    door.about(query.patient)
    check_accept(request.headers.get("accept"), dict(pairs).get("_format"))
    found = await parts.consents.about(door.caller, query.patient, door.request_id, door=door.name)
    return _fhir(_bundle(pager.page(query, found), parts.settings.fhir_base))


def _bundle(page: ConsentPage, fhir_base: str) -> Bundle:
    bundle: Json = {
        "id": str(uuid4()),
        "type": "searchset",
        "total": page.total,
        "link": [{"relation": relation, "url": url} for relation, url in page.links.items()],
    }
    if page.consents:
        bundle["entry"] = [
            {"fullUrl": f"{fhir_base}/Consent/{each['id']}", "resource": each, "search": {"mode": "match"}}
            for each in page.consents
        ]
    return Bundle.model_validate(bundle)


def _fhir(resource: Any) -> Response:
    return Response(resource.model_dump_json(), media_type=FHIR_JSON)
