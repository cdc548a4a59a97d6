"""Step 8: one record, nothing overwritten: ids sealed, references rewritten, a manifest that accounts for every source.

The same medicine at the GP and in hospital stays two items; `gateway.same_as` groups them and names what conflicts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from connectors.sdk.model import ODS_SYSTEM, Answer, Gap, Item, Outcome, Section
from connectors.sdk.organisations import Organisations, OrganisationType
from gateway.allergies import is_no_known_allergy
from gateway.audit.row import Alarm
from gateway.guard import Guarded
from gateway.manifest import ManifestLine
from gateway.sealed import Sealer

SOURCE_URI: Final = "https://directory.spineservices.nhs.uk/STU3/Organization/"
_HISTORY: Final = re.compile(r"/_history/[^/]+$")
_SECTION_ORDER: Final = {section: place for place, section in enumerate(Section)}
_DATES: Final = (
    "effectiveDateTime",
    "effectiveInstant",
    "effectivePeriod",
    "period",
    "start",
    "authoredOn",
    "occurrenceDateTime",
    "recordedDate",
    "onsetDateTime",
    "issued",
    "dateAsserted",
)


@dataclass(slots=True)
class Record:
    """All that the sources said about one patient, before policy. `index` finds an item by its sealed reference."""

    nhs_number: str
    items: list[Item]
    lines: tuple[ManifestLine, ...]
    asked: frozenset[Section]
    alarms: list[Alarm]
    index: dict[str, Item]
    registered_practice: str | None

    @property
    def patients(self) -> list[Item]:
        """The Patient resources, the one that carries the record first."""
        return [item for item in self.items if item.section is Section.DEMOGRAPHICS]


class Merger:
    """Seals and joins. It holds no state of any patient."""

    def __init__(self, sealer: Sealer, organisations: Organisations) -> None:
        self._sealer = sealer
        self._organisations = organisations

    def merge(self, guarded: Guarded, nhs_number: str, asked: frozenset[Section]) -> Record:
        """Raises nothing: what can't be used was taken out by the guard."""
        items = [item for answer in guarded.answers for item in self._of_source(answer, nhs_number)]
        lines = tuple(self._line(answer, asked) for answer in guarded.answers)
        if any(Section.ALLERGIES in line.gaps for line in lines):
            # "No known allergies" never survives a missing allergy source (ARCHITECTURE: completeness is data).
            items = [item for item in items if not (item.section is Section.ALLERGIES and is_no_known_allergy(item))]
        practice = registered_practice(items)
        _name_the_patient(items, nhs_number, practice)
        index = {f"{item.type}/{item.sealed_id}": item for item in items}
        return Record(nhs_number, sorted(items, key=_order), lines, asked, guarded.alarms, index, practice)

    def _of_source(self, answer: Answer, nhs_number: str) -> list[Item]:
        organisation = self._organisations.get(answer.source)
        address = (organisation.address or "").rstrip("/") if organisation else ""
        name = organisation.name if organisation else answer.source
        items = list(_newest_of_each(answer.items).values())
        own: dict[str, str] = {}
        for item in items:
            item.sealed_id = self._sealer.seal_id(nhs_number, item.source, item.type, item.original_id)
            sealed = (
                f"Patient/{nhs_number}" if item.section is Section.DEMOGRAPHICS else f"{item.type}/{item.sealed_id}"
            )
            own[item.key] = own[f"{address}/{item.key}"] = sealed
            if item.full_url:
                own[item.full_url] = sealed
        for item in items:
            _rewrite(item, own)
            _stamp(item, name)
        return items

    def _line(self, answer: Answer, asked: frozenset[Section]) -> ManifestLine:
        organisation = self._organisations.get(answer.source)
        gaps = {section: gap for section, gap in answer.gaps.items() if section in asked}
        return ManifestLine(
            source=answer.source,
            name=organisation.name if organisation else answer.source,
            outcome=_outcome(answer, gaps, asked),
            gaps=gaps,
            warnings=tuple(w for w in answer.warnings if w.section is None or w.section in asked),
            told=answer.told,
        )


