"""Why a section is empty, and what a section that isn't empty may lack.

Five things that must never be taken for each other: a source states that there is none; those asked record nothing;
nobody was asked; it could not be read; it is withheld. It all comes from the manifest, which knows what each source was
asked and said, and what this caller's role and permission never show. Nothing here knows what the policy hid: an item
that is hidden and one that doesn't exist leave the same words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from connectors.sdk.model import Gap, Item, Outcome, Resource, Section
from gateway.allergies import is_no_known_allergy
from gateway.compared import UNREADABLE
from gateway.manifest import AllergyState, Manifest, ManifestLine

EMPTY_REASON: Final = "http://terminology.hl7.org/CodeSystem/list-empty-reason"
OWN_REASON: Final = "https://connect-care.example/fhir/CodeSystem/section-empty"
_SNOMED: Final = "http://snomed.info/sct"
_IPS: Final = "http://hl7.org/fhir/uv/ips/CodeSystem/absent-unknown-uv-ips"
_STATES_NONE: Final = {
    Section.PROBLEMS: frozenset({(_SNOMED, "160245001"), (_IPS, "no-known-problems")}),
    Section.MEDICINES: frozenset({(_SNOMED, "787481004"), (_IPS, "no-known-medications")}),
    Section.IMMUNISATIONS: frozenset({(_SNOMED, "787482006"), (_IPS, "no-known-immunizations")}),
}
"""Codes with which a source states that there is none (IPS, absence of information mappings). For allergies
`gateway.allergies` knows more, and decides."""
_VOID: Final = frozenset({"refuted", "entered-in-error", "inactive", "resolved", "remission", "stopped", "not-taken"})
_CODED: Final = ("code", "medicationCodeableConcept", "vaccineCode")


class Why(StrEnum):
    """Why a section is empty. All but the last are R4's own codes; R4 has none for "they were asked, and hold
    nothing", and its nearest, `unavailable`, is what must not be confused with it."""

    NONE_KNOWN = "nilknown"
    WITHHELD = "withheld"
    UNAVAILABLE = "unavailable"
    NOT_ASKED = "notasked"
    NOTHING_RECORDED = "nothing-recorded"


_SAYS: Final = {
    Why.NONE_KNOWN: "None known",
    Why.WITHHELD: "Withheld",
    Why.UNAVAILABLE: "Could not be read",
    Why.NOT_ASKED: "Not asked",
    Why.NOTHING_RECORDED: "Nothing recorded at those asked",
}


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of one section but its entries. `why` is the reason where there is no entry."""

    why: Why
    sentences: tuple[str, ...]

    def as_reason(self) -> dict[str, Any]:
        """`Composition.section.emptyReason`."""
        system = OWN_REASON if self.why is Why.NOTHING_RECORDED else EMPTY_REASON
        return {
            "coding": [{"system": system, "code": self.why.value, "display": _SAYS[self.why]}],
            "text": _SAYS[self.why],
        }


@dataclass(frozen=True, slots=True)
class Limits:
    """What this caller never sees of a section, whoever the patient. `told` says who is limited: the role, or the
    application's token. `partly`: the token lets a part of the section be read."""

    told: str = ""
    partly: str = ""


def statements_of_none(section: Section, items: Sequence[Item], manifest: Manifest, limits: Limits) -> list[Item]:
    """The items by which sources state that there is none, where nothing stands against that; else none of them.

    An entry that says "none" is easily taken for one that says "some". So where the statement holds it's the reason for
    which the section is empty, and the items that state it stand beside it.
    """
    stated = [item for item in items if _states_none(section, item)]
    lacks = any(line.lacks(section) for line in manifest.lines)
    if not stated or len(stated) < len(items) or lacks or limits.told or limits.partly:
        return []
    if section is Section.ALLERGIES and manifest.allergies is not AllergyState.NONE_KNOWN:
        return []
    return stated


def _states_none(section: Section, item: Item) -> bool:
    """What can't be read states nothing."""
    try:
        return is_no_known_allergy(item) if section is Section.ALLERGIES else _is_coded_none(section, item)
    except UNREADABLE:
        return False


