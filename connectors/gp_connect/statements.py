"""What the practice says of its own answer: warnings on its Lists, why a List is empty, and Lists that aren't there.

GP Connect, "List warnings": a List that is empty and carries a warning was withheld whole; one that is empty with
`no-content-recorded` and no warning is complete. A section whose List didn't come is never taken for empty.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from connectors.gp_connect.stu3 import ListStatement
from connectors.sdk.model import Gap, Resource, Section, SourceWarning
from connectors.sdk.objects import objects

_NOTHING_RECORDED: Final = "no-content-recorded"
UNKNOWN_WARNING: Final = "unknown-warning"

_SAYS: Final[Mapping[str, str]] = {
    "confidential-items": "Items that the practice marks as confidential are left out of {section}",
    "data-in-transit": "The record is still on its way from the previous practice: {section} may be incomplete",
    "data-awaiting-filing": "Something has come to the practice and is not filed yet: it is missing from {section}",
    UNKNOWN_WARNING: "The practice warns that {section} may be incomplete",
}
_NAMED: Final[Mapping[Section, str]] = {
    Section.ALLERGIES: "allergies",
    Section.MEDICINES: "medicines",
    Section.CONTACTS: "contacts",
    Section.RESULTS: "results",
    Section.PROBLEMS: "problems",
    Section.IMMUNISATIONS: "immunisations",
}
_LISTS: Final[Mapping[Section, frozenset[str]]] = {
    Section.ALLERGIES: frozenset({"886921000000105", "1103671000000101"}),
    Section.MEDICINES: frozenset({"933361000000108"}),
    Section.CONTACTS: frozenset({"1149501000000101"}),
    Section.RESULTS: frozenset({"887191000000108"}),
    Section.PROBLEMS: frozenset({"717711000000103"}),
    Section.IMMUNISATIONS: frozenset({"1102181000000102"}),
}
"""SNOMED CT codes of the Lists that an answer about a section must have, if they are empty too."""

_UNCATEGORISED: Final = "826501000000100"
_BEFORE: Final = re.compile(r"recorded before ([0-9]{1,2}-[A-Z][a-z]{2}-[0-9]{4}) may be missing")
"""How systems write until when a record in transit is missing. Only the date is taken over, never the free text."""


def warnings(lists: Iterable[ListStatement], asked: frozenset[Section]) -> list[SourceWarning]:
    """One warning for each section that was asked for and each code, in our own words.

    A List of what came along with something else warns too: what it lacks is lacking from its kind's section. One that
    nobody knows may be about any of them.
    """
    found: dict[tuple[Section | None, str], str] = {}
    for said in lists:
        if said.section in asked or not said.known:
            for raw in said.warnings:
                code = raw if raw in _SAYS else UNKNOWN_WARNING
                found.setdefault((said.section, code), _text(said, code))
    order = [None, *Section]
    ordered = sorted(found.items(), key=lambda pair: (order.index(pair[0][0]), pair[0][1]))
    return [SourceWarning(section, code, text) for (section, code), text in ordered]


def gaps(
    said: Sequence[ListStatement], came: Came, sections: frozenset[Section], *, uncategorised: bool
) -> dict[Section, tuple[Gap, str]]:
    """The sections that can't be read as complete by what their Lists say, with the reason for the operator.

    `sections` are those that were asked for in the structured record.
    """
    found = {}
    for section in sorted(sections):
        needed = _LISTS[section] | ({_UNCATEGORISED} if uncategorised and section is Section.RESULTS else set())
        own = [one for one in said if one.is_section and one.section is section]
        if gap := _withheld(own) or _missing(own, needed, came):
            found[section] = gap
    return found


def _withheld(own: Sequence[ListStatement]) -> tuple[Gap, str] | None:
    # Ended allergies that are withheld leave the section's own List standing: the warning says so.
    if any(one.withheld_whole and not one.ended_allergies for one in own):
        return Gap.WITHHELD_BY_SOURCE, "a List is empty and carries a warning"
    if any(one.withheld_whole for one in own) and not any(one.entries for one in own):
        return Gap.WITHHELD_BY_SOURCE, "its Lists are empty and one carries a warning"
    return None


def _missing(own: Sequence[ListStatement], needed: frozenset[str], came: Came) -> tuple[Gap, str] | None:
    if not own or not needed <= came.lists:
        return Gap.HELD_BACK, "a List is not in the answer"
    if needed & came.short:
        return Gap.HELD_BACK, "a List names what is not in the answer"
    if any(one.entries == 0 and not one.warnings and one.empty_reason != _NOTHING_RECORDED for one in own):
        return Gap.HELD_BACK, "a List is empty and does not say that nothing is recorded"
    return None


@dataclass(frozen=True, slots=True)
class Came:
    """The codes of the Lists that came, and of those that name a resource which didn't come with them."""

    lists: frozenset[str]
    short: frozenset[str]


def came_of(resources: Sequence[Resource]) -> Came:
    """Read from the resources as sent: a List that can't be translated has been sent all the same."""
    keys = {f"{one.get('resourceType')}/{one.get('id')}" for one in resources}
    lists = [one for one in resources if one.get("resourceType") == "List"]
    short = (one for one in lists if any(key not in keys and not key.startswith("#") for key in _named(one)))
    return Came(_codes(lists), _codes(short))


def _codes(lists: Iterable[Resource]) -> frozenset[str]:
    found = (coding.get("code") for one in lists for coding in objects(_object(one.get("code")).get("coding")))
    return frozenset(code.strip() for code in found if isinstance(code, str))


def _named(resource: Resource) -> Iterator[str]:
    for entry in objects(resource.get("entry")):
        reference = _object(entry.get("item")).get("reference")
        if isinstance(reference, str):
            yield reference


def _object(value: Any) -> Resource:
    return value if isinstance(value, dict) else {}


def _text(said: ListStatement, code: str) -> str:
    section = _NAMED[said.section] if said.section else "the record"
    text = _SAYS[code].format(section=section)
    dates = [found[1] for note in said.notes if (found := _BEFORE.search(note))]
    return f"{text} (what was recorded before {dates[0]})" if code == "data-in-transit" and dates else text