def _outcome(answer: Answer, gaps: dict[Section, Gap], asked: frozenset[Section]) -> Outcome:
    """Partial only where the gap is in a section that this look is about."""
    if answer.outcome is Outcome.PARTIAL and not gaps:
        return Outcome.ANSWERED
    return answer.outcome


def _newest_of_each(items: Iterable[Item]) -> dict[str, Item]:
    """The same resource may come by two searches. Where its versions differ, the newest is the source's word."""
    newest: dict[str, Item] = {}
    for item in items:
        other = newest.get(item.key)
        if other is None or _last_updated(item) > _last_updated(other):
            newest[item.key] = item
    return newest


def _last_updated(item: Item) -> str:
    return str(item.resource.get("meta", {}).get("lastUpdated", ""))


def _rewrite(item: Item, own: dict[str, str]) -> None:
    """Point references at sealed ids. What points elsewhere is left for the policy filter, which removes it."""
    for reference in item.findings.references if item.findings else ():
        target = reference["reference"]
        if not target.startswith("#"):
            sealed = own.get(target) or own.get(_HISTORY.sub("", target))
            if sealed is not None:
                reference["reference"] = sealed


def _stamp(item: Item, name: str) -> None:
    """The sealed id, and where it comes from. The source's version id and own source address stay behind."""
    resource = item.resource
    resource["id"] = item.sealed_id
    meta: dict[str, Any] = resource.setdefault("meta", {})
    meta.pop("versionId", None)
    meta["source"] = SOURCE_URI + item.source
    tags = [tag for tag in meta.get("tag", ()) if tag.get("system") != ODS_SYSTEM]
    meta["tag"] = [{"system": ODS_SYSTEM, "code": item.source, "display": name}, *tags]


def registered_practice(items: Iterable[Item]) -> str | None:
    """The ODS code of the practice where the patient is registered, if the sources that name one agree."""
    named = {
        str(practitioner["identifier"]["value"])
        for item in items
        if item.section is Section.DEMOGRAPHICS
        for practitioner in item.resource.get("generalPractitioner", ())
        if practitioner.get("identifier", {}).get("system") == ODS_SYSTEM and "value" in practitioner["identifier"]
    }
    return named.pop() if len(named) == 1 else None


def _name_the_patient(items: list[Item], nhs_number: str, practice: str | None) -> None:
    """One Patient carries the NHS number as its id: the registered practice's, else the first by ODS code.

    The other sources' Patients keep sealed ids and refer to it, so that two addresses are seen as two.
    """
    patients = sorted(
        (item for item in items if item.section is Section.DEMOGRAPHICS),
        key=lambda item: (item.source != practice, item.source, item.sealed_id),
    )
    for place, patient in enumerate(patients):
        patient.resource.pop("link", None)
        if place == 0:
            patient.sealed_id = patient.resource["id"] = nhs_number
        else:
            patient.resource["link"] = [{"other": {"reference": f"Patient/{nhs_number}"}, "type": "refer"}]
    if len(patients) > 1:
        patients[0].resource["link"] = [
            {"other": {"reference": f"Patient/{other.sealed_id}"}, "type": "seealso"} for other in patients[1:]
        ]


def _order(item: Item) -> tuple[int, str, int, tuple[int, ...], str, str]:
    """Section, type, newest first, source, id: the same answers give the same order whoever came first."""
    place = len(_SECTION_ORDER) if item.section is None else _SECTION_ORDER[item.section]
    is_other_patient = int(item.section is Section.DEMOGRAPHICS and "." in item.sealed_id)
    newest_first = tuple(-ord(character) for character in clinical_date(item))
    return place, item.type, is_other_patient, newest_first or (1,), item.source, item.sealed_id


def clinical_date(item: Item) -> str:
    """The date by which a reader orders this item, as the source wrote it; empty where it has none."""
    for name in _DATES:
        value = item.resource.get(name)
        if isinstance(value, dict):
            value = value.get("start") or value.get("end")
        if isinstance(value, str):
            return value
    return ""


def source_types(organisations: Organisations) -> dict[str, OrganisationType]:
    """The type of each organisation, by ODS code."""
    return {organisation.ods: organisation.type for organisation in organisations}
