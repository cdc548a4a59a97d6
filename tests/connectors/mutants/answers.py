"""Mutants that say something else than what they were told: of whose it is, of what is missing, of where it is from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from connectors.sdk.bundle import Page
from connectors.sdk.errors import NoRecord
from connectors.sdk.model import NHS_NUMBER_SYSTEM, SECTION_OF_TYPE, Answer, Ask, Gap, Item, Outcome, Resource, Section
from tests.connectors.mutants.reference import KINDS, Look, Part, Reference


class K01(Reference):
    """Loses whose contact it is."""

    def item(self, resource: Resource) -> Item:
        if resource["resourceType"] == "Encounter":
            resource = {name: value for name, value in resource.items() if name != "subject"}
        return super().item(resource)


class K02(Reference):
    """Takes nothing recorded for something missing."""

    async def section(self, look: Look, patient: Resource, section: Section) -> Part:
        part = await super().section(look, patient, section)
        return part if part.resources or part.gap else Part(gap=Gap.FAILED)


class K03(Reference):
    """Answers for somebody whom the source doesn't know, with nothing."""

    async def ask(self, ask: Ask) -> Answer:
        try:
            return await super().ask(ask)
        except NoRecord:
            return Answer(self.source, Outcome.ANSWERED)


class K04(Reference):
    """Writes the number that was asked for onto whoever came."""

    async def person(self, look: Look) -> Resource:
        patient = await super().person(look)
        return {**patient, "identifier": [{"system": NHS_NUMBER_SYSTEM, "value": look.ask.nhs_number}]}


class K04SearchesOn(Reference):
    """Searches on with the id of whoever came."""

    def carries(self, patient: Resource, nhs_number: str) -> bool:
        return True


class K05(Reference):
    """Leaves out what is somebody else's, and says nothing."""

    async def section(self, look: Look, patient: Resource, section: Section) -> Part:
        part = await super().section(look, patient, section)
        part.resources = [one for one in part.resources if f"Patient/{patient['id']}" in str(one)]
        return part


class K05Adopts(Reference):
    """Makes everything that comes the patient's."""

    async def section(self, look: Look, patient: Resource, section: Section) -> Part:
        part = await super().section(look, patient, section)
        about = {"reference": f"Patient/{patient['id']}"}
        for one in part.resources:
            one["patient" if "patient" in one else "subject"] = about
        return part


class K06(Reference):
    """Takes the section from the search instead of from what came."""

    def belongs(self, resource: Resource, ask: Ask, section: Section) -> bool:
        return True

    async def section(self, look: Look, patient: Resource, section: Section) -> Part:
        part = await super().section(look, patient, section)
        for one in part.resources:
            one["_section"] = section
        return part

    def item(self, resource: Resource) -> Item:
        section = resource.pop("_section", SECTION_OF_TYPE.get(resource["resourceType"]))
        return Item(self.source, resource, section, str(resource["id"]))


class K07(Reference):
    """Doesn't look at what the source says it was asked."""

    def check_self(self, page: Page) -> None:
        pass


class K32(Reference):
    """Makes up ids of its own."""

    def item(self, resource: Resource) -> Item:
        item = super().item(resource)
        return item if item.type == "Patient" else replace(item, original_id=f"{self.source}-{item.original_id}")


class K32OtherSource(Reference):
    """Says that its items are another organisation's."""

    def item(self, resource: Resource) -> Item:
        item = super().item(resource)
        return replace(item, source="RJ2") if item.type == "Observation" else item


class K33(Reference):
    """Bends a resource out of R4's shape."""

    def item(self, resource: Resource) -> Item:
        bent = {**resource, "class": [resource["class"]]} if "class" in resource else resource
        return super().item(bent)


class K33Misspells(Reference):
    """Writes an element that R4 doesn't know."""

    def item(self, resource: Resource) -> Item:
        return super().item({**resource, "statuss": "finished"} if "class" in resource else resource)


class K34(Reference):
    """Names gaps in sections that nobody asked for."""

    def answer(self, look: Look, patient: Resource, parts: Mapping[Section, Part]) -> Answer:
        answer = super().answer(look, patient, parts)
        if unasked := KINDS.keys() - look.ask.sections:
            answer.gaps |= dict.fromkeys(unasked, Gap.NOT_ASKED)
            answer.outcome = Outcome.PARTIAL
        return answer


class K35(Reference):
    """Asks for everything, and leaves out what wasn't wanted."""

    def asked(self, ask: Ask) -> set[Section]:
        return set(KINDS)

    def answer(self, look: Look, patient: Resource, parts: Mapping[Section, Part]) -> Answer:
        wanted = {section: part for section, part in parts.items() if section in look.ask.sections}
        return super().answer(look, patient, wanted)


class K36(Reference):
    """Takes one section that fails, among others that don't, for empty."""

    def answer(self, look: Look, patient: Resource, parts: Mapping[Section, Part]) -> Answer:
        failed = [section for section, part in parts.items() if part.gap is not None]
        if len(failed) == 1 < len(parts):
            parts = {**parts, failed[0]: Part()}
        return super().answer(look, patient, parts)


class K37(Reference):
    """Doesn't count what came."""

    def check_whole(self, part: Part, section: Section, total: int | None, held_back: int) -> None:
        super().check_whole(part, section, None, held_back)


class K38(Reference):
    """Forgets what had to be held back."""

    def check_whole(self, part: Part, section: Section, total: int | None, held_back: int) -> None:
        super().check_whole(part, section, None if held_back else total, 0)


class K39(Reference):
    """Brings twice what came twice."""

    def once(self, resources: list[Resource]) -> list[Resource]:
        return resources


class K40(Reference):
    """Shortens numbers."""

    def item(self, resource: Resource) -> Item:
        return super().item(_shortened(resource))


def _shortened(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _shortened(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_shortened(part) for part in value]
    return value.normalize() if isinstance(value, Decimal) else value


class K43(Reference):
    """Counts no call but the first."""

    def answer(self, look: Look, patient: Resource, parts: Mapping[Section, Part]) -> Answer:
        answer = super().answer(look, patient, parts)
        answer.calls = 1
        return answer


class K45(Reference):
    """Keeps the patient of the question that is under way in itself."""

    async def person(self, look: Look) -> Resource:
        self.patient = await super().person(look)
        return self.patient

    def answer(self, look: Look, patient: Resource, parts: Mapping[Section, Part]) -> Answer:
        return super().answer(look, self.patient, parts)
