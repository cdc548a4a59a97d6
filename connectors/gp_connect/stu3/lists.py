"""GP Connect's Lists: not what is in them (that comes as itself), but what they say about it.

A List says what the source keeps back (warnings), why it is empty, and, for resolved allergies, holds them as
contained resources. What a warning means for the record is for the connector to say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from connectors.gp_connect.stu3 import naming
from connectors.gp_connect.stu3.model import ListStatement
from connectors.gp_connect.stu3.rules import an_object, objects
from connectors.sdk.model import Resource, Section

_WARNING: Final = "ListWarningCode"
_UNSPECIFIED: Final = "unspecified"
_ENDED_ALLERGIES: Final = "1103671000000101"
_ENDED_IN_WORDS: Final = re.compile(r"(?:ended|resolved) allerg(?:y|ies)\b.*")

READ: Final = frozenset({"resourceType", "id", "title", "code", "extension", "emptyReason", "note", "entry"})
"""The elements of a List that say something of the record. (Whose it is, when it was made and in which order it is
sorted say nothing that its entries don't say.)"""

SECTIONS: Final[Mapping[str, Section | None]] = {
    "886921000000105": Section.ALLERGIES,
    _ENDED_ALLERGIES: Section.ALLERGIES,
    "933361000000108": Section.MEDICINES,
    "1102181000000102": Section.IMMUNISATIONS,
    "1149501000000101": Section.CONTACTS,
    "717711000000103": Section.PROBLEMS,
    "887191000000108": Section.RESULTS,
    "826501000000100": Section.RESULTS,
    "792931000000107": None,
    "714311000000108": None,
}
"""The Lists that speak for a section, by SNOMED code. Uncategorised data are Observations; referrals and diary entries
(the last two) have no section."""

ARRANGEMENTS: Final = frozenset({"325851000000107", "25851000000105", "24781000000107"})
"""A consultation, a topic within it, a heading within that."""

_LINKED: Final = re.compile(
    r"(?:consultations|problems)-(.+?)-(?:contained-in|related-to|in|not-relating-to)-(?:consultations|problems|the-primary-query)"
)
_LINKED_SECTIONS: Final[Mapping[str, Section | None]] = {
    "allergies": Section.ALLERGIES,
    "medications": Section.MEDICINES,
    "immunisations": Section.IMMUNISATIONS,
    "consultations": Section.CONTACTS,
    "problems": Section.PROBLEMS,
    "linked-problems": Section.PROBLEMS,
    "investigations": Section.RESULTS,
    "uncategorised-data": Section.RESULTS,
    "outbound-referrals": None,
    "diary-entries": None,
    "documents": None,
}
"""The Lists of what came because a consultation or a problem refers to it (GP Connect, secondary list values)."""


def read(source: Resource) -> ListStatement:
    """What a tidied List says. Raises NotStu3 where it can't be read: a warning may be lost with it."""
    codes = list(_codes(an_object(source.get("code", {}), "code")))
    known, section = _section(codes)
    title = source.get("title")
    title = title if isinstance(title, str) else next(_displays(source), "")
    ended = _ENDED_ALLERGIES in codes or _ENDED_IN_WORDS.fullmatch(title.casefold()) is not None
    return ListStatement(
        section=Section.ALLERGIES if ended else section,
        warnings=tuple(dict.fromkeys(_warnings(source))),
        empty_reason=_empty_reason(source),
        title=title,
        entries=len(list(objects(source.get("entry", []), "entry"))),
        ended_allergies=ended,
        is_section=any(code in SECTIONS for code in codes),
        is_arrangement=any(code in ARRANGEMENTS for code in codes),
        known=known or ended,
        notes=tuple(text for note in _notes(source) if isinstance(text := note.get("text"), str)),
    )


def _notes(source: Resource) -> Iterator[Resource]:
    yield from objects(source.get("note", []), "note")


def _section(codes: list[str]) -> tuple[bool, Section | None]:
    """Whether one of the codes is known, and the section that it is about."""
    for code in codes:
        if code in SECTIONS:
            return True, SECTIONS[code]
        if code in ARRANGEMENTS:
            return True, Section.CONTACTS
        linked = _LINKED.fullmatch(code)
        if linked and linked[1] in _LINKED_SECTIONS:
            return True, _LINKED_SECTIONS[linked[1]]
    return False, None


def _warnings(source: Resource) -> Iterator[str]:
    """Every warning, whatever its value's type: one that can't be read is a warning all the same."""
    for extension in source.get("extension", []):
        if naming.extension_name(extension["url"]) == _WARNING:
            code = extension.get("valueCode")
            concept = extension.get("valueCodeableConcept")
            if isinstance(concept, dict):
                code = next(_codes(concept), code)
            yield code if isinstance(code, str) else _UNSPECIFIED


def _empty_reason(source: Resource) -> str | None:
    if "emptyReason" not in source:
        return None
    reason = an_object(source["emptyReason"], "emptyReason")
    text = next(_codes(reason), reason.get("text"))
    return text if isinstance(text, str) else _UNSPECIFIED


def _codes(concept: Resource) -> Iterator[str]:
    yield from _of_codings(concept, "code")


def _displays(source: Resource) -> Iterator[str]:
    yield from _of_codings(source.get("code", {}), "display")


def _of_codings(concept: dict[str, Any], name: str) -> Iterator[str]:
    for coding in objects(concept.get("coding", []), "coding"):
        if isinstance(coding.get(name), str):
            yield coding[name]
