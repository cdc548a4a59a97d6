"""`/livez`, `/readyz`, `/sources`: is the gateway well, and are its sources?"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from gateway.api.door import opened, parts_of
from gateway.choice.may import demand

router = APIRouter(tags=["health"])
SEE_SOURCES = "see-sources"


@router.get("/livez")
async def livez() -> dict[str, str]:
    """The process answers."""
    return {"status": "live"}


@router.get("/readyz")
async def readyz(request: Request, response: Response) -> dict[str, str]:
    """The journal can be written. Without it nothing can be shown, so no traffic should come here."""
    if await parts_of(request).store.ready():
        return {"status": "ready"}
    response.status_code = 503
    return {"status": "not ready", "why": "the audit journal can't be written"}


@router.get("/sources")
async def sources(request: Request) -> dict[str, Any]:
    """The state of each organisation's system, as this worker has seen it. It says nothing about any patient."""
    async with opened(request) as door:
        policy = door.parts.policy
        demand(lambda action, who: policy.may(action, who.role, who.organisation_type), SEE_SOURCES, door.caller)
        states = door.parts.fan_out.states
        return {
            "sources": [
                {
                    "ods": organisation.ods,
                    "name": organisation.name,
                    "type": organisation.type,
                    "stage": organisation.stage,
                    "joined": organisation.joined,
                    "sections": sorted(organisation.sections),
                    "breaker": states[organisation.ods].breaker.state,
                    "lastOutcome": states[organisation.ods].last_outcome,
                    "lastSuccess": states[organisation.ods].last_success,
                    "typicalMilliseconds": states[organisation.ods].typical_ms,
                }
                for organisation in door.parts.organisations.sources()
            ]
        }