def _is_taken_back(resource: Resource) -> bool:
    """A statement that was wrong, is over, or says the opposite states nothing."""
    statuses = (resource.get(name, {}) for name in ("verificationStatus", "clinicalStatus"))
    said = {coding.get("code") for status in statuses for coding in status.get("coding", ())}
    void = resource.get("status") in _VOID or resource.get("doNotPerform") is True
    return void or bool(said & _VOID)


def _is_coded_none(section: Section, item: Item) -> bool:
    if _is_taken_back(item.resource):
        return False
    codes = _STATES_NONE.get(section, frozenset())
    concepts = [item.resource[name] for name in _CODED if name in item.resource]
    codings = [coding for concept in concepts for coding in concept.get("coding", ())]
    found = {(coding.get("system"), coding.get("code")) for coding in codings}
    return bool(found) and found <= codes


def standing_of(section: Section | None, manifest: Manifest, limits: Limits, *, stated: bool) -> Standing:
    """`stated`: sources state that there is none, and nothing stands against it (`statements_of_none`)."""
    if section is None:
        return Standing(Why.NOT_ASKED, ("Not asked: Connect Care asks no organisation for this.",))
    if section not in manifest.asked:
        return Standing(Why.WITHHELD, (f"Withheld: {limits.told}",))
    sources = _Sources(section, manifest)
    sentences = tuple(sources.sentences(stated=stated, limits=limits))
    return Standing(Why.NONE_KNOWN if stated else sources.why(limits), sentences)


class _Sources:
    """What each source did about one section."""

    def __init__(self, section: Section, manifest: Manifest) -> None:
        self._section = section
        self._allergies = manifest.allergies if section is Section.ALLERGIES else None
        self._limited = manifest.allergies_limited or section is not Section.ALLERGIES
        lines = manifest.lines
        asked = [line for line in lines if section in manifest.asked_of.get(line.source, frozenset())]
        self.withheld = [line for line in lines if self._is_withheld(line)]
        self.not_asked = [line for line in lines if line.gaps.get(section) is Gap.NOT_ASKED]
        self.unread = [line for line in lines if section in line.gaps and line not in self.withheld + self.not_asked]
        self.whole = [line for line in asked if not line.lacks(section)]

    def _is_withheld(self, line: ManifestLine) -> bool:
        """By the source's own word: it refuses just this, or says that what it sent is not all it holds."""
        gap = line.gaps.get(self._section)
        return gap is Gap.WITHHELD_BY_SOURCE or (line.lacks(self._section) and gap is None)

    def why(self, limits: Limits) -> Why:
        """Where several hold, the one that a reader can do most about. Nothing recorded is the last: it's only true
        where everybody who may hold something was asked and answered."""
        if self.unread:
            return Why.UNAVAILABLE
        if self.withheld or limits.partly:
            return Why.WITHHELD
        return Why.NOTHING_RECORDED if self.whole and not self.not_asked else Why.NOT_ASKED

    def sentences(self, *, stated: bool, limits: Limits) -> Iterable[str]:
        """Who answered, and for each kind of gap who left it."""
        if self.unread:
            yield f"Could not be read: {_names(self.unread)}. There may be more."
        if self.withheld:
            yield f"Withheld by {_names(self.withheld)}.{_own_words(self.withheld, self._section)}"
        if self.not_asked:
            yield f"Not asked: {_names(self.not_asked)}. There may be more; why is said at the end."
        if limits.partly:
            yield f"Withheld: {limits.partly}"
        if self.whole:
            yield f"{'Stated or asked' if stated else 'Asked, and answered whole'}: {_names(self.whole, _no_record)}."
        elif not (self.unread or self.withheld or self.not_asked):
            yield "Not asked: no organisation that takes part for this patient holds such records."
        if self._limited and self.whole:
            yield "This is among what may be shown to you; what is never shown to you is said at the end."


def _names(lines: Iterable[ManifestLine], more: Callable[[ManifestLine], str] = lambda line: "") -> str:
    return ", ".join((line.speaks_for or line.name) + more(line) for line in lines)


def _no_record(line: ManifestLine) -> str:
    return " (has no record of this patient)" if line.outcome is Outcome.NO_RECORD else ""


def _own_words(lines: Iterable[ManifestLine], section: Section) -> str:
    said = (
        f" {line.name} states: “{warning.text.rstrip('.')}.”"
        for line in lines
        for warning in line.warnings
        if warning.text and warning.section in (None, section)
    )
    return "".join(said)
