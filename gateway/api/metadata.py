"""`GET /fhir/R4/metadata`: what this server offers; with a token, what that caller can use."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request, Response

from gateway.api.asking import check_representation
from gateway.api.discovery import oauth_addresses
from gateway.api.door import journal_refusal, opened, parts_of, template
from gateway.api.http import FHIR_JSON
from gateway.errors import GatewayError
from gateway.search.pairs import pairs_of
from gateway.search.refuse import not_offered, repeated, wrong

router = APIRouter(prefix="/fhir/R4", include_in_schema=False)
_PARAMS: Final = ("_format", "mode")


@router.get("/metadata")
async def metadata(request: Request) -> Response:
    """It needs no token: clients read it before they have one. A token that can't be accepted is refused all the same,
    since the answer to it would be somebody else's."""
    parts = parts_of(request)
    capabilities, oauth = parts.capabilities, await oauth_addresses(parts)
    if "authorization" in request.headers:
        async with opened(request) as door:
            _check(request)
            return _answer(capabilities.document(door.caller, oauth))
    try:
        _check(request)
    except GatewayError as error:
        await journal_refusal(request, error, template(request))
        raise
    return _answer(capabilities.document(oauth=oauth))


def _answer(document: bytes) -> Response:
    return Response(document, media_type=FHIR_JSON)


def _check(request: Request) -> None:
    """R4's capabilities interaction takes `_format` and `mode`; the whole statement is the one mode here."""
    pairs = pairs_of(request.scope["query_string"])
    given = dict(pairs)
    for name in given:
        if name not in _PARAMS:
            raise not_offered(name, "The CapabilityStatement takes", _PARAMS)
    if len(given) < len(pairs):
        raise repeated(next(name for name in given if [each for each, _ in pairs].count(name) > 1))
    if given.get("mode", "full") != "full":
        raise wrong("mode", "takes full.")
    check_representation(request)
