"""`/cds-services`: CDS Hooks 2.0, one hook and one small card. Its contract is the standard's, not ours."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from fastapi import APIRouter, Request

from gateway import log
from gateway.api.door import parts_of, template
from gateway.api.http import authorization, read_model, request_id
from gateway.caller.refusals import CallerRefused
from gateway.cds import card
from gateway.cds.asked import PREFETCH, PatientViewCall
from gateway.cds.cards import PATH, SERVICE
from gateway.errors import GatewayError, NobodyAnswered

router = APIRouter(include_in_schema=False)
_LAST: Final = 0.02
"""Seconds in which an answer that is ready goes on its way."""


@router.get("/cds-services")
async def services() -> dict[str, Any]:
    """What is offered. It needs no JWT: it's the same for everybody, and says nothing of any patient."""
    return {
        "services": [
            {
                "hook": "patient-view",
                "id": SERVICE,
                "title": "Connect Care",
                "description": "Which organisations hold a record of this patient, what of it is missing, and known "
                "allergies, where the patient gave the user permission to look.",
                "prefetch": dict(PREFETCH),
                "usageRequirements": "The user is their PractitionerRole, with role profile, job role, and the "
                "identifiers of practitioner and organization.",
            }
        ]
    }


@router.post(PATH)
async def patient_view(request: Request) -> dict[str, Any]:
    """One card, within the time that it has."""
    parts, loop = parts_of(request), asyncio.get_running_loop()
    ends = loop.time() + parts.cards.seconds
    call: PatientViewCall | None = None
    try:
        async with asyncio.timeout_at(ends - _LAST):
            client = await parts.cards.client(authorization(request).authorization)
            call = await read_model(request, parts.settings.max_body_bytes, PatientViewCall)
            made = await parts.cards.patient_view(client, call, template(request), request_id(request), ends)
    except TimeoutError as error:
        log.event("cds.too-late", request_id=request_id(request))
        if call is None:
            raise NobodyAnswered(
                "The call could not be checked in time. Try again shortly.", rule="cds.slow"
            ) from error
        made = card.too_late(parts.cards.links(call))
    except CallerRefused as error:
        await parts.entrance.refuse(error, error.known, request_id(request), template(request))
        raise
    except GatewayError as error:
        log.event("cds.refused", rule=error.rule, status=error.status, request_id=request_id(request))
        raise
    return {"cards": [made]}
