"""A live look: parts as sources answer, each released before it is sent, and an end that says what it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from connectors.sdk.errors import SourceTimeout
from connectors.sdk.model import SECTION_OF_TYPE, Section
from gateway.audit.row import Kind
from gateway.audit.shown import Verdict, compare, read_resources
from gateway.demo.identity import LIFETIME_SECONDS
from gateway.explain.explain import Explainer
from gateway.store.interface import Kept
from tests.flow.stack import GRACE, TOMASZ, Stack, outcome, resources, running, told
from tests.flow.streaming import STREAM, Event, Held, Holding, Open, everything, streaming
from tests.flow.test_audit_failure import Failing
from tests.flow.test_sign_in_ends import end as end_sign_in

SLOW = "703"
"""It knows none of the patients: what it says changes nothing but what is known."""


@pytest.fixture(scope="module")
def holding() -> Holding:
    return Holding((SLOW, "RJ2"))


@pytest.fixture(scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory, holding: Holding) -> AsyncIterator[Stack]:
    data = Path(tmp_path_factory.mktemp("live"))
    async with running(data, canaries=False, around=holding.around, deadline=30) as stack:
        yield stack


@pytest.fixture
async def live(shared: Stack, holding: Holding) -> Stack:
    """The one slow source holds its answer; RJ2 doesn't, unless a test says so."""
    holding.hold_again()
    holding.let_go("RJ2")
    await shared.choose(GRACE, "opted-in")
    await shared.agree(GRACE)
    return shared


@pytest.fixture
def slow(holding: Holding, live: Stack) -> Held:
    return holding.held[SLOW]


async def rows_of(stack: Stack, event: Event) -> list[Kept]:
    return await stack.parts.store.rows(request_id=event.id.partition("/")[0])


async def kinds_of(stack: Stack, event: Event) -> list[Kind]:
    return [kept.row.kind for kept in await rows_of(stack, event)]


async def first_of(answer: Open) -> Event:
    event = await answer.event()
    assert event is not None
    return event


def types(event: Event) -> list[str]:
    return [one["resourceType"] for one in resources(event.data)]


async def test_parts_come_while_a_source_hangs_and_the_last_one_names_it(live: Stack, slow: Held) -> None:
    async with streaming(live, everything(GRACE)) as answer:
        parts = [await first_of(answer)]
        assert (await answer.begun(), answer.headers["content-type"]) == (200, f"{STREAM}; charset=utf-8")
        while "AllergyIntolerance" not in types(parts[-1]):
            parts.append(await first_of(answer))
        assert not slow.go.is_set()
        assert {part.name for part in parts} == {"part"}
        assert any("Royal Borough of Greenwich" in one and "Still to come" in one for one in outcome(parts[0].data))
        slow.fails = SourceTimeout("hung")
        slow.go.set()
        *others, last = await answer.events()
    assert {part.name for part in others} <= {"part"}
    assert last.name == "complete"
    assert f"{SLOW}=timed-out;missing=demographics+contacts+care-team" in [
        tag["code"] for tag in last.data["meta"]["tag"]
    ]
    assert any("Royal Borough of Greenwich did not answer in time" in one for one in outcome(last.data))
    assert "Patient" in types(last)
    assert not {"Patient", "Linkage"} & {kind for part in parts for kind in types(part)}


async def test_urgent_sections_come_first_in_a_part(live: Stack, slow: Held) -> None:
    async with streaming(live, everything(GRACE)) as answer:
        part = await first_of(answer)
        while "AllergyIntolerance" not in types(part):
            part = await first_of(answer)
    matches = [entry["resource"]["resourceType"] for entry in part.data["entry"] if entry["search"]["mode"] == "match"]
    sections = [list(Section).index(SECTION_OF_TYPE[kind]) for kind in matches]
    assert sections == sorted(sections)
    assert matches[0] == "AllergyIntolerance"


