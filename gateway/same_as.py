"""Same-as groups: what several organisations recorded of one thing, side by side, with the reason and the conflict.

Nothing is merged or dropped for being similar. Groups are made of what policy lets this caller see and of nothing else,
so that neither a group nor a conflict can tell of a hidden item or of an element that an outline left out.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from connectors.sdk.model import ODS_SYSTEM, Item, Section
from gateway.allergies import contradicts, is_no_known_allergy, stands
from gateway.compared import OF_ENTRIES, OF_PATIENTS, UNREADABLE, Read, folded

_SNOMED: Final = frozenset({"http://snomed.info/sct", "https://dmd.nhs.uk"})
"""dm+d identifiers are SNOMED CT identifiers: the same code in either system is the same medicine. Other systems don't
group: their codes may mean another thing elsewhere, or nothing (`unknown` for every medicine)."""

_CODE_ELEMENT: Final = {
    "MedicationStatement": "medicationCodeableConcept",
    "MedicationRequest": "medicationCodeableConcept",
    "AllergyIntolerance": "code",
    "Condition": "code",
    "Immunization": "vaccineCode",
}
_WHOLE_DATE: Final = len("2024-05-17")
Key = tuple[str, ...]
Resolve = Callable[[dict[str, Any]], Item | None]


@dataclass(frozen=True, slots=True)
class Conflict:
    """An element in which the members differ, with each member's own value as text."""

    element: str
    values: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Group:
    """Items of at least two sources that record the same thing, or things that can't both be true."""

    section: Section
    reason: str
    members: tuple[Item, ...]
    conflicts: tuple[Conflict, ...]

    @property
    def id(self) -> str:
        """Stable for the same members."""
        together = "|".join(item.sealed_id for item in self.members)
        return hashlib.sha256(together.encode()).hexdigest()[:32]


def same_as(items: Iterable[Item], resolve: Resolve) -> list[Group]:
    """The groups among items that are shown, in the order of their first members. `resolve` finds the item that a
    Reference means."""
    shown = list(items)
    by_key: dict[tuple[Section, Key], list[Item]] = defaultdict(list)
    told = told_by_statements(shown)
    for item in shown:
        if _reference(item) in told:
            continue
        for key in sorted(_keys(item, resolve)):
            if item.section is not None:
                by_key[item.section, key].append(item)
    groups: dict[tuple[str, ...], Group] = {}
    for (section, key), members in by_key.items():
        if _from_several(members):
            identity = tuple(member.sealed_id for member in members)
            conflicts = _conflicts(members, OF_ENTRIES)
            groups.setdefault(identity, Group(section, _reason(key), tuple(members), conflicts))
    return [*_differing_patients(shown), *groups.values(), *_contradicted_allergies(shown)]


def told_by_statements(items: Iterable[Item]) -> dict[str, str]:
    """By reference, the MedicationRequests that a MedicationStatement rests on (its plan, and each issue of that plan),
    each with the reference of its statement.

    One medicine is one MedicationStatement (GP Connect sends it with its plan and every issue). Compared on their own,
    a finished issue of a current medicine would look like a conflict with another organisation. A statement that says
    that it rests on a statement, be it itself, stays one: it would be shown nowhere.
    """
    medicines = [item for item in items if item.section is Section.MEDICINES]
    statements = [item for item in medicines if item.type == "MedicationStatement"]
    requests = {_reference(item): item for item in medicines if item.type == "MedicationRequest"}
    plans = {plan: _reference(item) for item in statements for plan in _based_on(item) & requests.keys()}
    issues = {reference: plans[plan] for reference, item in requests.items() for plan in _based_on(item) & plans.keys()}
    return issues | plans


def _based_on(item: Item) -> set[str]:
    try:
        return {str(reference.get("reference")) for reference in item.resource.get("basedOn", ())}
    except UNREADABLE:
        return set()


def _keys(item: Item, resolve: Resolve) -> set[Key]:
    """What the item may share with others; nothing where it can't be read: it's shown, in no group."""
    try:
        return _shared(item, resolve)
    except UNREADABLE:
        return set()


def _shared(item: Item, resolve: Resolve) -> set[Key]:
    element = _CODE_ELEMENT.get(item.type)
    if element is None or (item.section is Section.ALLERGIES and is_no_known_allergy(item)):
        return set()
    when: Key = ()
    if item.type == "Immunization":
        day = str(item.resource.get("occurrenceDateTime", ""))[:_WHOLE_DATE]
        if len(day) < _WHOLE_DATE:
            return set()  # two doses of one vaccine are only the same dose if they were given on the same day
        when = (day,)
    concept = item.resource.get(element) or _medicine(item.resource, resolve)
    return {
        (coding["code"], *when)
        for coding in (concept or {}).get("coding", ())
        if coding.get("system") in _SNOMED and isinstance(coding.get("code"), str)
    }


