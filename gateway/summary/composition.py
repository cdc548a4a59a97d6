"""The Composition: section by section what there is, in words and as references, and what is missing and why.

Nobody has curated it: it's what the organisations hold now, as far as this caller may see it, and it says so. What is
left out of a summary is a clinical judgement, and a gateway makes none: every entry of a section is in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final
from uuid import UUID

from connectors.sdk.model import NHS_NUMBER_SYSTEM, Item, Resource, Section
from gateway.same_as import Group
from gateway.shown import Shown
from gateway.summary.absence import Standing, Why, standing_of, statements_of_none
from gateway.summary.limits import limits_of
from gateway.summary.narrative import narrative
from gateway.summary.sections import LOINC, PARTS, PROFILE, SUMMARY, Part, divided
from gateway.summary.words import Row, row_of

TITLE: Final = "International Patient Summary"
_URI: Final = "urn:ietf:rfc:3986"
_NAMED: Final = ("family", "given", "text")
_NOTHING: Final = "Nothing recorded at those asked. This does not mean that there is none."
_NONE_KNOWN: Final = "None known, among what may be shown to you: a source states so, and none is missing."
_OPENING: Final = {
    Why.NONE_KNOWN: _NONE_KNOWN,
    Why.NOTHING_RECORDED: _NOTHING,
    Why.UNAVAILABLE: "Could not be read. This does not mean that there is none.",
    Why.WITHHELD: "Withheld, in whole or in part. This does not mean that there is none.",
    Why.NOT_ASKED: "Not everybody who may hold it was asked. This does not mean that there is none.",
}


@dataclass(frozen=True, slots=True)
class Made:
    """The Composition, and every item that it leads to, in the order in which the document has them."""

    composition: Resource
    items: list[Item]


@dataclass(frozen=True, slots=True)
class Beside:
    """What the gateway wrote besides, by the names that it has in the document: the outcome, the same-as groups.

    `said`: the outcome's sentences. `allergies`: the mandated state in words, "" where allergies weren't asked for.
    """

    outcome: str
    said: Sequence[str]
    linkages: Sequence[tuple[Group, str]] = ()
    allergies: str = ""


@dataclass(frozen=True, slots=True)
class Summary:
    """One document about one patient. `base` is the FHIR address that entries' full URLs begin with."""

    shown: Shown
    base: str
    moment: str
    id: UUID
    beside: Beside
    names: Mapping[str, str] = field(init=False)
    resources: Mapping[str, Item] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", {line.source: line.name for line in self.shown.manifest.lines})
        object.__setattr__(self, "resources", {f"{item.type}/{item.sealed_id}": item for item in self.shown.items})

    def made(self) -> Made:
        """The Composition with all its sections."""
        patient = self.resources.get(f"Patient/{self.shown.look.nhs_number}")
        by_code = divided(self.shown.items)
        sections, stated = [], list[Item]()
        for part in PARTS:
            beside = [one.title for one in PARTS if one.section is part.section is not None and one is not part]
            recorded = [title for title in beside if by_code[_CODES[title]]]
            section, none = self._section(part, by_code[part.code], recorded)
            if section is not None:
                sections.append(section)
            stated += none
        sections += self._others(stated)
        entries = [item for part in PARTS for item in by_code[part.code]]
        items = [*([_alone(patient)] if patient else []), *entries]
        return Made(self._cover(patient, sections), items)

    def _cover(self, patient: Item | None, sections: list[dict[str, Any]]) -> Resource:
        return {
            "resourceType": "Composition",
            "id": str(self.id),
            **({"meta": {"profile": [PROFILE]}} if patient and _is_ips(patient.resource) else {}),
            "language": "en-GB",
            "text": narrative(self._facts()),
            "identifier": {"system": _URI, "value": f"urn:uuid:{self.id}"},
            "status": "final",
            "type": {"coding": [{"system": LOINC, "code": SUMMARY[0], "display": SUMMARY[1]}]},
            "subject": self._subject(patient),
            "date": self.moment,
            "author": [{"type": "Device", "identifier": {"system": _URI, "value": self.base}, "display": _AUTHOR}],
            "title": TITLE,
            "section": sections,
        }

    def _subject(self, patient: Item | None) -> dict[str, Any]:
        number = self.shown.look.nhs_number
        subject: dict[str, Any] = {"identifier": {"system": NHS_NUMBER_SYSTEM, "value": number}}
        return {"reference": f"{self.base}Patient/{number}", **subject} if patient else subject

    def _facts(self) -> list[str]:
        caller = self.shown.caller
        return [
            f"Put together automatically by Connect Care on {self.moment} for {caller.name}, "
            f"{caller.organisation_name}. Nobody has curated it.",
            f"From: {', '.join(self.names.values()) or 'no organisation'}. What each of them said is at the end.",
            *self._who(),
        ]

    def _who(self) -> list[str]:
        """IPS has one Patient. So that nobody takes it for everybody's word, it's said whose it is."""
        patients = [item for item in self.shown.items if item.section is Section.DEMOGRAPHICS]
        if len(patients) < 2:
            return []
        held_by = next((item.source for item in patients if item.sealed_id == self.shown.look.nhs_number), "")
        told = (
            f"Who the patient is, and where they live, is as {self.names.get(held_by, 'one organisation')} records it. "
            "What others record of that is no part of a summary: the whole record ($everything) has it."
        )
        differing = self._differing()
        return [told, f"The patient's details differ. {' '.join(differing)}"] if differing else [told]

    def _differing(self) -> list[str]:
        return [
            f"{each.element}: {'; '.join(f'{name} has “{value}”' for name, value in each.values)}."
            for each in self.shown.manifest.differences
        ]

    def _section(
        self, part: Part, items: list[Item], beside: Sequence[str]
    ) -> tuple[dict[str, Any] | None, list[Item]]:
        """The section, and the items that state that there is none, which it leaves to a section of their own. `beside`
        are the titles under which more of the same section of the record stands."""
        if part.optional and not items:
            return None, []
        manifest = self.shown.manifest
        limits = limits_of(part.section, self.shown.caller, manifest.asked)
        stated = statements_of_none(part.section, items, manifest, limits) if part.section else []
        standing = standing_of(part.section, manifest, limits, stated=bool(stated))
        entries = [] if stated else items
        told = [*self._opening(part, standing, empty=not entries), *standing.sentences, *self._conflicts(entries)]
        told += [f"More is under: {', '.join(beside)}."] if beside else []
        section: dict[str, Any] = {
            "title": part.title,
            "code": part.as_code(),
            "text": narrative(told, self._rows(entries)),
        }
        section |= {"entry": self._references(entries)} if entries else {"emptyReason": standing.as_reason()}
        return section, stated

    def _opening(self, part: Part, standing: Standing, *, empty: bool) -> list[str]:
        """The sentence that a reader must not miss. For allergies: the mandated words, whatever else is said."""
        if part.section is Section.ALLERGIES and self.beside.allergies:
            return [self.beside.allergies]
        return [_OPENING[standing.why]] if empty and part.section is not None else []

    def _rows(self, items: Iterable[Item]) -> list[Row]:
        return [row_of(item, self.names, self._resolve) for item in items]

    def _resolve(self, reference: str) -> Resource | None:
        item = self.resources.get(reference)
        return item.resource if item else None

    def _references(self, items: Iterable[Item]) -> list[dict[str, str]]:
        return [{"reference": f"{self.base}{item.type}/{item.sealed_id}"} for item in items]

    def _conflicts(self, items: Iterable[Item]) -> list[str]:
        here = {item.sealed_id for item in items}
        groups = (group for group in self.shown.groups if here & {member.sealed_id for member in group.members})
        return [self._conflict(group) for group in groups if group.conflicts]

    def _conflict(self, group: Group) -> str:
        sources = {f"{item.type}/{item.sealed_id}": self.names.get(item.source, item.source) for item in group.members}
        differing = []
        for each in group.conflicts:
            said = dict.fromkeys(f"{sources[who]} has “{value}”" for who, value in each.values.items())
            differing.append(f"{each.element}: {'; '.join(said)}")
        return f"{self._what(group)}: {group.reason}. What is recorded differs: {'. '.join(differing)}."

    def _what(self, group: Group) -> str:
        return row_of(group.members[0], self.names, self._resolve).what

    def _others(self, stated: list[Item]) -> Iterable[dict[str, Any]]:
        """What isn't clinical content of its own: statements of absence, groups, and what each organisation said."""
        if stated:
            told = "What organisations state where the sections above say that none is known."
            yield _section(
                "Statements that there is none", narrative([told], self._rows(stated)), self._references(stated)
            )
        if self.beside.linkages:
            told = "Grouped, and nothing dropped."
            links = [{"reference": name} for _, name in self.beside.linkages]
            groups = [f"{self._title(group)}: {group.reason}." for group, _ in self.beside.linkages]
            yield _section("The same thing from several organisations", narrative([told, *groups]), links)
        yield _section("What each organisation said", narrative(self.beside.said), [{"reference": self.beside.outcome}])

    def _title(self, group: Group) -> str:
        held = ", ".join(dict.fromkeys(self.names.get(item.source, item.source) for item in group.members))
        return f"{self._what(group)} ({held})"


_CODES: Final = {part.title: part.code for part in PARTS}
_AUTHOR: Final = "Connect Care, automatically, from what the organisations hold"


def _section(title: str, text: dict[str, Any], entries: list[dict[str, str]]) -> dict[str, Any]:
    return {"title": title, "text": text, "entry": entries}


def _alone(patient: Item) -> Item:
    """The Patient without the gateway's own links to the other sources' Patients, which aren't in the document."""
    resource = {name: value for name, value in patient.resource.items() if name != "link"}
    return replace(patient, resource=resource, findings=None)


def _is_ips(patient: Resource) -> bool:
    """What the IPS Composition demands of its subject (`Patient-uv-ips`): a birth date, and a name that says something.
    A source's Patient that lacks them isn't changed; the Composition then claims no profile."""
    names = patient.get("name")
    named = isinstance(names, list) and all(any(name.get(part) for part in _NAMED) for name in names if name)
    return bool(named and names and patient.get("birthDate"))
