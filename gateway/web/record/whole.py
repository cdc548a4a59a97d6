"""The whole record, once everybody has answered: every section with its rows, grouped and compared."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from markupsafe import Markup

from connectors.sdk.model import Item, Section
from gateway.allergies import is_no_known_allergy
from gateway.manifest import Difference, ManifestLine
from gateway.merge import clinical_date
from gateway.policy.told import ABSENCE, BY_API
from gateway.search.dates import beginning
from gateway.shown import Shown
from gateway.web.record import filters
from gateway.web.record.arranged import Arrangement, Way, arranged, elsewhere, linked_of
from gateway.web.record.blocks import Block, blocks_of
from gateway.web.record.entries import Entries, Entry
from gateway.web.record.links import linked
from gateway.web.record.results import Test, tests_of
from gateway.web.record.rows import Rows
from gateway.web.record.sections import TITLES, Absence, absence_of

_HERE: Final = "use “Ask the patient about sensitive information” below"
_LOCAL: Final = ZoneInfo("Europe/London")


@dataclass(frozen=True, slots=True)
class Shelf:
    """Rows that stand together under a heading of their own, "" for none; `block` says why they do. `within`: the
    classes that hide it where an arrangement shows all of it elsewhere; `title_within` the same for its heading."""

    title: str
    rows: tuple[Markup, ...]
    within: str
    title_within: str
    block: Block | None = None
    test: Test | None = None


@dataclass(frozen=True, slots=True)
class SectionView:
    """One section, ready to be put into the page. `count` is of its rows. `elsewhere`: the ways of looking in which
    some of them stand elsewhere."""

    id: str
    title: str
    shelves: tuple[Shelf, ...]
    count: int
    absence: Absence
    elsewhere: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Whole:
    """`incomplete` and `answered` are what each organisation said: (name, sentence). `never` are the standing sentences
    of this role and permission, the same whether or not anything was withheld; `absence` is their last one. `sources`
    are those of which something is shown: (place in the filter, what the filter knows it by, name). `arrangements` are
    the other ways of looking for which there is anything; `missing` names those who may have more that is linked."""

    sections: tuple[SectionView, ...]
    incomplete: tuple[tuple[str, str], ...]
    answered: tuple[str, ...]
    differences: tuple[Difference, ...]
    whereabouts: str
    never: tuple[str, ...]
    absence: str
    sources: tuple[tuple[int, str, str], ...]
    arrangements: tuple[Arrangement, ...]
    missing: tuple[str, ...]


def whole_of(shown: Shown, rows: Rows, said: Callable[[ManifestLine], str]) -> Whole:
    """`said` is the sentence of one source. Every item of a section is in exactly one row of it."""
    entries = {
        section: [rows.entries.of(item) for item in shown.items if item.section is section] for section in TITLES
    }
    # What somebody is allergic to comes before a statement that there is nothing.
    entries[Section.ALLERGIES].sort(key=lambda entry: is_no_known_allergy(entry.item))
    groups = [group for group in shown.groups if group.section is not Section.DEMOGRAPHICS]
    blocks = {section: blocks_of(found, groups) for section, found in entries.items() if section not in _SHELVES}
    arrangements = tuple(_arrangements(entries, blocks, rows))
    lines = shown.manifest.lines
    incomplete = [line for line in lines if line.gaps or line.warnings or line.outcome.leaves_gap]
    sections = tuple(_section(section, found, blocks, shown, rows) for section, found in entries.items())
    return Whole(
        sections=sections,
        incomplete=tuple((line.name, said(line)) for line in incomplete),
        answered=tuple(said(line) for line in lines if line not in incomplete),
        differences=shown.manifest.differences,
        whereabouts=shown.manifest.whereabouts,
        never=tuple(sentence.replace(BY_API, _HERE) for sentence in shown.manifest.never_shown if sentence != ABSENCE),
        absence=ABSENCE,
        sources=tuple(_sources(shown.items, rows.entries)),
        arrangements=arrangements,
        missing=tuple(dict.fromkeys(name for section in sections for name in section.absence.missing)),
    )


def _sources(items: Iterable[Item], entries: Entries) -> Iterable[tuple[int, str, str]]:
    here = {item.source for item in items}
    for place, (source, marks) in enumerate(entries.marks.items()):
        if source in here:
            yield place, filters.classes("only", marks), entries.names[source]


def _arrangements(
    entries: Mapping[Section, Sequence[Entry]], blocks: Mapping[Section, Sequence[Block]], rows: Rows
) -> Iterable[Arrangement]:
    """Those with anything in them. From here on `rows` know what is linked to what, and what stands elsewhere, too."""
    links = linked(entry for each in entries.values() for entry in each)
    every = [block for each in blocks.values() for block in each]
    known = linked_of(links, every)
    contacts = (entry for _, found in _in_time(entries[Section.CONTACTS], rows) for entry in found)
    heads = {Way.PROBLEM: blocks[Section.PROBLEMS], Way.CONTACT: [Block((entry,)) for entry in contacts]}
    found = [made for way, each in heads.items() if (made := arranged(way, each, known, rows)).views]
    rows.links, rows.within = links, elsewhere(found, every)
    return found


def _section(
    section: Section, entries: Sequence[Entry], blocks: Mapping[Section, Sequence[Block]], shown: Shown, rows: Rows
) -> SectionView:
    shelves = _SHELVES[section](entries, rows) if section in _SHELVES else _blocks(blocks[section], rows)
    absence = absence_of(section, [entry.item for entry in entries], shown)
    gone = {each for entry in entries for each in rows.within.get(entry.reference, "").split()}
    away = tuple(way.value for way in Way if filters.classes("in", [way.value]) in gone)
    return SectionView(f"all-{section.value}", TITLES[section], tuple(shelves), len(entries), absence, away)


def _within(entries: Iterable[Entry], rows: Rows) -> str:
    """The classes that all of them have."""
    each = [set(rows.within.get(entry.reference, "").split()) for entry in entries]
    return " ".join(sorted(set.intersection(*each))) if each else ""


def _blocks(blocks: Sequence[Block], rows: Rows) -> Iterable[Shelf]:
    """What holds now, then what doesn't; groups side by side."""
    mixed = len({block.is_over for block in blocks}) > 1
    titled = set[bool]()
    for block in blocks:
        title = ("Not current" if block.is_over else "Current") if mixed and block.is_over not in titled else ""
        titled.add(block.is_over)
        alike = (entry for one in blocks if one.is_over == block.is_over for entry in one.every) if title else ()
        yield Shelf(
            title,
            tuple(_of_block(block, rows)),
            _within(block.every, rows),
            _within(alike, rows),
            block if len(block.entries) > 1 else None,
        )


