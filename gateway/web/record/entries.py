"""One item of the record as the page says it: what it is, when, where it stands, and who holds it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from connectors.sdk.model import Item, Resource, Section
from gateway.merge import clinical_date
from gateway.summary.words import Reader, Told
from gateway.web.record import filters
from gateway.web.words import moment, of_one_day

_STATUSES: Final = frozenset({"Status", "Verification"})
_OVER: Final = frozenset(
    {
        "inactive", "resolved", "remission", "refuted", "entered-in-error", "stopped", "completed", "cancelled",
        "not-taken", "ended", "not-done",
    }
)  # fmt: skip
_WARNING: Final = frozenset({"refuted", "entered-in-error", "not-taken", "not-done", "cancelled"})
_UNREADABLE: Final = (("", "Its source sent it in a form that can’t be put into words. Ask the organisation."),)
_AGES: Final = (0.25, 1.0, 5.0)
"""Years: the steps of the filter by time."""
_DAYS_A_YEAR: Final = 365.25
_ENDING: Final = frozenset({Section.ALLERGIES, Section.MEDICINES, Section.PROBLEMS, Section.CARE_TEAM})
"""Sections of what goes on until it ends: an immunisation that is completed is as it should be."""
_NEVER_FILTERED: Final = frozenset({Section.ALLERGIES, Section.DEMOGRAPHICS})


@dataclass(frozen=True, slots=True)
class Mark:
    """What turns the meaning of an entry, as a tag: `kind` is the tag's colour; "" for what is ordinary, and no tag."""

    text: str
    kind: str


@dataclass(frozen=True, slots=True)
class Entry:
    """`facts` are (what it is, what is said), "" where the words say it themselves. `filters` are the classes by which
    a reader's filter hides it. `anchor` is its place in the page. `is_over`: it isn't so any more, or never was."""

    item: Item
    what: str
    when: str
    marks: tuple[Mark, ...]
    facts: tuple[tuple[str, str], ...]
    source: str
    anchor: str
    filters: str
    is_over: bool

    @property
    def reference(self) -> str:
        return reference_of(self.item)


def reference_of(item: Item) -> str:
    """`Observation/…`, by the sealed id."""
    return f"{item.type}/{item.sealed_id}"


@dataclass(frozen=True, slots=True)
class Entries:
    """Reads items. `names` are the organisations' by ODS code, in the order in which the filter offers them, and
    `marks` what the filter knows them by."""

    names: Mapping[str, str]
    resources: Mapping[str, Resource]
    today: date
    anchors: str = "r"
    reader: Reader = field(init=False)
    marks: Mapping[str, tuple[str, ...]] = field(init=False)
    _places: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "reader", Reader(self.resources.get, moment))
        object.__setattr__(self, "marks", filters.of_sources(self.names))

    def of(self, item: Item) -> Entry:
        """The item in words."""
        told = self.reader.told_of(item)
        codes = _codes(item.resource)
        is_over = item.section in _ENDING and bool(codes & _OVER)
        return Entry(
            item=item,
            what=told.what,
            when=of_one_day(told.when),
            marks=tuple(_marks(told, codes)),
            facts=tuple(_facts(told)) if told.is_readable else _UNREADABLE,
            source=self.names.get(item.source, item.source),
            anchor=self.anchor(reference_of(item)),
            filters=self._filters(item, is_over=is_over),
            is_over=is_over,
        )

    def anchor(self, reference: str) -> str:
        """A name within the page, of a reference: it tells nothing."""
        return self._places.setdefault(reference, f"{self.anchors}{len(self._places) + 1}")

    def _filters(self, item: Item, *, is_over: bool) -> str:
        """Allergies are never filtered; what holds now isn't by time, however long ago it began."""
        if item.section in _NEVER_FILTERED:
            return ""
        classes = [self.source_filter(item.source)]
        if is_over or item.section in (Section.RESULTS, Section.CONTACTS, Section.IMMUNISATIONS):
            classes.append(f"cc-age-{self._age(item)}")
        return " ".join(filter(None, classes))

    def source_filter(self, source: str) -> str:
        """The classes by which the filter knows the organisation; "" where it offers none."""
        return filters.classes("from", self.marks.get(source, ()))

    def _age(self, item: Item) -> int:
        """In steps of the filter; what has no whole date is as of today, so that no filter by time hides it."""
        try:
            years = (self.today - date.fromisoformat(clinical_date(item)[:10])).days / _DAYS_A_YEAR
        except ValueError:
            return 0
        return sum(years > step for step in _AGES)


def _facts(told: Told) -> Iterable[tuple[str, str]]:
    """But for its status, which is a mark, and that an order is one."""
    return (fact for fact in told.facts if fact[0] not in _STATUSES and fact != ("Intent", "order"))


def _marks(told: Told, codes: frozenset[str]) -> Iterable[Mark]:
    """The status in its source's words: what was refuted, stopped or isn't to be given must not be missed."""
    for name, said in told.facts:
        if name in _STATUSES:
            yield Mark(said, "red" if codes & _WARNING else "grey" if codes & _OVER else "")


def _codes(resource: Resource) -> frozenset[str]:
    """The codes of its statuses, whichever shape they have."""
    found = [resource.get(name) for name in ("status", "clinicalStatus", "verificationStatus")]
    codes = {value for value in found if isinstance(value, str)}
    for value in found:
        codings = value.get("coding") if isinstance(value, dict) else None
        codes |= {str(one.get("code")) for one in codings or () if isinstance(one, dict)}
    return frozenset(codes)
