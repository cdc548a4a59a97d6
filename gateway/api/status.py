"""`/status`: which organisation's system brings what, and how each is now. It says nothing about any patient."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

from fastapi import APIRouter, Request, Response

from connectors.sdk.errors import ConfigurationError
from connectors.sdk.grades import kit_result, standing_of
from connectors.sdk.model import Section
from connectors.sdk.organisations import Organisation, Stage
from gateway.api.health import states_of_sources
from gateway.api.office.visit import Visit, visited
from gateway.api.pages import refuse_parameters
from gateway.breaker import BreakerState
from gateway.policy.told import SECTION_NAMES

STATUS: Final = "/status"
router = APIRouter(include_in_schema=False)
_STAGES: Final[Mapping[str, tuple[str, str]]] = {
    Stage.SUSPENDED: ("Suspended", "grey"),
    Stage.SHADOW: ("Joining, not shown yet", "purple"),
}
_BREAKERS: Final[Mapping[str | None, tuple[str, str]]] = {
    BreakerState.OPEN: ("Not answering", "red"),
    BreakerState.HALF_OPEN: ("Being tried again", "yellow"),
}
_WELL: Final = ("Answering", "green")
_PARTLY: Final = ("Answering in part", "yellow")
_QUIET: Final = ("Ready", "blue")
"""Nobody asked it yet, or what it answered isn't told to this reader."""
_BREAKER_WORDS: Final[Mapping[str | None, str]] = {
    BreakerState.CLOSED: "Closed: it is asked",
    BreakerState.OPEN: "Open: it is left alone for now",
    BreakerState.HALF_OPEN: "Half open: one call tries it",
    None: "None: it isn't asked",
}


@router.get(STATUS)
async def status(request: Request) -> Response:
    """The state of the sources, as this worker has seen it."""
    return await visited(request, _status)


async def _status(visit: Visit) -> Response:
    refuse_parameters(visit.request, "This page takes no parameters.", "status.parameters")
    told = states_of_sources(visit.parts, visit.caller)
    lines = [_line(each) for each in told["sources"]]
    groups = [{**group, "asked": [_line(each) for each in group["asked"]]} for group in told["practiceGroups"]]
    listed = visit.parts.organisations.listed()
    return visit.shown(
        "status",
        title="Sources",
        sections=[(section.value, SECTION_NAMES[section].capitalize()) for section in Section],
        lines=lines,
        groups=groups,
        unwell=[line for line in lines if line["colour"] in ("red", "yellow", "grey")],
        connectors=_connectors(listed),
    )


def _line(said: dict[str, Any]) -> dict[str, Any]:
    """One organisation, with its state in words."""
    word, colour = _state(said)
    unwell = said["unwellSections"] or ()
    is_out = colour in ("red", "grey")
    cells = {
        section: ("Not now" if is_out or section in unwell else "Yes") if section in said["sections"] else "–"
        for section in map(str, Section)
    }
    milliseconds = said["typicalMilliseconds"]
    return {
        **said,
        "state": word,
        "colour": colour,
        "cells": cells,
        "typical": f"{milliseconds / 1000:.2f} seconds" if milliseconds is not None else "",
        "breaker_told": _BREAKER_WORDS[said["breaker"]],
    }


def _state(said: Mapping[str, Any]) -> tuple[str, str]:
    """The worst that is known of it, in words and a colour."""
    if said["stage"] in _STAGES:
        return _STAGES[said["stage"]]
    if said["breaker"] in _BREAKERS:
        return _BREAKERS[said["breaker"]]
    if said["unwellSections"]:
        return _PARTLY
    return _WELL if said["lastSuccess"] else _QUIET


def _connectors(organisations: Iterable[Organisation]) -> list[dict[str, Any]]:
    """Each connection with its grade and the last result of its connector in the kit."""
    return [
        {"ods": one.ods, "name": one.name, "connector": one.connector, **_graded(one.connector, one.ods)}
        for one in organisations
        if one.connector
    ]


@lru_cache(maxsize=1024)
def _graded(connector: str, ods: str) -> Mapping[str, Any]:
    """As the files say. They are part of what is installed: read once."""
    try:
        standing, kit = standing_of(connector, ods), kit_result(connector)
    except (LookupError, ConfigurationError):
        return {"grade": "not known", "lacks": "Evidence that can be read", "kit": None}
    return {"grade": str(standing.grade), "lacks": standing.lacks, "kit": kit}
