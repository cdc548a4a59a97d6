"""The record by problem, or by contact: what the sources themselves link to each.

Only what is shown is here, and nothing tells of what isn't: a link to a hidden item is no link any more when it comes
here (`gateway.policy.references`), just as one that leads nowhere. So what stands under none is said to have no link to
anything that is *shown*, and the same is true of both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from markupsafe import Markup

from connectors.sdk.model import Section
from gateway.web.frame import part
from gateway.web.record import filters
from gateway.web.record.blocks import Block
from gateway.web.record.entries import Entry
from gateway.web.record.links import Links, gathered
from gateway.web.record.rows import Rows
from gateway.web.record.sections import TITLES

MOST_WHOLE: Final = 3
"""So often an entry stands in full in one arrangement: what a source links to everything is named after that. So the
page grows with what was sent, and never with its square."""


class Way(StrEnum):
    """By what a reader may look."""

    PROBLEM = "problem"
    CONTACT = "contact"


@dataclass(frozen=True, slots=True)
class Kind:
    """What is linked of one section. `count` leaves out what stands beneath another entry."""

    title: str
    count: int
    rows: tuple[Markup, ...]


@dataclass(frozen=True, slots=True)
class View:
    """One problem, as its organisations have it, or one contact, with what is linked to it. `filters`: as a row's."""

    id: str
    what: str
    when: str
    heads: tuple[Markup, ...]
    kinds: tuple[Kind, ...]
    filters: str


@dataclass(frozen=True, slots=True)
class Arrangement:
    """All views of one way, in the order of the section; `placed` are the references of all that stands in one."""

    way: Way
    views: tuple[View, ...]
    placed: frozenset[str]


@dataclass(frozen=True, slots=True)
class Linked:
    """By reference: `links`, what is linked to an entry; `beneath`, what goes with one wherever it stands (a medicine's
    orders, a report's results); `differing`, the block of one that several organisations have differently."""

    links: Links
    beneath: Links
    differing: Mapping[str, Block]


def linked_of(links: Links, blocks: Iterable[Block]) -> Linked:
    """`blocks` are of all sections that have any."""
    blocks = list(blocks)
    beneath = dict(gathered(links))
    for block in blocks:
        beneath |= block.under
    differing = {entry.reference: block for block in blocks if block.differing for entry in block.entries}
    return Linked(links, beneath, differing)


def arranged(way: Way, heads: Iterable[Block], linked: Linked, rows: Rows) -> Arrangement:
    """`heads` are the problems, or the contacts, in the order of their section."""
    making = _Making(linked, rows)
    views = tuple(making.views(heads))
    return Arrangement(way, views, frozenset(making.placed))


def elsewhere(arrangements: Iterable[Arrangement], blocks: Iterable[Block]) -> dict[str, str]:
    """By reference the classes by which an entry leaves its section while an arrangement shows it.

    Allergies stay, whatever else is looked at; and what stands side by side stays together until all of it is shown.
    """
    together = {entry.reference: block for block in blocks if len(block.entries) > 1 for entry in block.every}
    found: dict[str, list[str]] = {}
    for arrangement in arrangements:
        for reference in arrangement.placed:
            block = together.get(reference)
            if block is None or all(entry.reference in arrangement.placed for entry in block.entries):
                found.setdefault(reference, []).append(arrangement.way.value)
    return {reference: filters.classes("in", ways) for reference, ways in found.items()}


class _Making:
    def __init__(self, linked: Linked, rows: Rows) -> None:
        self._linked = linked
        self._rows = rows
        self._made: Counter[str] = Counter()
        self.placed: set[str] = set()

    def views(self, heads: Iterable[Block]) -> Iterator[View]:
        """Of each that something is linked to."""
        for block in heads:
            own = [entry.reference for entry in block.entries]
            every = (other for reference in own for other in self._linked.links.get(reference, ()))
            found = {entry.reference: entry for entry in every if entry.reference not in own}
            if found:
                yield self._view(block, found)

    def _view(self, block: Block, found: Mapping[str, Entry]) -> View:
        first = block.entries[0]
        sources = {entry.item.source for entry in block.entries}
        return View(
            id=f"by-{first.anchor}",
            what=first.what,
            when=first.when,
            heads=tuple(map(self._whole, block.entries)),
            kinds=tuple(self._kinds(found)),
            filters=self._rows.entries.source_filter(sources.pop()) if len(sources) == 1 else "",
        )

    def _kinds(self, found: Mapping[str, Entry]) -> Iterator[Kind]:
        """In the order of the page's sections; in each as it is there."""
        beneath = {other.reference for reference in found for other in self._linked.beneath.get(reference, ())}
        apart = [entry for reference, entry in found.items() if reference not in beneath]
        for section, title in TITLES.items():
            here = [entry for entry in apart if entry.item.section is section]
            if here:
                yield Kind(title, len(here), tuple(row for entry in here for row in self._with_beneath(entry)))

    def _with_beneath(self, entry: Entry) -> Iterator[Markup]:
        is_whole = self._made[entry.reference] < MOST_WHOLE
        yield self._row(entry)
        if is_whole:
            yield from (self._row(other, under=True) for other in self._linked.beneath.get(entry.reference, ()))

    def _row(self, entry: Entry, *, under: bool = False) -> Markup:
        self._made[entry.reference] += 1
        if self._made[entry.reference] > MOST_WHOLE:
            return part("record/named.jinja", entry=entry)
        return self._whole(entry, under=under)

    def _whole(self, entry: Entry, *, under: bool = False) -> Markup:
        if entry.item.section is not Section.ALLERGIES:
            self.placed.add(entry.reference)
        row = self._rows.again(entry, under=under)
        block = self._linked.differing.get(entry.reference)
        return row + part("record/differs.jinja", block=block) if block else row
