"""The viewer's pages: who is signed in, whose record is in context, and what is held of it.

Looks alone: a page is given what it shows, and knows nothing of how anybody signed in or what was asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from html import escape
from typing import Final

from connectors.sdk.model import Resource, Section
from gateway.web import page
from gateway.web.words import grouped, has_died, identity_of, line_of

VIEWER: Final = "/viewer"
PERMISSION: Final = "/viewer/permission"
END: Final = "/viewer/end"
PAGE: Final = VIEWER + "/{tag}"
"""Each session's page has an address of its own, so that reloading it never shows another session's patient."""
_SECTIONS: Final[Mapping[Section, str]] = {
    Section.DEMOGRAPHICS: "Who the organisations say this is",
    Section.ALLERGIES: "Allergies",
    Section.MEDICINES: "Medicines",
    Section.CONTACTS: "Appointments and attendances",
    Section.RESULTS: "Results",
    Section.PROBLEMS: "Problems",
    Section.IMMUNISATIONS: "Immunisations",
    Section.CARE_TEAM: "Care team",
}


@dataclass(frozen=True, slots=True)
class Frame:
    """What every page of a session says. `signed_in` is a sentence; `csrf` is for its forms."""

    signed_in: str
    nhs_number: str
    needs_banner: bool
    csrf: str


@dataclass(frozen=True, slots=True)
class Line:
    """One item that is shown: `source` is the organisation's name."""

    section: Section
    resource: Resource
    source: str

    @property
    def html(self) -> str:
        """The item as it stands in the page."""
        told = identity_line(self.resource) if self.section is Section.DEMOGRAPHICS else line_of(self.resource)
        return f'<li>{escape(told)} <span class="meta">({escape(self.source)})</span></li>'


@dataclass(frozen=True, slots=True)
class Opened:
    """A record that may be shown. `completeness` are (is it a warning?, sentence), in the order in which they are
    said; `missing` names, for a section, the organisations that are missing from it."""

    lines: Sequence[Line]
    completeness: Sequence[tuple[bool, str]]
    asked: frozenset[Section]
    missing: Mapping[Section, tuple[str, ...]]
    patient: Resource | None


def page_of(tag: str) -> str:
    """The address of the page of the session with that tag."""
    return PAGE.format(tag=tag)


def record(frame: Frame, opened: Opened, today: date) -> bytes:
    """What is held, by section, after what can't be relied on to be whole."""
    main = [page.paragraph("Absence of information here does not mean that it does not exist.", "warning")]
    main += ["<h2>What each organisation said</h2>", *_completeness(opened.completeness)]
    for section, title in _SECTIONS.items():
        if section in opened.asked:
            main += [f"<h2>{escape(title)}</h2>", *_section(section, opened)]
    return _framed("What is held", main, frame, _banner(frame, opened.patient, today))


def ask(frame: Frame) -> bytes:
    """No permission holds: put the question to the patient."""
    main = [
        page.paragraph("No organisation has been asked yet, and nothing is shown."),
        page.paragraph(
            "Ask the patient: may you look, now, at what other organisations hold about them? They can say no, and "
            "they are cared for all the same.",
            "told",
        ),
        page.form(
            PERMISSION,
            frame.csrf,
            [
                page.button("The patient says yes", answer="yes", kind="yes"),
                page.button("The patient says no", answer="no"),
            ],
        ),
    ]
    return _framed("Permission is needed", main, frame, _banner(frame, None, None))


def said_no(frame: Frame) -> bytes:
    """The patient's no is the end of it."""
    main = [
        page.paragraph("The patient said no. No organisation was asked, and nothing is shown.", "told"),
        page.paragraph("You can close this page. If the patient says otherwise later, open it again and ask again."),
    ]
    return _framed("Nothing is opened", main, frame, _banner(frame, None, None))


def refused(frame: Frame, told: str, request_id: str) -> bytes:
    """Why nothing is shown, to somebody who is signed in."""
    main = [page.paragraph(told, "warning"), page.paragraph(f"Request {request_id}", "meta")]
    return _framed("Nothing can be shown", main, frame, _banner(frame, None, None))


def ended() -> bytes:
    """Signed out."""
    return page.page("You are signed out", [page.paragraph("You can close this page.")])


def identity_line(patient: Resource) -> str:
    """Who one organisation says that the patient is."""
    parts = identity_of(patient)
    return " · ".join([*parts, died] if (died := has_died(patient)) else parts)


def _framed(title: str, main: Iterable[str], frame: Frame, banner: Iterable[str]) -> bytes:
    leaving = page.form(END, frame.csrf, [page.button("Sign out")])
    return page.page(title, [*main, leaving], signed_in=frame.signed_in, banner=banner)


def _banner(frame: Frame, patient: Resource | None, today: date | None) -> list[str]:
    """NHS CUI's patient banner; the NHS number alone before the record is open, and where the system that launched
    shows a banner of its own."""
    number = f"NHS No. {grouped(frame.nhs_number)}"
    if not frame.needs_banner:
        return [f'<p class="meta">In context: {number}</p>']
    known = identity_of(patient, today) if patient is not None and today is not None else []
    died = has_died(patient) if patient is not None else ""
    name, *rest = known or [""]
    told = [f"<b>{escape(name)}</b>"] if name else []
    told += [escape(part) for part in (died, *rest, number) if part]
    kind = "banner died" if died else "banner"
    return [f'<div class="{kind}" role="region" aria-label="Patient"><p>{" · ".join(told)}</p></div>']


def _completeness(said: Iterable[tuple[bool, str]]) -> list[str]:
    items = [
        f"<li>{'<strong>Incomplete: </strong>' if is_warning else ''}{escape(sentence)}</li>"
        for is_warning, sentence in said
    ]
    return ["<ul>", *items, "</ul>"]


def _section(section: Section, opened: Opened) -> list[str]:
    """An empty section says why it may be empty: never just nothing."""
    here = [line.html for line in opened.lines if line.section is section]
    missing = opened.missing.get(section, ())
    told = []
    if missing:
        told.append(page.paragraph(f"May be incomplete: {', '.join(missing)} could not be read whole.", "warning"))
    if here:
        return [*told, "<ul>", *here, "</ul>"]
    nothing = "Nothing could be read." if missing else "Nothing is shown to you here by those who answered."
    return [*told, page.paragraph(nothing)]