async def test_each_part_is_a_row_before_it_is_sent(live: Stack, slow: Held) -> None:
    async with streaming(live, everything(GRACE)) as answer:
        part = await first_of(answer)
        [intent, release, *_] = await rows_of(live, part)
        assert (intent.row.kind, release.row.kind, release.row.intent) == (Kind.INTENT, Kind.RELEASE, intent.seq)
        assert sum(release.row.seen.values()) == len(resources(part.data))
        assert set(release.row.sources) == {
            tag["code"].partition("=")[0] for tag in part.data["meta"]["tag"] if tag["system"].endswith(":sources")
        }
        slow.go.set()
        events = [part, *await answer.events()]
    rows = await rows_of(live, part)
    assert [kept.row.kind for kept in rows] == [Kind.INTENT, *[Kind.RELEASE] * len(events)]
    found = compare(read_resources(answer.all), rows, live.parts.sealer)
    assert {each.verdict for each in found} == {Verdict.SHOWN, Verdict.NOT_CLINICAL}
    explained = await Explainer(live.parts.store, live.parts.sealer).explain("", rows)
    assert [event.ended for event in explained.events if event.kind == "intent"] == [rows[-1].seq]


@pytest.mark.parametrize("end", ["opt-out", "withdrawal", "journal", "signed out", "expired"])
async def test_what_forbids_the_next_part_ends_the_stream_in_words(
    live: Stack, slow: Held, monkeypatch: pytest.MonkeyPatch, holding: Holding, end: str
) -> None:
    holding.held["RJ2"].go.clear()
    own = {"Authorization": f"Bearer {live.demo.mint('gp', claims={'sid': end})}"}
    async with streaming(live, everything(GRACE), headers=own) as answer:
        part = await first_of(answer)
        await end_it(live, end, monkeypatch)
        holding.let_go("RJ2")
        *others, stopped = await answer.events()
    assert stopped.name == "stopped"
    assert not {"RJ2", "complete"} & {event.name for event in others}
    assert stopped.data["resourceType"] == "OperationOutcome"
    assert WORDS[end] in stopped.data["issue"][0]["details"]["text"]
    assert slow.cut == 1
    if end != "journal":
        last = (await rows_of(live, part))[-1].row
        assert (last.kind, last.rule) == (Kind.REFUSAL, RULES[end])


WORDS = {
    "opt-out": "opted out", "withdrawal": "permission", "journal": "audit journal", "signed out": "sign-in was ended",
    "expired": "has expired",
}  # fmt: skip
RULES = {
    "opt-out": "choice.opted-out", "withdrawal": "permission.ended", "signed out": "token.revoked",
    "expired": "token.expired",
}  # fmt: skip