def _medicine(resource: dict[str, Any], resolve: Resolve) -> dict[str, Any] | None:
    """The code of the Medication that is referred to, contained or not."""
    reference = resource.get("medicationReference", {})
    target = str(reference.get("reference", ""))
    if target.startswith("#"):
        contained = (part for part in resource.get("contained", ()) if part.get("id") == target[1:])
        medication = next(contained, None)
    else:
        item = resolve(reference) if target else None
        medication = item.resource if item else None
    return medication.get("code") if medication else None


def _from_several(members: Iterable[Item]) -> bool:
    return len({member.source for member in members}) > 1


def _reason(key: Key) -> str:
    return f"The same code in each: SNOMED CT or dm+d {key[0]}" + (f", given on {key[1]}" if len(key) > 1 else "")


def _conflicts(members: Sequence[Item], compared: Mapping[str, Read]) -> tuple[Conflict, ...]:
    """Where sources differ. What one source alone says in several ways (a finished issue of a current medicine) is its
    own history, and what a source doesn't say contradicts nobody."""
    found = []
    for element, read in compared.items():
        values = {_reference(item): value for item in members if (value := _said(read, item))}
        by_source: dict[str, set[str]] = defaultdict(set)
        for item in members:
            if _reference(item) in values:
                by_source[item.source].add(folded(values[_reference(item)]))
        if any(said != other for said in by_source.values() for other in by_source.values()):
            found.append(Conflict(element, values))
    return tuple(found)


def _said(read: Read, item: Item) -> str:
    """What an item says of an element. What can't be compared is no conflict, and must not cost anyone the record."""
    try:
        return read(item.resource)
    except UNREADABLE:
        return ""


def _reference(item: Item) -> str:
    return f"{item.type}/{item.sealed_id}"


def _differing_patients(items: Iterable[Item]) -> list[Group]:
    """The sources' Patients, where they differ in what tells one person from another: the number may be on the wrong
    person's record at one of them. (GP Connect wants family name, given name, gender and birth date compared.)"""
    patients = [item for item in items if item.section is Section.DEMOGRAPHICS]
    conflicts = _conflicts(patients, OF_PATIENTS)
    if not conflicts:
        return []
    return [Group(Section.DEMOGRAPHICS, "The same NHS number in each", tuple(patients), conflicts)]


def _contradicted_allergies(items: Iterable[Item]) -> list[Group]:
    """ "No known allergies" in one place and an allergy in another: the statement can't be relied on."""
    allergies = [item for item in items if item.section is Section.ALLERGIES and stands(item)]
    none_known = [item for item in allergies if is_no_known_allergy(item)]
    recorded = [item for item in allergies if not is_no_known_allergy(item)]
    denied = [item for item in recorded if any(contradicts(statement, item) for statement in none_known)]
    if not denied:
        return []
    relevant = [item for item in none_known if any(contradicts(item, allergy) for allergy in denied)]
    values = {_reference(item): "no known allergy" for item in relevant}
    values |= {_reference(item): "an allergy is recorded" for item in denied}
    members = tuple(item for item in allergies if _reference(item) in values)
    where = (
        "One organisation records no known allergy, another records an allergy"
        if _from_several(members)
        else "One organisation records both no known allergy and an allergy"
    )
    return [Group(Section.ALLERGIES, where, members, (Conflict("code", values),))]


_EXTENSION: Final = "https://connect-care.example/fhir/StructureDefinition/same-as-"


def as_linkage(group: Group) -> dict[str, Any]:
    """The group as a FHIR Linkage, so that any client can read it. Reason and conflicts are extensions."""
    conflicts = [
        {
            "url": f"{_EXTENSION}conflict",
            "extension": [
                {"url": "element", "valueString": conflict.element},
                *(
                    {"url": "value", "extension": _conflicting(reference, value)}
                    for reference, value in conflict.values.items()
                ),
            ],
        }
        for conflict in group.conflicts
    ]
    return {
        "resourceType": "Linkage",
        "id": group.id,
        "meta": {"tag": _tags(group.members)},
        "extension": [{"url": f"{_EXTENSION}reason", "valueString": group.reason}, *conflicts],
        "active": True,
        "item": [{"type": "alternate", "resource": {"reference": _reference(item)}} for item in group.members],
    }


def _conflicting(reference: str, value: str) -> list[dict[str, Any]]:
    return [
        {"url": "item", "valueReference": {"reference": reference}},
        {"url": "text", "valueString": value},
    ]


def _tags(members: Iterable[Item]) -> list[dict[str, Any]]:
    by_source = {item.source: _tag(item) for item in members}
    return [by_source[source] for source in sorted(by_source)]


def _tag(item: Item) -> dict[str, Any]:
    """Where the item comes from, as it says itself."""
    tags = item.resource.get("meta", {}).get("tag", ())
    own = (tag for tag in tags if tag.get("system") == ODS_SYSTEM)
    return next(own, {"system": ODS_SYSTEM, "code": item.source})
