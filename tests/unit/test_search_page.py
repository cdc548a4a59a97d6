"""Pages and cursors: stable over what may change between them, and of use to nobody else."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from connectors.sdk.model import Findings, Gap, Item, Outcome, Section, SourceWarning
from gateway.errors import BadRequest, Gone
from gateway.manifest import ManifestLine
from gateway.sealed import Sealer
from gateway.search import find
from gateway.search.everything import parse_everything
from gateway.search.include import referred
from gateway.search.page import CURSOR_SECONDS, EVERYTHING_PAGE, Page, Pager, digest_of
from gateway.search.parse import parse
from gateway.search.query import Continuation, Query

PATIENT = "9990000018"
OTHER = "9990000026"
BASE = "https://connect-care.example/fhir/R4"
SAID = digest_of([ManifestLine("RJ2", "Trust", Outcome.ANSWERED)])
ANNA, BEN = "issuer|anna|r1|RJ2", "issuer|ben|r2|G85005"


@dataclass
class Shown:
    resource: dict[str, Any]


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 5, 1, 12, 0, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pager(clock: Clock) -> Pager:
    return Pager(Sealer(b"k" * 32), "https://connect-care.example/", clock)


def record(count: int) -> list[Shown]:
    return [Shown({"resourceType": "Observation", "id": f"o{number}", "status": "final"}) for number in range(count)]


def first(*pairs: tuple[str, str]) -> Query:
    query = parse("Observation", [("patient", PATIENT), *pairs])
    assert isinstance(query, Query)
    return query


def link(page: Page[Any], relation: str) -> str:
    return next((one.url for one in page.links if one.relation == relation), "")


def cursor_of(url: str) -> str:
    ((name, cursor),) = parse_qsl(urlsplit(url).query)
    assert name == "_cursor"
    return cursor


def follow(pager: Pager, url: str, who: str = ANNA) -> Query:
    found = parse("Observation", parse_qsl(urlsplit(url).query))
    assert isinstance(found, Continuation)
    return pager.resume(found, who)


def names(page: Page[Shown]) -> list[str]:
    return [item.resource["id"] for item in page.items]


def test_all_pages_together_are_the_whole_once(pager: Pager) -> None:
    shown = record(7)
    query, seen = first(("_count", "3"), ("_sort", "-_id"), ("status", "final")), []
    while True:
        page = pager.page(query, find(query, shown), ANNA, SAID)
        assert page.total == 7
        seen += names(page)
        if not link(page, "next"):
            break
        assert PATIENT not in link(page, "next")
        assert link(page, "next").startswith(f"{BASE}/Observation?_cursor=")
        query = follow(pager, link(page, "next"))
    assert seen == [f"o{number}" for number in reversed(range(7))]


def test_a_page_size_beside_a_cursor_neither_repeats_nor_skips(pager: Pager) -> None:
    shown = record(7)
    begin = pager.page(first(("_count", "2")), shown, ANNA, SAID)
    longer = pager.page(follow(pager, link(begin, "next") + "&_count=4"), shown, ANNA, SAID)
    rest = pager.page(follow(pager, link(longer, "next")), shown, ANNA, SAID)
    assert (names(begin), names(longer), names(rest)) == (["o0", "o1"], ["o2", "o3", "o4", "o5"], ["o6"])


def test_links_of_the_first_middle_and_last_page(pager: Pager) -> None:
    shown = record(5)
    begin = pager.page(first(("_count", "2"), ("code:x".partition(":")[0], "a|b,c")), shown, ANNA, SAID)
    assert link(begin, "self") == f"{BASE}/Observation?patient={PATIENT}&_count=2&code=a%7Cb,c"
    assert [one.relation for one in begin.links] == ["self", "first", "next"]
    middle = pager.page(follow(pager, link(begin, "next")), shown, ANNA, SAID)
    assert [one.relation for one in middle.links] == ["self", "first", "next"]
    assert link(middle, "self") == link(begin, "next")
    last = pager.page(follow(pager, link(middle, "next")), shown, ANNA, SAID)
    assert [one.relation for one in last.links] == ["self", "first"]
    assert names(pager.page(follow(pager, link(last, "first")), shown, ANNA, SAID)) == ["o0", "o1"]


def test_one_page_has_a_self_link_alone(pager: Pager) -> None:
    page = pager.page(first(), record(50), ANNA, SAID)
    assert [one.relation for one in page.links] == ["self"]
    assert len(pager.page(first(), record(51), ANNA, SAID).items) == 50


def test_count_alone(pager: Pager) -> None:
    for pair in (("_count", "0"), ("_summary", "count")):
        page = pager.page(first(pair), record(60), ANNA, SAID)
        assert (page.items, page.total, len(page.links)) == ((), 60, 1)


def test_what_came_or_went_between_pages_neither_repeats_nor_skips(pager: Pager) -> None:
    shown = record(6)
    url = link(pager.page(first(("_count", "2")), shown, ANNA, SAID), "next")
    inserted = [Shown({"resourceType": "Observation", "id": "new"}), *shown]
    assert names(pager.page(follow(pager, url), inserted, ANNA, SAID)) == ["o2", "o3"]
    assert names(pager.page(follow(pager, url), shown[1:], ANNA, SAID)) == ["o2", "o3"]


def test_where_the_last_item_is_gone_nobody_guesses_where_to_go_on(pager: Pager) -> None:
    """By the index alone, `o2` would be on no page: it moved up to a place that the first page had covered."""
    shown = record(6)
    url = link(pager.page(first(("_count", "2")), shown, ANNA, SAID), "next")
    for left in ([shown[0], *shown[2:]], []):
        with pytest.raises(Gone, match="Begin again with the first page") as raised:
            pager.page(follow(pager, url), left, ANNA, SAID)
        assert (raised.value.status, raised.value.code, raised.value.rule) == (410, "conflict", "search.cursor-stale")


def line(outcome: Outcome = Outcome.ANSWERED, gaps: dict[Section, Gap] | None = None, **more: Any) -> ManifestLine:
    return ManifestLine("RJ2", "Trust", outcome, gaps or {}, **more)


RESULTS_FAILED, RESULTS_HELD = {Section.RESULTS: Gap.FAILED}, {Section.RESULTS: Gap.HELD_BACK}


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (line(), line(Outcome.FAILED, RESULTS_FAILED)),
        (line(Outcome.FAILED, RESULTS_FAILED), line()),
        (line(), line(Outcome.NO_RECORD)),
        (line(), line(Outcome.PARTIAL, RESULTS_FAILED)),
        (line(Outcome.PARTIAL, RESULTS_HELD), line(Outcome.PARTIAL, RESULTS_FAILED)),
        (line(Outcome.NOT_ASKED), line(Outcome.NOT_ASKED, {Section.RESULTS: Gap.NOT_ASKED})),
    ],
)
def test_where_a_source_says_another_thing_the_client_begins_again(
    pager: Pager, before: ManifestLine, now: ManifestLine
) -> None:
    shown = record(5)
    url = link(pager.page(first(("_count", "2")), shown, ANNA, digest_of([before])), "next")
    page = pager.page(follow(pager, url), shown, ANNA, digest_of([before]))
    assert names(page) == ["o2", "o3"]
    with pytest.raises(Gone):
        pager.page(follow(pager, url), shown, ANNA, digest_of([now]))
    assert names(pager.page(follow(pager, link(page, "first")), shown, ANNA, digest_of([now]))) == ["o0", "o1"]


def test_why_a_source_gives_nothing_may_change_between_pages() -> None:
    """A source that is down must not keep anybody from the others' pages: it times out, fails, then isn't asked."""
    silent = [
        line(Outcome.TIMED_OUT, {Section.RESULTS: Gap.TIMED_OUT}, told="did not answer in time"),
        line(Outcome.FAILED, RESULTS_FAILED),
        line(Outcome.NOT_ASKED, {Section.RESULTS: Gap.NOT_ASKED}),
    ]
    assert len({digest_of([one]) for one in silent}) == 1
    assert digest_of([line(warnings=(SourceWarning(None, "x", "y"),), told="answered")]) == digest_of([line()])


def test_a_cursor_is_its_callers_own(pager: Pager) -> None:
    url = link(pager.page(first(("_count", "2")), record(5), ANNA, SAID), "next")
    with pytest.raises(BadRequest, match="is not one that this server gave you"):
        follow(pager, url, BEN)


def test_no_altered_cursor_opens(pager: Pager) -> None:
    cursor = cursor_of(link(pager.page(first(("_count", "2")), record(5), ANNA, SAID), "next"))
    for place in range(0, len(cursor), 7):
        altered = cursor[:place] + ("A" if cursor[place] != "A" else "B") + cursor[place + 1 :]
        with pytest.raises(BadRequest):
            pager.resume(Continuation("Observation", altered), ANNA)
    with pytest.raises(BadRequest):
        pager.resume(Continuation("Observation", "x"), ANNA)


def test_a_cursor_belongs_to_its_type_and_operation(pager: Pager) -> None:
    cursor = cursor_of(link(pager.page(first(("_count", "2")), record(5), ANNA, SAID), "next"))
    for other in (
        Continuation("Encounter", cursor),
        Continuation("Patient", cursor, everything=True, patient=PATIENT),
        Continuation("Observation", cursor, everything=True, patient=PATIENT),
    ):
        with pytest.raises(BadRequest, match="another search"):
            pager.resume(other, ANNA)


def test_a_cursor_expires_after_a_quarter_of_an_hour(pager: Pager, clock: Clock) -> None:
    url = link(pager.page(first(("_count", "2")), record(5), ANNA, SAID), "next")
    clock.now += timedelta(seconds=CURSOR_SECONDS)
    follow(pager, url)
    clock.now += timedelta(seconds=1)
    with pytest.raises(BadRequest, match="expired"):
        follow(pager, url)
    clock.now -= timedelta(hours=1)
    with pytest.raises(BadRequest, match="expired"):
        follow(pager, url)


def test_a_cursor_of_another_version_or_inside_a_cursor_is_refused(pager: Pager, clock: Clock) -> None:
    sealer = Sealer(b"k" * 32)
    state = {"v": 2, "t": "Observation", "p": "", "q": [], "a": "", "s": "", "at": int(clock.now.timestamp())}
    for changed in ({"v": 1}, {"q": [("_cursor", "abc")]}):
        cursor = sealer.seal_cursor({**state, **changed}, ANNA)
        with pytest.raises(BadRequest, match="another search"):
            pager.resume(Continuation("Observation", cursor), ANNA)


class TestEverything:
    def test_pages_of_one_patients_everything(self, pager: Pager) -> None:
        query = parse_everything(PATIENT, [("_type", "Observation"), ("_count", "2")])
        assert isinstance(query, Query)
        page = pager.page(query, find(query, record(3)), ANNA, SAID)
        assert link(page, "self") == f"{BASE}/Patient/{PATIENT}/$everything?_type=Observation&_count=2"
        url = link(page, "next")
        assert url.startswith(f"{BASE}/Patient/{PATIENT}/$everything?_cursor=")
        found = parse_everything(PATIENT, parse_qsl(urlsplit(url).query))
        assert isinstance(found, Continuation)
        again = pager.resume(found, ANNA)
        assert again.types == frozenset({"Observation"})
        assert names(pager.page(again, find(again, record(3)), ANNA, SAID)) == ["o2"]
        other = parse_everything(OTHER, [("_cursor", found.cursor)])
        assert isinstance(other, Continuation)
        with pytest.raises(BadRequest, match="another search"):
            pager.resume(other, ANNA)

    def test_the_whole_record_is_one_page_up_to_5000(self, pager: Pager) -> None:
        query = parse_everything(PATIENT, [])
        assert isinstance(query, Query)
        assert len(pager.page(query, record(EVERYTHING_PAGE), ANNA, SAID).links) == 1
        page = pager.page(query, record(EVERYTHING_PAGE + 1), ANNA, SAID)
        assert (len(page.items), page.total) == (EVERYTHING_PAGE, EVERYTHING_PAGE + 1)
        assert link(page, "self") == f"{BASE}/Patient/{PATIENT}/$everything"


class TestIncluded:
    library = {  # noqa: RUF012 - read only
        "Medication/m": Shown(
            {"resourceType": "Medication", "id": "m", "manufacturer": {"reference": "Organization/o"}}
        ),
        "Organization/o": Shown({"resourceType": "Organization", "id": "o", "partOf": {"reference": "Organization/o"}}),
        "Practitioner/p": Shown({"resourceType": "Practitioner", "id": "p"}),
        "Condition/c": Shown({"resourceType": "Condition", "id": "c"}),
    }
    prescription = Shown(
        {
            "resourceType": "MedicationRequest",
            "id": "a",
            "medicationReference": {"reference": "Medication/m"},
            "requester": {"reference": "Practitioner/p"},
            "reasonReference": [{"reference": "Condition/c"}, {"reference": "Medication/gone"}, {"display": "x"}],
        }
    )

    def included(self, pager: Pager, *pairs: tuple[str, str]) -> list[str]:
        query = parse("MedicationRequest", [("patient", PATIENT), *pairs])
        assert isinstance(query, Query)
        page = pager.page(query, [self.prescription, self.prescription], ANNA, SAID)
        return [item.resource["id"] for item in referred(page, self.library.get)]

    def test_what_the_page_refers_to_and_what_that_refers_to(self, pager: Pager) -> None:
        assert self.included(pager) == ["m", "p", "o"]

    def test_only_what_is_sent_brings_its_target_along(self, pager: Pager) -> None:
        assert self.included(pager, ("_elements", "status")) == ["m", "o"]
        assert self.included(pager, ("_summary", "true")) == ["m", "p", "o"]
        assert self.included(pager, ("_summary", "text")) == []
        assert self.included(pager, ("_count", "0")) == []

    def test_what_the_guard_found_saves_a_second_walk_and_says_the_same(self, pager: Pager) -> None:
        def item(resource: dict[str, Any], *references: str) -> Item:
            findings = Findings(references=[{"reference": reference} for reference in references])
            return Item("RJ2", resource, None, resource["id"], sealed_id=resource["id"], findings=findings)

        query = parse("MedicationRequest", [("patient", PATIENT)])
        assert isinstance(query, Query)
        medication = item({"resourceType": "Medication", "id": "m"}, "Organization/o")
        library = {"Medication/m": medication, "Organization/o": item({"resourceType": "Organization", "id": "o"})}
        match = item({"resourceType": "MedicationRequest", "id": "a"}, "Medication/m", "#local", "Patient/p")
        page = pager.page(query, [match], ANNA, SAID)
        assert [one.sealed_id for one in referred(page, library.get)] == ["m", "o"]
