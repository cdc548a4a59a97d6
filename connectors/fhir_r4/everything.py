"""All of a patient in one call (R4, OperationDefinition/Patient-everything), where the source offers it.

What is asked for is named by `_type`, so that nothing is asked for that the caller's role can't see. What came is
judged section by section: whatever can't be told to be of one section alone leaves a gap in each.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from connectors.fhir_r4.planning import Found, type_of
from connectors.sdk.errors import WrongContent
from connectors.sdk.gaps import tells_of_omission
from connectors.sdk.model import SECTION_OF_TYPE, SUPPORTING_TYPES, Gap, Section

_OPERATION: Final = "$everything"


@dataclass(slots=True)
class Everything:
    """The operation for one patient: by the source's own id, for some sections."""

    patient_id: str
    sections: frozenset[Section]
    page_size: int
    served: frozenset[str] | None = None

    @property
    def url(self) -> str:
        """Relative to the source's base address."""
        types = sorted(SUPPORTING_TYPES.union({"Patient"}, *(_types_of(section) for section in self.sections)))
        query = urlencode([("_type", ",".join(types)), ("_count", str(self.page_size))], safe=",")
        return f"Patient/{quote(self.patient_id, safe='')}/{_OPERATION}?{query}"

    def check_link(self, link: str) -> None:
        """The source's word on what it answered: about whom, and which types. Raises WrongContent for somebody else."""
        parts = urlsplit(link)
        if not unquote(parts.path).endswith(f"/Patient/{self.patient_id}/{_OPERATION}"):
            raise WrongContent("the source's self link is not of this patient's everything")
        named = [value for name, value in parse_qsl(parts.query) if name == "_type"]
        self.served = frozenset(kind for value in named for kind in value.split(",")) if named else None

    def by_section(self, whole: Found) -> dict[Section, list[Found]]:
        """What came, and for each section whether it is all of it."""
        self._check_complete(whole)
        found = {section: [self._of_section(section, whole)] for section in self.sections}
        found.setdefault(Section.DEMOGRAPHICS, []).append(Found(whole.entries))
        return found

    @staticmethod
    def _check_complete(whole: Found) -> None:
        if whole.gap is not None:
            return
        matches = {(type_of(entry), entry.resource["id"]) for entry in whole.entries if entry.mode == "match"}
        if whole.total is not None and whole.total > len(matches):
            whole.lacks(Gap.HELD_BACK, f"{_OPERATION}: the source counted {whole.total} and sent {len(matches)}")
        if any(tells_of_omission(entry) for entry in whole.entries):
            whole.lacks(Gap.HELD_BACK, f"{_OPERATION}: the source says that its answer is not whole")

    def _of_section(self, section: Section, whole: Found) -> Found:
        found = Found(gap=whole.gap, detail=whole.detail)
        if found.gap is None and self.served is not None and not self.served >= _types_of(section):
            found.lacks(Gap.HELD_BACK, f"{_OPERATION}: {section} was left out of what the source answered")
        broken = sum(count for kind, count in whole.held_back.items() if _may_be_of(kind, section))
        if found.gap is None and broken:
            found.lacks(Gap.HELD_BACK, f"{_OPERATION}: {broken} resources of broken shape held back")
        return found


def includes(given: Iterable[str], searched: Iterable[Section]) -> frozenset[str]:
    """Of the references whose targets come along, those of types that the operation answers for: not those `searched`
    by other means."""
    others = {kind for section in searched for kind in _types_of(section)}
    return frozenset(name for name in given if name.partition(":")[0] not in others)


def _types_of(section: Section) -> frozenset[str]:
    return frozenset(kind for kind, of in SECTION_OF_TYPE.items() if of is section)


def _may_be_of(kind: str, section: Section) -> bool:
    """True for a type of the section, and for one that belongs to none: it may have explained anything."""
    return SECTION_OF_TYPE.get(kind, section) is section
