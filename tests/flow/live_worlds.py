"""Worlds drawn by lot, for looks in parts: sources that answer, fail, lie, label and restrict, in any order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from random import Random
from typing import Any

from connectors.sdk.bundle import examine
from connectors.sdk.errors import Invalidated, NoRecord, Refused, SourceError, Superseded
from connectors.sdk.model import Answer, Ask, Gap, Item, Outcome, Resource, Section
from tests.flow.registers import CONFIDENTIALITY, REGISTER
from tests.unit.pipeline import SNOMED, an_item, coded, patient, registered_at, resource

HIV, AMOXICILLIN, PENICILLIN, NO_KNOWN_ALLERGY = "86406008", "27658006", "91936005", "716186003"
PRACTICES = ("G85005", "G85004")
SOURCES = (*PRACTICES, "RJ2", "RPG", "709")
ADDRESS = "12 Acacia Avenue"
_NARRATIVE = '<div xmlns="http://www.w3.org/1999/xhtml">Said in words</div>'


def narrative(status: str) -> dict[str, Any]:
    return {"text": {"status": status, "div": _NARRATIVE}}


def to(reference: str) -> dict[str, str]:
    return {"reference": reference}


def code(value: str) -> dict[str, Any]:
    return {"code": coded((SNOMED, value))}


def words(text: str) -> dict[str, Any]:
    return {"code": {"text": text}}


_HIDES = {"reasonReference": [to("Condition/c1")]}
_MEDICINE = {"medicationReference": to("Medication/d1")}
_AT_HOME = {"class": {"code": "HH"}, "status": "finished"}
_PLACE = {"location": [{"location": to("Location/l1")}]}
_DENIES = {"evidence": [{"detail": [to("AllergyIntolerance/a2")]}]}
_RESULTS = {"result": [to("Observation/o1"), to("Observation/o2")]}
_MENU: list[tuple[str, str, dict[str, Any]]] = [
    ("AllergyIntolerance", "a1", code(PENICILLIN) | {"recorder": to("Practitioner/w1")}),
    ("AllergyIntolerance", "a2", code(NO_KNOWN_ALLERGY)),
    ("AllergyIntolerance", "a3", words("Latex") | {"note": [{"text": f"Lives at {ADDRESS}"}]}),
    ("Condition", "c1", code(HIV)),
    ("Condition", "c2", code("38341003") | narrative("generated")),
    ("Condition", "c3", code("73211009") | narrative("additional")),
    ("Condition", "c4", words("Rash") | _DENIES),
    ("MedicationStatement", "m1", {"status": "active"} | _MEDICINE | _HIDES),
    ("MedicationStatement", "m2", {"status": "active"} | _MEDICINE),
    ("MedicationRequest", "m3", {"status": "active", "intent": "order"} | _MEDICINE),
    ("Encounter", "e1", _AT_HOME | _PLACE | _HIDES),
    ("Encounter", "e2", _AT_HOME),
    ("Observation", "o1", {"status": "final", "effectiveDateTime": "2026-01-02"} | code(HIV)),
    ("Observation", "o2", {"status": "final", "performer": [to("Practitioner/w1")]} | words("Weight")),
    ("Observation", "o3", {"status": "final", "encounter": to("Encounter/e1")} | words("Height")),
    ("DiagnosticReport", "r1", {"status": "final"} | words("Bloods") | _RESULTS),
    ("CareTeam", "t1", {"status": "active", "managingOrganization": [to("Organization/g1")]}),
    ("Immunization", "i1", {"status": "completed", "vaccineCode": {"text": "Flu"}, "occurrenceDateTime": "2025-10-01"}),
]
_EXPLAINS: list[tuple[str, str, dict[str, Any]]] = [
    ("Medication", "d1", code(AMOXICILLIN)),
    ("Practitioner", "w1", {"name": [{"family": "Okafor"}]}),
    ("Location", "l1", {"name": "The hospice", "address": {"postalCode": "SE6 4RU"}}),
    ("Organization", "g1", {"name": "The team"}),
]


def menu(draw: Random) -> list[Resource]:
    """What one source may hold: labelled items, what tells of them, places, addresses in texts, statements of none."""
    held = [resource(kind, id_, **more) for kind, id_, more in _MENU]
    held += [resource(kind, id_, None, **more) for kind, id_, more in _EXPLAINS]
    return [deepcopy(body) for body in held if draw.random() < 0.7]


@dataclass
class World:
    """What each source says in one look: an Answer to be copied, or an error; and in which groups they come."""

    says: dict[str, Answer | SourceError]
    groups: list[list[str]]


def world(draw: Random, number: str, *, register: bool) -> World:
    says: dict[str, Answer | SourceError] = {source: _source(draw, source, number) for source in SOURCES}
    if register:
        says[REGISTER] = _register(draw, number)
    order = sorted(says)
    draw.shuffle(order)
    groups: list[list[str]] = [[]]
    for source in order:
        groups[-1].append(source)
        if draw.random() < 0.7:
            groups.append([])
    return World(says, groups)


def one_that_restricts_last(number: str) -> World:
    """The register gives an address; a source with none of its own names it in words; the last one restricts it."""
    told = resource("AllergyIntolerance", "a3", **words("Latex"), note=[{"text": f"Lives at {ADDRESS}"}])
    says: dict[str, Answer | SourceError] = {source: NoRecord("nobody") for source in SOURCES}
    says |= {
        REGISTER: _answer(REGISTER, [_patient(number, "G85005", label="U")]),
        "RPG": _answer("RPG", [_bare(number), resource("AllergyIntolerance", "a1", **code(PENICILLIN))]),
        "RJ2": _answer("RJ2", [_bare(number), resource("AllergyIntolerance", "a2", **code(AMOXICILLIN)), told]),
        "709": _answer("709", [_bare(number, **_labelled("R"))]),
    }
    return World(says, [[REGISTER, "RPG"], ["RJ2"], ["709", *PRACTICES]])


def two_at_once(number: str) -> World:
    """Two hospitals answer at the same moment; the council is never heard of."""
    says: dict[str, Answer | SourceError] = {source: NoRecord("nobody") for source in SOURCES}
    for source in ("RJ2", "RPG"):
        says[source] = _answer(source, [_bare(number), resource("AllergyIntolerance", "a1", **code(PENICILLIN))])
    return World(says, [[*PRACTICES, "RJ2", "RPG"], ["709"]])


def _register(draw: Random, number: str) -> Answer | SourceError:
    match draw.choices(range(6), (10, 2, 2, 1, 1, 1))[0]:
        case 0:
            return _answer(REGISTER, [_patient(number, "G85005", label="U")])
        case 1:
            return _answer(REGISTER, [_patient(number, "G85005", label="R")])
        case 2:
            return Refused("not today")
        case 3:
            return NoRecord("nobody")
        case 4:
            return Superseded("9990000476")
        case _:
            return Invalidated("gone")


def _source(draw: Random, source: str, number: str) -> Answer | SourceError:
    match draw.choices(range(5), (12, 2, 2, 2, 1))[0]:
        case 1:
            return NoRecord("nobody")
        case 2:
            return Refused("not today")
        case kind:
            pass
    label = draw.choices(["", "R", "U"], (8, 1, 1))[0]
    held = [_patient(number, draw.choice([*PRACTICES, source]), label=label), *menu(draw)]
    answer = _answer(source, held)
    if kind == 3:
        answer.gaps = {section: Gap.FAILED for section in Section if draw.random() < 0.2}
        answer.items = [item for item in answer.items if item.section not in answer.gaps]
        answer.outcome = Outcome.PARTIAL if answer.gaps else Outcome.ANSWERED
    if kind == 4:
        answer.items.append(_examined(source, resource("Condition", "x1", "Patient/p2", **words("Another's"))))
    return answer


def _patient(number: str, practice: str, *, label: str) -> Resource:
    address = [{"line": [ADDRESS], "postalCode": "SE6 4RU"}]
    more = {**registered_at(practice), **_labelled(label)}
    return _bare(number, address=address, **more)


def _bare(number: str, **more: Any) -> Resource:
    return patient(number=number, birthDate="1944-03-12", **more)


def _labelled(label: str) -> dict[str, Any]:
    return {"meta": {"security": [{"system": CONFIDENTIALITY, "code": label}]}} if label else {}


def _answer(source: str, held: list[Resource]) -> Answer:
    return Answer(source, Outcome.ANSWERED, [_examined(source, body) for body in held])


def _examined(source: str, body: Resource) -> Item:
    item = an_item(source, deepcopy(body))
    item.findings, _ = examine(item.resource)
    return item


@dataclass
class Sources:
    """Connectors for every source of a stack: a test says what they answer, and lets them go one by one."""

    says: dict[str, Answer | SourceError] = field(default_factory=dict)
    go: dict[str, asyncio.Event] = field(default_factory=dict)
    asked: int = 0

    def connector(self, source: str) -> _Says:
        return _Says(source, self)

    def set(self, drawn: World, *, held: bool) -> None:
        self.says = drawn.says
        self.go = {source: asyncio.Event() for source in drawn.says} if held else {}

    def let_go(self, source: str) -> None:
        self.go[source].set()


@dataclass
class _Says:
    source: str
    world: Sources

    async def ask(self, ask: Ask) -> Answer:
        self.world.asked += 1
        if gate := self.world.go.get(self.source):
            await gate.wait()
        said = self.world.says.get(self.source, NoRecord("nobody"))
        if isinstance(said, SourceError):
            raise said
        return _asked_of(said, ask)

    async def aclose(self) -> None:
        """Nothing to close."""


def _asked_of(said: Answer, ask: Ask) -> Answer:
    """As a source answers: no section that wasn't asked for; every resource anew."""
    wanted: Callable[[Item], bool] = lambda item: item.section is None or item.section in ask.sections  # noqa: E731
    items = [_examined(item.source, item.resource) for item in said.items if wanted(item)]
    gaps = {section: gap for section, gap in said.gaps.items() if section in ask.sections}
    return Answer(said.source, Outcome.PARTIAL if gaps else said.outcome, items, gaps)
