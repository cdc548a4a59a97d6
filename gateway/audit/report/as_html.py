"""The report as one printable page: no script, nothing from elsewhere, and the whole JSON report in it as a file.

So the page proves as much as the JSON does: `check` takes the report out of it and renders the page again.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Final

from gateway.audit.report.as_json import NotAReport, as_json
from gateway.audit.report.model import Answer, Asked, ByOrganisation, Event, Looker, Report, What
from gateway.audit.report.moments import number_of, when
from gateway.audit.report.words import OTHER_PLACE, listed, times

_STYLE: Final = Path(__file__).with_name("style.css").read_text(encoding="utf-8")
_DATA: Final = "data:application/json;base64,"
_FILE: Final = re.compile(rb'href="data:application/json;base64,([A-Za-z0-9+/]+={0,2})"')
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"


def as_html(report: Report) -> bytes:
    """UTF-8. Every text of the report is escaped; a name is set apart from the direction of the text around it."""
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en-GB">',
            *_head(report),
            "<body>",
            '<a class="skip" href="#main">Skip to the list</a>',
            "<header><p>Connect Care</p></header>",
            '<main id="main">',
            *_opening(report),
            *_glance(report.glance),
            *_people(report.organisations),
            *_events(report.events),
            *_proof(report),
            "</main>",
            "</body>",
            "</html>",
            "",
        ]
    ).encode()


def report_in(page: bytes) -> bytes:
    """The JSON report that a page carries. Raises NotAReport where there isn't just one."""
    found = _FILE.findall(page)
    try:
        if len(found) == 1:
            return base64.b64decode(found[0])
    except binascii.Error:
        pass
    raise NotAReport("This page carries no access report of Connect Care that could be checked.")


def _head(report: Report) -> list[str]:
    return [
        "<head>",
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(report.title)} - Connect Care</title>",
        f"<style>\n{_STYLE}</style>",
        "</head>",
    ]


def _opening(report: Report) -> list[str]:
    return [
        f"<h1>{escape(report.title)}</h1>",
        f"<p>NHS number: {escape(number_of(report.patient.nhs_number))}<br>Made on {escape(when(report.made))}</p>",
        *(f"<p>{escape(sentence)}</p>" for sentence in report.introduction),
    ]


def _glance(answers: Iterable[Answer]) -> list[str]:
    lines = ['<section class="glance" aria-labelledby="glance">', '<h2 id="glance">At a glance</h2>']
    for answer in answers:
        lines += [f"<h3>{escape(answer.question)}</h3>", *_sentences(answer.answer)]
    return [*lines, "</section>"]


def _sentences(sentences: tuple[str, ...]) -> list[str]:
    first, *more = sentences
    items = [f"<li><bdi>{escape(sentence)}</bdi></li>" for sentence in more]
    return [f"<p>{escape(first)}</p>", *(["<ul>", *items, "</ul>"] if items else [])]


def _people(organisations: Iterable[ByOrganisation]) -> list[str]:
    lines = ['<h2 id="people">Who, by place</h2>']
    for one in organisations:
        lines += _table(
            one.organisation or OTHER_PLACE,
            ("Who", "Looked", "Stopped, or saw nothing", "What they saw", "From", "To"),
            (_person(looker) for looker in one.people),
        )
    return lines if len(lines) > 1 else [*lines, "<p>Nobody.</p>"]


def _person(looker: Looker) -> tuple[str, ...]:
    best = f" ({times(looker.best_interests)} in your best interests)" if looker.best_interests else ""
    return (
        f"<bdi>{escape(looker.name)}</bdi>, {escape(looker.role)}",
        escape(times(looker.looked) + best if looker.looked else "never"),
        escape(times(looker.not_shown) if looker.not_shown else "never"),
        escape(listed(looker.saw) or "nothing"),
        escape(looker.first),
        escape(looker.last),
    )


def _events(events: tuple[Event, ...]) -> list[str]:
    lines = ['<h2 id="events">All that happened</h2>']
    if not events:
        return [*lines, "<p>Nothing happened.</p>"]
    rows = ((str(event.number), escape(event.when), _tags(event) + escape(event.text)) for event in events)
    return [*lines, *_table("Each line is one thing that happened, in order", ("Line", "When", "What happened"), rows)]


def tags_of(event: Event) -> list[tuple[str, str]]:
    """What is set apart about an event: a kind, for the style, and the words."""
    tags = []
    if event.asked is Asked.BEST_INTERESTS:
        tags.append(("best-interests", "You could not be asked: best interests"))
    if event.asked is Asked.LAW:
        tags.append(("law", "You were not asked: the law"))
    if event.what is What.REFUSED:
        tags.append(("stopped", "Stopped: nothing was shown"))
    if not event.proven:
        tags.append(("new", "New: not proven yet"))
    return tags


def _tags(event: Event) -> str:
    return "".join(f'<span class="tag {kind}">{escape(told)}</span> ' for kind, told in tags_of(event))


def _table(caption: str, heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    """Cells are HTML already, caption and heads are text. The first cell of a row is its head."""
    lines = ["<table>", f"<caption>{escape(caption)}</caption>", "<thead><tr>"]
    lines += [f'<th scope="col">{escape(head)}</th>' for head in heads]
    lines += ["</tr></thead>", "<tbody>"]
    for first, *others in rows:
        lines.append(
            "<tr>" + f'<th scope="row">{first}</th>' + "".join(f"<td>{cell}</td>" for cell in others) + "</tr>"
        )
    return [*lines, "</tbody>", "</table>"]


def _proof(report: Report) -> list[str]:
    data = base64.b64encode(as_json(report)).decode()
    return [
        '<h2 id="proof">How to check that nothing is left out</h2>',
        f"<p>{escape(report.complete)}</p>",
        "<p>You need not believe us. Our log is signed, so that nobody can take a line out or change it, and not be "
        "found out. Give the file below to somebody who knows computers, or to your solicitor.</p>",
        f'<p class="screen"><a download="access-report.json" href="{_DATA}{data}">Save the file that proves this '
        "list</a>. It holds more about the staff than this page does: keep it safe.</p>",
        "<p>This is what was signed:</p>",
        f"<pre>{escape(report.proof.note)}</pre>",
    ]
