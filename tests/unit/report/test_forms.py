"""CSV, the page and JSON: what they hold, and that nothing which somebody typed can do anything in them."""

from __future__ import annotations

import csv
import io
import json
import re
from html.parser import HTMLParser
from itertools import pairwise

import msgspec
import pytest

from gateway.audit.report.as_csv import COLUMNS, as_csv, harmless
from gateway.audit.report.as_html import as_html, report_in
from gateway.audit.report.as_json import NotAReport, as_json, from_json
from gateway.audit.report.check import check_report
from gateway.audit.report.model import Report
from gateway.audit.row import Kind, Lawful
from tests.unit.report.world import DOCTOR, GP, KEY, NOBODY, PATIENT, World

EVIL = '=HYPERLINK("http://x","y")<script>alert(1)</script>"\'&amp;'


@pytest.fixture
async def report() -> Report:
    world = World()
    evil = msgspec.structs.replace(GP, name=EVIL, organisation_name=f"@{EVIL}")
    world.look(who=evil)
    world.look(who=DOCTOR, basis="best-interests", reason_code="emergency")
    world.add(Kind.REFUSAL, rule="choice.opted-out")
    lawful = Lawful(basis="statute", reference=f"+{EVIL}", recipient=f"-{EVIL}", policy="x")
    world.add(Kind.DISCLOSURE, who=None, lawful=lawful, seen={"results": 1})
    await world.sign()
    world.add(Kind.AUDIT_READ)
    return await world.maker.make(PATIENT)


class Page(HTMLParser):
    """The tags of a page that are open, and whether each was closed in its turn."""

    VOID = frozenset({"meta", "br"})

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(page.decode())
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


async def test_csv_has_one_line_an_event(report: Report) -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(report).decode("utf-8-sig"), newline="")))
    assert tuple(rows[0]) == COLUMNS
    assert [row["what happened"] for row in rows] == [event.what for event in report.events]
    assert [row["in words"] for row in rows][1] == report.events[1].text
    assert rows[1]["were you asked"] == "no-best-interests"
    assert rows[2]["why nothing was shown"] == "you had opted out"
    assert [row["proven"] for row in rows] == ["yes", "yes", "yes", "yes", "not yet"]


async def test_no_cell_of_csv_is_a_formula(report: Report) -> None:
    rows = list(csv.reader(io.StringIO(as_csv(report).decode("utf-8-sig"), newline="")))
    cells = [cell for row in rows for cell in row]
    assert not [cell for cell in cells if cell.lstrip().startswith(("=", "+", "-", "@"))]
    assert f"'{EVIL}"[:100] in {cell[:100] for cell in cells}


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", "\r", " =", "\u00a0=", "\uff1d"])
def test_a_cell_that_a_spreadsheet_would_run_is_quoted(start: str) -> None:
    assert harmless(f"{start}1+1") == f"'{start}1+1"
    assert harmless("1+1") == "1+1"


async def test_the_page_is_well_formed_and_self_contained(report: Report) -> None:
    page = Page(as_html(report))
    assert page.open == []
    tags = [tag for tag, _ in page.tags]
    assert not {"script", "img", "link", "iframe", "object", "form", "base"} & set(tags)
    assert dict(page.tags)["html"] == {"lang": "en-GB"}
    addresses = [value for _, given in page.tags for name, value in given.items() if name in ("href", "src")]
    assert all(value and value.startswith(("#", "data:application/json;base64,")) for value in addresses)
    assert not [name for _, given in page.tags for name in given if name.startswith("on")]
    assert "url(" not in as_html(report).decode()
    assert "@import" not in as_html(report).decode()


async def test_the_page_is_accessible(report: Report) -> None:
    page = Page(as_html(report))
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(later - one <= 1 for one, later in pairwise(levels))
    tables = sum(tag == "table" for tag, _ in page.tags)
    assert tables == sum(tag == "caption" for tag, _ in page.tags) == len(report.organisations) + 1
    assert {given.get("scope") for tag, given in page.tags if tag == "th"} == {"col", "row"}
    assert ("a", {"class": "skip", "href": "#main"}) in page.tags
    assert "main" in [given.get("id") for _, given in page.tags]
    assert any("@media print" in text for text in page.texts)


async def test_the_page_marks_in_words_what_matters(report: Report) -> None:
    text = " ".join(Page(as_html(report)).texts)
    for said in (
        "At a glance", "You could not be asked: best interests", "You were not asked: the law",
        "Stopped: nothing was shown", "New: not proven yet", "999 000 0409", report.complete,
    ):  # fmt: skip
        assert said in text


async def test_what_somebody_typed_is_text_in_the_page(report: Report) -> None:
    page = Page(as_html(report))
    assert b"<script>alert" not in as_html(report)
    assert any("<script>alert(1)</script>" in text for text in page.texts)


async def test_a_page_of_nobody_has_no_empty_table() -> None:
    world = World()
    world.look()
    await world.sign()
    empty = await world.maker.make(NOBODY)
    page = Page(as_html(empty))
    assert "table" not in [tag for tag, _ in page.tags]
    assert "Nothing happened." in page.texts
    assert check_report(as_html(empty), KEY.public) == []


async def test_json_comes_back_as_it_was(report: Report) -> None:
    assert from_json(as_json(report)) == report
    assert from_json(report_in(as_html(report))) == report
    shown = json.loads(as_json(report))
    assert shown["format"] == "connect-care-access-report/1"
    assert list(shown)[-1] == "proof"


@pytest.mark.parametrize(
    "data",
    [
        b"", b"null", b"[]", b"{}", b"\xff", b"{" * 100_000, b'{"format": 1}', b"<html></html>", b"  <",
        b'<a href="data:application/json;base64,AAAA"><a href="data:application/json;base64,AAAA">',
        b'<a href="data:application/json;base64,AAAA">',
    ],
)  # fmt: skip
def test_what_is_no_report_is_called_so(data: bytes) -> None:
    [problem] = check_report(data, KEY.public)
    assert "no access report" in problem or "isn't an access report" in problem


@pytest.mark.parametrize("page", [b"<p>nothing</p>", b'href="data:application/json;base64,A"'])
def test_a_page_without_a_report(page: bytes) -> None:
    with pytest.raises(NotAReport):
        report_in(page)
