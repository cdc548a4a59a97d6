"""`/fhir/R4/AuditEvent`: the journal as FHIR, for privacy officers; reading it is itself an event."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

from fastapi import APIRouter, Request, Response

from gateway.api.audit_event_search import AUDIT_EVENT, EventPager, EventQuery
from gateway.api.authored import demand_scope
from gateway.api.bundle import to_json
from gateway.api.door import Door, opened
from gateway.api.http import FHIR_JSON, FORM, read_body
from gateway.audit.events.codes import Json
from gateway.audit.read import Page
from gateway.search.pairs import pairs_of
from gateway.search.parse import once
from gateway.search.representation import check_accept

router = APIRouter(prefix="/fhir/R4/AuditEvent", include_in_schema=False)


@router.get("")
async def search(request: Request) -> Response:
    """Events, oldest first."""
    async with opened(request) as door:
        return await _searched(request, door)


@router.post("/_search")
async def post_search(request: Request) -> Response:
    """The same, with its parameters in the body, where no log of addresses can keep them."""
    async with opened(request) as door:
        form = await read_body(request, door.parts.settings.max_body_bytes, frozenset({FORM}))
        return await _searched(request, door, form)


@router.get("/{event_id}")
async def read(request: Request, event_id: str) -> Response:
    """One event."""
    async with opened(request) as door:
        demand_scope(door.caller, AUDIT_EVENT.type, "scope.audit-event")
        given = once(pairs_of(request.scope["query_string"]), "Reading an AuditEvent takes", ("_format",))
        check_accept(request.headers.get("accept"), given.get("_format"))
        door.about(None)
        seq = door.parts.events.seq_of(event_id)
        kept = await door.parts.audit.one(door.caller, seq, door.request_id, door=door.name)
        return _fhir(door.parts.events.of(kept))


async def _searched(request: Request, door: Door, form: bytes = b"") -> Response:
    demand_scope(door.caller, AUDIT_EVENT.type, "scope.audit-event")
    parts = door.parts
    pairs = pairs_of(request.scope["query_string"], form)
    pager = EventPager(parts.sealer, parts.settings.fhir_base, datetime.now(UTC), door.caller.key)
    query = pager.read(pairs)
    door.about(query.rows.nhs_number)
    check_accept(request.headers.get("accept"), dict(pairs).get("_format"))
    page = await parts.audit.read(
        door.caller,
        query.rows,
        door.request_id,
        after=query.after,
        before=query.before,
        limit=query.count,
        door=door.name,
        keep=query.wants,
    )
    events = [parts.events.of(kept) for kept in page.rows]
    return _fhir(_bundle(query, page, events, pager.links(query, page), parts.settings.fhir_base))


def _bundle(query: EventQuery, page: Page, events: list[Json], links: dict[str, str], fhir_base: str) -> Json:
    """`total` is told where it is known: where all that was found is on this page."""
    bundle: Json = {
        "resourceType": "Bundle",
        "id": str(uuid4()),
        "type": "searchset",
        "link": [{"relation": relation, "url": url} for relation, url in links.items()],
    }
    if page.after is None and query.before is None:
        bundle["total"] = len(events)
    if events:
        bundle["entry"] = [
            {"fullUrl": f"{fhir_base}/AuditEvent/{event['id']}", "resource": event, "search": {"mode": "match"}}
            for event in events
        ]
    return bundle


def _fhir(resource: Json) -> Response:
    return Response(to_json(resource), media_type=FHIR_JSON)
