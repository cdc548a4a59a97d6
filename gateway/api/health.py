"""`/livez`, `/readyz`, `/sources`: is the gateway well, and are its sources?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fastapi import APIRouter, Request

from connectors.sdk.organisations import Organisation, OrganisationType, PracticeGroup, Stage
from gateway.api.door import opened, parts_of
from gateway.caller.model import Caller
from gateway.choice.may import READ_AUDIT, SEE_SOURCES, allowed, demand
from gateway.contracts.answers import refusals
from gateway.errors import AuditUnavailable, Leaving
from gateway.parts import Parts
from gateway.shadow.watch import Shadow
from gateway.sources import SourceState

router = APIRouter(tags=["health"])
_OF_ANSWERS: Final = ("lastOutcome", "lastSuccess", "typicalMilliseconds", "unwellSections", "lastQuarantine")
_TOLD: Final = frozenset({Stage.LIVE, Stage.SHADOW, Stage.SUSPENDED})


@router.get("/livez")
async def livez() -> dict[str, str]:
    """The process answers."""
    return {"status": "live"}


@router.get("/readyz", responses=refusals([503]))
async def readyz(request: Request) -> dict[str, str]:
    """The journal can be written, and this process goes on. Without either no traffic should come here."""
    if request.app.state.drain.begun:
        raise Leaving
    if not await parts_of(request).store.ready():
        raise AuditUnavailable("the store is not ready")
    return {"status": "ready"}


@router.get("/sources")
async def sources(request: Request) -> dict[str, Any]:
    """The state of each organisation's system, as this worker has seen it. It says nothing about any patient.

    A suspended one is listed as well, as what it is: nobody asks it, so it has neither breaker nor outcome. To whoever
    may read the audit, one in shadow says what its answers came to, in counts, and of a group of practices those are
    listed that were asked lately. Others would learn from it, right after a look of their own, what is never shown.
    """
    async with opened(request) as door:
        return states_of_sources(door.parts, door.caller)


def states_of_sources(parts: Parts, caller: Caller) -> dict[str, Any]:
    """As far as this caller is told of them. Raises Refusal."""
    may = parts.policy.may_caller
    demand(may, SEE_SOURCES, caller)
    told = [entry for entry in parts.organisations.listed() if entry.holds_records and entry.stage in _TOLD]
    groups = [group for group in parts.organisations.groups() if group.entry.holds_records]
    states = parts.fan_out.states
    if not allowed(may, READ_AUDIT, caller):
        return {
            "sources": [_from_afar(entry, states.get(entry.ods)) for entry in told],
            "practiceGroups": [_group(group, {}, parts.shadow) for group in groups],
        }
    return {
        "sources": [_line(entry, states.get(entry.ods), parts.shadow) for entry in told],
        "practiceGroups": [_group(group, states, parts.shadow) for group in groups],
    }


def _group(group: PracticeGroup, states: Mapping[str, SourceState], shadow: Shadow) -> dict[str, Any]:
    asked = ((group.get(ods), state) for ods, state in states.items() if ods in group)
    return {
        "name": group.name,
        "type": group.type,
        "stages": sorted(group.stages),
        "joined": group.entry.joined,
        "sections": sorted(group.entry.sections),
        "practices": len(group),
        "asked": [_line(practice, state, shadow) for practice, state in asked if practice is not None],
    }


def _line(organisation: Organisation, state: SourceState | None, shadow: Shadow) -> dict[str, Any]:
    line = _state(organisation, state)
    return line | {"shadow": shadow.seen(organisation.ods)} if organisation.is_shadowed else line


def _from_afar(organisation: Organisation, state: SourceState | None) -> dict[str, Any]:
    """Without what its last answer was, where that would tell of a patient: that they are registered with a practice
    (which is asked for nobody else), or that one in shadow knows them."""
    tells = organisation.is_shadowed or organisation.type is OrganisationType.GP_PRACTICE
    return _state(organisation, state) | (dict.fromkeys(_OF_ANSWERS) if tells else {})


def _state(organisation: Organisation, state: SourceState | None) -> dict[str, Any]:
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
        "unwellSections": state and sorted(state.unwell),
        "lastQuarantine": state and state.last_quarantine,
    }