def _of_block(block: Block, rows: Rows) -> Iterable[Markup]:
    for entry in block.entries:
        yield rows.row(entry)
        for order in block.under.get(entry.reference, ()):
            yield rows.row(order, under=True)


def _results(entries: Sequence[Entry], rows: Rows) -> Iterable[Shelf]:
    observations = [entry for entry in entries if entry.item.type == "Observation"]
    for test in tests_of(observations):
        within = _within((reading.entry for reading in test.readings), rows)
        found = tuple(rows.reading(reading, in_table=True) for reading in test.readings)
        yield Shelf(test.name, found, within, within, test=test)
    reports = [entry for entry in entries if entry.item.type != "Observation"]
    if reports:
        yield _plain("Reports", reports, rows)


def _contacts(entries: Sequence[Entry], rows: Rows) -> Iterable[Shelf]:
    return (_plain(title, found, rows) for title, found in _in_time(entries, rows) if found)


def _in_time(entries: Sequence[Entry], rows: Rows) -> tuple[tuple[str, list[Entry]], ...]:
    """A line through time: what is to come, the soonest first; then what was, the latest first."""
    start = datetime.combine(rows.entries.today, datetime.min.time(), _LOCAL)
    today = beginning(start.isoformat()) or 0
    when = {entry.reference: beginning(clinical_date(entry.item)) for entry in entries}
    to_come = [entry for entry in entries if (when[entry.reference] or 0) >= today]
    past = [entry for entry in entries if (when[entry.reference] or 0) < today]
    return ("To come, or today", to_come[::-1]), ("Past", past)


def _patients(entries: Sequence[Entry], rows: Rows) -> Iterable[Shelf]:
    yield _plain("", entries, rows)


def _plain(title: str, entries: Sequence[Entry], rows: Rows) -> Shelf:
    within = _within(entries, rows)
    return Shelf(title, tuple(map(rows.row, entries)), within, within)


_SHELVES: Final[Mapping[Section, Callable[[Sequence[Entry], Rows], Iterable[Shelf]]]] = {
    Section.RESULTS: _results,
    Section.CONTACTS: _contacts,
    Section.DEMOGRAPHICS: _patients,
}
"""Of the sections that are not told in blocks."""
