"""The page of a record, piece by piece, as the look it shows goes on.

What comes first goes up at once, each section in its place. What comes later must not move what is being read: it fills
a line of its section that was kept for it, which opens on demand. Once everybody has answered the whole record is there
as well, grouped and compared, in place of the rest: by itself where that is soon after the first piece, before anybody
can have begun to read; later only when the reader asks for it. None of it needs a script, and none asks anybody again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from markupsafe import Markup

from connectors.sdk.model import Item, Section
from gateway.authority import permission_of
from gateway.choice.model import Permission
from gateway.manifest import ManifestLine
from gateway.shown import Part, Shown
from gateway.web.frame import part as piece_of
from gateway.web.record.banner import Banner, banner_of
from gateway.web.record.entries import Entries, reference_of
from gateway.web.record.rows import Rows
from gateway.web.record.sections import TITLES, absence_of
from gateway.web.record.whole import Whole, whole_of

SOON: Final = 1.0
"""Seconds after the first piece in which the page may still move: nobody has begun to read."""


@dataclass(frozen=True, slots=True)
class About:
    """What the page says besides the record. `number` is the NHS number in groups. `said` is the sentence of one
    source; `clock` counts seconds. `permission`: where the patient is asked again; `find`: where another patient is
    found, "" where none is."""

    number: str
    needs_banner: bool
    permission: str
    find: str
    said: Callable[[ManifestLine], str]
    today: date
    clock: Callable[[], float]
    soon: float = SOON


@dataclass(frozen=True, slots=True)
class Piece:
    """What goes up next, with the items that are in it for the first time, and each one's very bytes."""

    body: bytes
    items: list[Item]
    sent: list[bytes]


@dataclass(slots=True)
class RecordPage:
    """One page under way. `permission`: on which it stands, once its first piece is there."""

    about: About
    permission: Permission | None = None
    _began: float = 0.0
    _waiting: tuple[str, ...] = ()
    _filled: set[tuple[Section, int]] = field(default_factory=set)
    _has_allergy: bool = False

    def piece(self, part: Part) -> Piece:
        """The next piece. Nothing is in two pieces but what the whole record shows again."""
        is_first = part.number == 1
        if is_first:
            self._began, self._waiting = self.about.clock(), part.waiting
            self.permission = permission_of(part.shown.authority)
        if part.closes:
            return self._whole(part, is_late=not is_first and not self._is_soon())
        return self._early(part, is_first=is_first)

    def stopped(self, told: str, *, hides: bool) -> bytes:
        """Why nothing more comes. `hides`: what went up before may not be seen any more either."""
        return piece_of("record/stopped.jinja", told=told, hides=hides, number=self.about.number).encode()

    def _is_soon(self) -> bool:
        return self.about.clock() - self._began < self.about.soon

    def _whole(self, part: Part, *, is_late: bool) -> Piece:
        shown = part.shown
        rows = Rows(_entries(shown, self.about.today, "w"))
        whole = whole_of(shown, rows, self.about.said)
        body = piece_of(
            "record/whole.jinja",
            about=self.about,
            banner=self._banner(part),
            whole=whole,
            is_late=is_late,
            lines=list(self._leftover(shown, whole)) if is_late else [],
            waiting=self._waiting,
        )
        return _piece(body, rows, (item for item in shown.items if reference_of(item) not in part.sent))

    def _early(self, part: Part, *, is_first: bool) -> Piece:
        shown = part.shown
        rows = Rows(_entries(shown, self.about.today, f"p{part.number}-"))
        soon = self._is_soon()
        body = piece_of(
            "record/early.jinja",
            about=self.about,
            banner=self._banner(part),
            titles=TITLES,
            asked=shown.manifest.asked,
            absences={section: absence_of(section, [], shown) for section in TITLES if section not in
                      shown.manifest.asked},
            waiting=part.waiting,
            places=self._waiting,
            is_first=is_first,
            soon=soon,
            fillings=list(self._fillings(shown, rows, in_place=is_first or soon)),
        )  # fmt: skip
        return _piece(body, rows, shown.items)

    def _fillings(self, shown: Shown, rows: Rows, *, in_place: bool) -> Iterable[Filling]:
        """What each section gets, source by source where it came late."""
        for section in TITLES:
            items = [item for item in shown.items if item.section is section]
            if in_place and items:
                yield Filling(section, 0, "", [rows.of(item) for item in items])
            for line in shown.manifest.lines:
                place = self._place(section, line)
                if place:
                    own = [] if in_place else [rows.of(item) for item in items if item.source == line.source]
                    yield Filling(section, place, line.name, own, is_hidden=in_place)

    def _place(self, section: Section, line: ManifestLine) -> int:
        """The line that was kept for an organisation in a section, from 1; 0 where there is none, or it's filled."""
        place = self._waiting.index(line.name) + 1 if line.name in self._waiting else 0
        if not place or (section, place) in self._filled:
            return 0
        self._filled.add((section, place))
        return place

    def _leftover(self, shown: Shown, whole: Whole) -> Iterable[tuple[Section, int, str]]:
        """What the lines say that nobody filled: who has more in the whole record, nothing, or didn't answer."""
        for section in TITLES:
            for line in shown.manifest.lines:
                place = self._place(section, line)
                if place:
                    count = sum(item.section is section and item.source == line.source for item in shown.items)
                    yield section, place, _told(line, section, count)

    def _banner(self, part: Part) -> Banner:
        banner = banner_of(part, self.about.today, has_allergy=self._has_allergy)
        self._has_allergy = self._has_allergy or banner.has_allergy
        return banner


@dataclass(frozen=True, slots=True)
class Filling:
    """Rows for one section: in its place (0), or in the line that was kept for one organisation."""

    section: Section
    place: int
    source: str
    rows: list[Markup]
    is_hidden: bool = False


def _told(line: ManifestLine, section: Section, count: int) -> str:
    if line.lacks(section):
        return f"{line.name}: unavailable, or not all of it"
    return f"{line.name}: {count} in the whole record" if count else f"{line.name}: nothing here"


def _entries(shown: Shown, today: date, anchors: str) -> Entries:
    names = {line.source: line.name for line in shown.manifest.lines}
    resources = {reference_of(item): item.resource for item in shown.items}
    return Entries(names, resources, today, anchors)


def _piece(body: Markup, rows: Rows, items: Iterable[Item]) -> Piece:
    """The journal names the items that are in it, each by the bytes that stand there."""
    there = [item for item in items if reference_of(item) in rows.made]
    return Piece(body.encode(), there, [rows.made[reference_of(item)].encode() for item in there])