async def end_it(stack: Stack, end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if end == "opt-out":
        await stack.choose(GRACE, "opted-out")
    elif end == "signed out":
        assert (await end_sign_in(stack, sid=end)).status_code == 200
    elif end == "expired":
        tokens = stack.parts.callers._tokens
        monkeypatch.setattr(tokens, "_clock", lambda: stack.demo.clock() + LIFETIME_SECONDS)
    elif end == "withdrawal":
        body = {"nhsNumber": GRACE, "statedBy": "patient", "channel": "phone"}
        assert (await stack.post("/permissions/_withdraw", body, "privacy-officer")).status_code == 200
    else:
        Failing(monkeypatch, Kind.RELEASE)


async def test_whoever_goes_away_ends_the_calls_and_leaves_a_row(live: Stack, slow: Held) -> None:
    async with streaming(live, everything(GRACE)) as answer:
        part = await first_of(answer)
        await answer.hang_up()
    assert slow.cut == 1
    *_, last = await rows_of(live, part)
    assert (last.row.kind, last.row.rule, last.row.status) == (Kind.REFUSAL, "live.cut-short", 499)
    state = live.parts.fan_out.states[SLOW]
    assert not state.under_way


async def test_a_part_that_nobody_reads_holds_the_next_one_back(live: Stack, slow: Held, holding: Holding) -> None:
    holding.held["RJ2"].go.clear()
    read = asyncio.Event()
    async with streaming(live, everything(GRACE)) as answer:
        answer.reads = read.wait
        part = await first_of(answer)
        holding.let_go()
        for _ in range(100):
            await asyncio.sleep(0)
        assert await kinds_of(live, part) == [Kind.INTENT, Kind.RELEASE]
        read.set()
        assert (await answer.events())[-1].name == "complete"


async def test_a_look_in_parts_is_one_look(live: Stack, slow: Held) -> None:
    report = {"nhsNumber": TOMASZ, "format": "json"}
    await live.agree(TOMASZ)
    async with streaming(live, everything(TOMASZ)) as answer:
        slow.go.set()
        assert len(await answer.events()) >= 1
    await live.parts.checkpointer.checkpoint()
    made = await live.post("/access-reports", report, "privacy-officer")
    assert made.status_code == 200, made.text
    looked = [event for event in made.json()["events"] if event["what"] == "looked"]
    assert len(looked) == 1


async def test_a_relationship_that_no_part_shows_is_looked_into_where_the_look_was_cut_short(
    live: Stack, slow: Held
) -> None:
    """Otherwise whoever goes away early enough would never be noticed."""
    async with streaming(live, everything(GRACE)) as answer:
        part = await first_of(answer)
        await answer.hang_up()
    releases = [kept.row for kept in await rows_of(live, part) if kept.row.kind is Kind.RELEASE]
    assert {row.relationship for row in releases} == {"not-asked"}
    slow.go.set()
    async with streaming(live, everything(GRACE)) as answer:
        whole = (await answer.events())[-1]
    assert (await rows_of(live, whole))[-1].row.relationship == "registered"


async def test_before_the_first_part_a_refusal_is_an_ordinary_answer(live: Stack) -> None:
    answer = await live.get(everything(GRACE), "nurse", headers={"Accept": STREAM})
    assert answer.status_code == 403
    assert "POST /permissions" in told(answer)


@pytest.mark.parametrize(
    ("query", "headers", "status", "words"),
    [
        ("", {"Last-Event-ID": "abc/2"}, 409, "can't be continued"),
        ("_count=10", {}, 400, "no pages"),
        ("_cursor=abc", {}, 400, "_cursor"),
        ("_type=Nonsense", {}, 400, "_type"),
    ],
)
async def test_what_a_stream_cannot_do_is_refused_before_anybody_is_asked(
    live: Stack, query: str, headers: dict[str, str], status: int, words: str
) -> None:
    before = live.calls()
    answer = await live.get(everything(GRACE, query), headers={"Accept": STREAM, **headers})
    assert answer.status_code == status
    assert words in told(answer)
    assert live.calls() == before
    [*_, last] = await live.parts.store.rows(request_id=answer.headers["X-Request-ID"])
    assert last.row.kind is Kind.REFUSAL


async def test_a_head_is_refused(live: Stack) -> None:
    headers = {"Accept": STREAM, **live.headers("gp")}
    assert (await live.client.head(everything(GRACE), headers=headers)).status_code == 400


async def test_it_is_posted_too_and_a_body_that_is_wrong_is_told(live: Stack, slow: Held) -> None:
    slow.go.set()
    headers = {"Accept": STREAM, **live.headers("gp")}
    body = {"resourceType": "Parameters", "parameter": [{"name": "_type", "valueCode": "AllergyIntolerance"}]}
    answer = await live.client.post(everything(GRACE), json=body, headers=headers)
    assert answer.headers["content-type"].startswith(STREAM)
    assert answer.text.count("event: complete\n") == 1
    wrong = await live.client.post(everything(GRACE), json={"resourceType": "Bundle"}, headers=headers)
    assert (wrong.status_code, "Parameters" in told(wrong)) == (400, True)
