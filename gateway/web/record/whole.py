"""The whole record, once everybody has answered: every section with its rows, grouped and compared."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
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
from gateway.web.record.blocks import Block, blocks_of
from gateway.web.record.entries import Entry
from gateway.web.record.links import linked
from gateway.web.record.results import Test, tests_of
from gateway.web.record.rows import Rows
from gateway.web.record.sections import TITLES, Absence, absence_of

_HERE: Final = "use “Ask the patient about sensitive information” below"
_LOCAL: Final = ZoneInfo("Europe/London")


@dataclass(frozen=True, slots=True)
class Shelf:
    """Rows that stand together under a heading of their own, "" for none; `block` says why they do."""

    title: str
    rows: tuple[Markup, ...]
    block: Block | None = None
    test: Test | None = None


@dataclass(frozen=True, slots=True)
class SectionView:
    """One section, ready to be put into the page. `count` is of its rows."""

    id: str
    title: str
    shelves: tuple[Shelf, ...]
    count: int
    absence: Absence


@dataclass(frozen=True, slots=True)
class Whole:
    """`incomplete` and `answered` are what each organisation said: (name, sentence). `never` are the standing sentences
    of this role and permission, the same whether or not anything was withheld; `absence` is their last one. `sources`
    are those of which something is shown, with their places in the filter."""

    sections: tuple[SectionView, ...]
    incomplete: tuple[tuple[str, str], ...]
    answered: tuple[str, ...]
    differences: tuple[Difference, ...]
    whereabouts: str
    never: tuple[str, ...]
    absence: str
    sources: tuple[tuple[int, str], ...]


def whole_of(shown: Shown, rows: Rows, said: Callable[[ManifestLine], str]) -> Whole:
    """`said` is the sentence of one source. Every item of a section is in exactly one row."""
    entries = {
        section: [rows.entries.of(item) for item in shown.items if item.section is section] for section in TITLES
    }
    # What somebody is allergic to comes before a statement that there is nothing.
    entries[Section.ALLERGIES].sort(key=lambda entry: is_no_known_allergy(entry.item))
    rows.links = linked(entry for each in entries.values() for entry in each)
    lines = shown.manifest.lines
    incomplete = [line for line in lines if line.gaps or line.warnings or line.outcome.leaves_gap]
    return Whole(
        sections=tuple(_section(section, found, shown, rows) for section, found in entries.items()),
        incomplete=tuple((line.name, said(line)) for line in incomplete),
        answered=tuple(said(line) for line in lines if line not in incomplete),
        differences=shown.manifest.differences,
        whereabouts=shown.manifest.whereabouts,
        never=tuple(sentence.replace(BY_API, _HERE) for sentence in shown.manifest.never_shown if sentence != ABSENCE),
        absence=ABSENCE,
        sources=tuple(
            (place, name)
            for place, (source, name) in enumerate(rows.entries.names.items())
            if _holds(source, shown.items)
        ),
    )


def _holds(source: str, items: Iterable[Item]) -> bool:
    return any(item.source == source for item in items)


def _section(section: Section, entries: Sequence[Entry], shown: Shown, rows: Rows) -> SectionView:
    shelves = _SHELVES.get(section, _blocks)(entries, shown, rows)
    absence = absence_of(section, [entry.item for entry in entries], shown)
    return SectionView(f"all-{section.value}", TITLES[section], tuple(shelves), len(entries), absence)


def _blocks(entries: Sequence[Entry], shown: Shown, rows: Rows) -> Iterable[Shelf]:
    """What holds now, then what doesn't; groups side by side."""
    blocks = blocks_of(entries, (group for group in shown.groups if group.section is not Section.DEMOGRAPHICS))
    mixed = len({block.is_over for block in blocks}) > 1
    titled = set[bool]()
    for block in blocks:
        title = ("Not current" if block.is_over else "Current") if mixed and block.is_over not in titled else ""
        titled.add(block.is_over)
        yield Shelf(title, tuple(_of_block(block, rows)), block if len(block.entries) > 1 else None)


def _of_block(block: Block, rows: Rows) -> Iterable[Markup]:
    for entry in block.entries:
        yield rows.row(entry)
        for order in block.under.get(entry.reference, ()):
            yield rows.row(order, under=True)


def _results(entries: Sequence[Entry], shown: Shown, rows: Rows) -> Iterable[Shelf]:
    observations = [entry for entry in entries if entry.item.type == "Observation"]
    for test in tests_of(observations):
        yield Shelf(test.name, tuple(rows.reading(reading, in_table=True) for reading in test.readings), test=test)
    reports = [entry for entry in entries if entry.item.type != "Observation"]
    if reports:
        yield Shelf("Reports", tuple(map(rows.row, reports)))


def _contacts(entries: Sequence[Entry], shown: Shown, rows: Rows) -> Iterable[Shelf]:
    """A line through time: what is to come, the soonest first; then what was, the latest first."""
    start = datetime.combine(rows.entries.today, datetime.min.time(), _LOCAL)
    today = beginning(start.isoformat()) or 0
    when = {entry.reference: beginning(clinical_date(entry.item)) for entry in entries}
    to_come = [entry for entry in entries if (when[entry.reference] or 0) >= today]
    for title, found in (("To come, or today", to_come[::-1]), ("Past", [e for e in entries if e not in to_come])):
        if found:
            yield Shelf(title, tuple(map(rows.row, found)))


def _patients(entries: Sequence[Entry], shown: Shown, rows: Rows) -> Iterable[Shelf]:
    yield Shelf("", tuple(map(rows.row, entries)))


_SHELVES: Final = {
    Section.RESULTS: _results,
    Section.CONTACTS: _contacts,
    Section.DEMOGRAPHICS: _patients,
}
