"""`/livez`, `/readyz`, `/sources`: is the gateway well, and are its sources?"""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter, Request, Response

from connectors.sdk.organisations import Organisation, Stage
from gateway.api.door import opened, parts_of
from gateway.choice.may import demand
from gateway.fan_out import SourceState

router = APIRouter(tags=["health"])
SEE_SOURCES: Final = "see-sources"
_LISTED: Final = frozenset({Stage.LIVE, Stage.SANDBOX, Stage.SUSPENDED})


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
    """The state of each organisation's system, as this worker has seen it. It says nothing about any patient.

    A suspended one is listed as well, as what it is: nobody asks it, so it has neither breaker nor outcome.
    """
    async with opened(request) as door:
        policy = door.parts.policy
        demand(lambda action, who: policy.may(action, who.role, who.organisation_type), SEE_SOURCES, door.caller)
        states = door.parts.fan_out.states
        listed = [entry for entry in door.parts.organisations if entry.holds_records and entry.stage in _LISTED]
        return {"sources": [_line(entry, states.get(entry.ods)) for entry in listed]}


def _line(organisation: Organisation, state: SourceState | None) -> dict[str, Any]:
    return {
        "ods": organisation.ods,
        "name": organisation.name,
        "type": organisation.type,
        "stage": organisation.stage,
        "joined": organisation.joined,
        "sections": sorted(organisation.sections),
        "breaker": state and state.breaker.state,
        "lastOutcome": state and state.last_outcome,
        "lastSuccess": state and state.last_success,
        "typicalMilliseconds": state and state.typical_ms,
    }
