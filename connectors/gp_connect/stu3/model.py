"""What a translation comes to: R4 resources, an account of every resource that came, and what the Lists say."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from connectors.sdk.model import Resource, Section, Traced


@dataclass(frozen=True, slots=True)
class ListStatement:
    """What one List says of a section of the record, beside its entries.

    `section` is None where the List is about something that no section holds (referrals, diary entries), or where its
    code isn't known. `warnings` are the codes of its warnings (`confidential-items`, …), `empty_reason` the code of why
    it is empty, `notes` its notes as sent. `ended_allergies` is True for the List that contains resolved allergies.
    `is_section` is False for the Lists that arrange a consultation and those of what is linked to something else: they
    don't speak for the whole of a section.
    """

    section: Section | None
    warnings: tuple[str, ...]
    empty_reason: str | None
    title: str
    entries: int
    ended_allergies: bool
    is_section: bool
    notes: tuple[str, ...] = ()
    is_arrangement: bool = False
    known: bool = True

    @property
    def withheld_whole(self) -> bool:
        """True where it is empty and warned: everything was withheld (GP Connect, warning codes)."""
        return self.entries == 0 and bool(self.warnings)


@dataclass(slots=True)
class Translated:
    """The outcome. `resources` are R4 JSON, each with `resourceType` and an `id`: the source's own, as it is.

    `traced` has one entry for every resource that came, contained ones too. `broken` counts what could not be read, or
    not be told from another of the same id, by the section that is short of it; under None is what may be short of any
    section (a resource without a type, a List that can't be read). `left_out` counts the elements within translated
    resources whose value isn't in the output, by path (`MedicationStatement.taken`); `reasons.LEFT_OUT` says why for
    each that is foreseen, and a resource with others says so in its trace.
    """

    resources: list[Resource] = field(default_factory=list)
    traced: list[Traced] = field(default_factory=list)
    lists: list[ListStatement] = field(default_factory=list)
    broken: Counter[Section | None] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
