"""`/audit/_search`: who looked, at what, and when. For privacy officers; reading it is itself a row."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse

from gateway.api.contract import takes
from gateway.api.door import opened, parts_of
from gateway.api.http import read_model
from gateway.api.models import AuditSearchRequest
from gateway.audit.read import Query
from gateway.audit.row import Kind
from gateway.contracts.answers import refusals
from gateway.errors import BadRequest, NotFound
from gateway.sealed import Sealer
from gateway.store.interface import Kept

router = APIRouter(tags=["audit"])


@router.post("/audit/_search", openapi_extra=takes(AuditSearchRequest))
async def search_audit(request: Request) -> dict[str, Any]:
    """Rows in order, and where to go on: `{"rows": […], "after": n|null, "before": n}`."""
    async with opened(request) as door:
        body = await read_model(request, door.parts.settings.max_body_bytes, AuditSearchRequest)
        door.about(body.nhsNumber)
        page = await door.parts.audit.read(
            door.caller,
            Query(
                nhs_number=body.nhsNumber,
                user_id=body.userId,
                organisation=body.organisation,
                kinds=_kinds(body.kinds),
                request_id=body.requestId,
            ),
            door.request_id,
            after=body.after,
            before=body.before,
            limit=body.limit,
            door=door.name,
        )
        rows = [_row(kept, door.parts.sealer) for kept in page.rows]
        return {"rows": rows, "after": page.after, "before": page.before}


@router.get("/audit/checkpoint", response_class=PlainTextResponse, responses=refusals([404]))
async def newest_checkpoint(request: Request) -> PlainTextResponse:
    """The newest signed checkpoint of the journal, for whoever wants to pin it: how many rows it holds and two hashes.

    It says nothing about anybody, so nobody needs to sign in.
    """
    kept = await parts_of(request).store.newest_checkpoint()
    if kept is None:
        raise NotFound("The journal has no signed checkpoint yet. Ask again in a moment.", rule="checkpoint.none")
    return PlainTextResponse(kept.note)


def _kinds(names: tuple[str, ...]) -> frozenset[Kind] | None:
    try:
        return frozenset(Kind(name) for name in names) or None
    except ValueError as error:
        raise BadRequest(f"kinds: use some of {', '.join(Kind)}.", rule="body.member", expression="kinds") from error


def _row(kept: Kept, sealer: Sealer) -> dict[str, Any]:
    """The row as JSON. Whoever may read it may know whom it is about, so the NHS number stands in place of the tag."""
    row: dict[str, Any] = msgspec.to_builtins(kept.row, str_keys=True)
    row.pop("patient", None)
    sealed = row.pop("sealed_patient", None)
    if lawful := kept.row.lawful:
        row["lawful"]["reason"] = sealer.open_text(lawful.reason, lawful.id)
    return {"seq": kept.seq, **({"nhsNumber": sealer.open_patient(sealed)} if sealed else {}), **row}
