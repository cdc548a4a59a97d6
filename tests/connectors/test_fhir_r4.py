"""`fhir_r4` against the sandboxes: what it asks, what it brings, and what it makes of a system that is ill."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from connectors.fhir_r4.sandbox import create_app, holdings
from connectors.fhir_r4.sandbox.flavours import Flavour
from connectors.kit.faults import Mode
from connectors.kit.sandbox import Sandbox
from connectors.sdk.errors import (
    Busy,
    NoRecord,
    Refused,
    SourceError,
    SourceTimeout,
    TooMuch,
    Unwell,
    WrongContent,
)
from connectors.sdk.model import NHS_NUMBER_SYSTEM, SECTION_OF_TYPE, Answer, Gap, Outcome, Section
from tests.connectors.asking import ALL, Source, asking, connected
from tests.leaping import BACKEND

GRACE, ELSIE, STRANGER = "9990000409", "9990000964", "9990000018"
BOTH_WAYS = pytest.mark.parametrize("patient_by", ["identifier", "logical-id"])


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Seconds of this module pass by leaps: none of it depends on how fast the machine is."""
    return BACKEND


def held(ods: str, nhs_number: str) -> Counter[str]:
    """How many resources of each section's types a sandbox holds of a patient, by its own books."""
    found = holdings(ods)
    patient = next(iter(found.patient_ids[NHS_NUMBER_SYSTEM, nhs_number]))
    return Counter({kind: len(stored) for kind, stored in found.by_patient[patient].items() if kind in SECTION_OF_TYPE})


def sections_of(answer: Answer) -> Counter[str]:
    """How many different resources of each section's types an answer brings."""
    return Counter(kind for kind, _ in {(item.type, item.original_id) for item in answer.items if item.section})


@BOTH_WAYS
@pytest.mark.parametrize(("ods", "nhs_number"), [("RJ2", GRACE), ("G85005", GRACE), ("RJ2", ELSIE), ("RPG", GRACE)])
async def test_everything_that_a_source_holds_comes_whatever_the_way(
    ods: str, nhs_number: str, patient_by: str
) -> None:
    sandbox = create_app(ods)
    async with connected(sandbox, patient_by=patient_by, page_size=7) as connector:
        answer = await connector.ask(asking(nhs_number))
    assert (answer.outcome, answer.gaps, answer.detail) == (Outcome.ANSWERED, {}, "")
    assert sections_of(answer) == held(ods, nhs_number) | Counter({"Patient": 1})
    assert answer.calls == sandbox.state()["calls"]["total"]
    assert {item.source for item in answer.items} == {"RJ2"}
    for item in answer.items:
        assert item.section == SECTION_OF_TYPE.get(item.type)
        assert item.findings is not None


@BOTH_WAYS
async def test_no_search_may_be_answered_from_a_memory_of_the_sources(patient_by: str) -> None:
    source = Source()
    async with connected(source, patient_by=patient_by, headers={"Cache-Control": "max-age=60"}) as connector:
        await connector.ask(asking())
    assert len(source.calls) > 10
    assert {question.headers["cache-control"] for question in source.calls} == {"no-cache"}


async def test_pages_are_turned_to_the_last() -> None:
    sandbox = create_app("RJ2", flavour=Flavour(page_size=3))
    async with connected(sandbox, patient_by="identifier") as connector:
        answer = await connector.ask(asking(ELSIE))
    assert answer.outcome is Outcome.ANSWERED
    assert sections_of(answer) == held("RJ2", ELSIE) | Counter({"Patient": 1})
    assert answer.calls > 40


async def test_what_explains_an_item_comes_with_it() -> None:
    async with connected(create_app("RJ2"), patient_by="identifier") as connector:
        answer = await connector.ask(asking(GRACE, frozenset({Section.MEDICINES})))
    medicines = {item.key for item in answer.items if item.type == "Medication"}
    wanted = {
        item.resource["medicationReference"]["reference"]
        for item in answer.items
        if "medicationReference" in item.resource
    }
    assert wanted
    assert medicines == wanted


@pytest.mark.parametrize("ods", ["RJ2", "RPG", "G85004", "G85005", "G83021", "709", "703"])
async def test_where_and_who_come_by_default(ods: str) -> None:
    """Every place, practitioner and organisation that a contact names and its system holds comes with it, once."""
    contacts = frozenset({Section.CONTACTS})
    books = holdings(ods)
    patient = next(stored for stored in books.by_type["Patient"] if books.of_patient(stored.id, "Encounter"))
    (number,) = (code for system, code in patient.tokens["identifier"] if system == NHS_NUMBER_SYSTEM)
    async with connected(create_app(ods), page_size=2) as connector:
        answer = await connector.ask(asking(number, contacts))
    assert (answer.outcome, answer.gaps) == (Outcome.ANSWERED, {})
    brought = Counter(item.key for item in answer.items)
    assert set(brought.values()) == {1}
    named = {
        key
        for stored in books.of_patient(patient.id, "Encounter")
        for name in ("location", "participant", "service-provider")
        for key in stored.include[name]
        if key in books.by_key
    }
    assert any(key.startswith("Location/") for key in named)
    assert named <= set(brought)


async def test_a_source_that_takes_no_includes_is_not_asked_for_any() -> None:
    sandbox = create_app("RJ2")
    async with connected(sandbox, include=[]) as connector:
        answer = await connector.ask(asking(GRACE))
    assert sections_of(answer) == held("RJ2", GRACE) | Counter({"Patient": 1})
    assert None not in {item.section for item in answer.items}


@BOTH_WAYS
async def test_a_stranger_is_not_known(patient_by: str) -> None:
    sandbox = create_app("RJ2")
    async with connected(sandbox, patient_by=patient_by) as connector:
        with pytest.raises(NoRecord):
            await connector.ask(asking(STRANGER))
    if patient_by == "logical-id":
        assert sandbox.state()["calls"]["total"] == 1


@BOTH_WAYS
async def test_only_what_was_asked_for_is_asked_for(patient_by: str) -> None:
    sandbox = create_app("RJ2")
    async with connected(sandbox, patient_by=patient_by) as connector:
        answer = await connector.ask(asking(GRACE, frozenset({Section.ALLERGIES, Section.DEMOGRAPHICS})))
    assert sandbox.state()["calls"]["byPath"] == {"GET /fhir/AllergyIntolerance": 1, "GET /fhir/Patient": 1}
    assert {item.section for item in answer.items} == {Section.ALLERGIES, Section.DEMOGRAPHICS, None}
    assert answer.calls == 2


async def test_a_server_without_links_and_full_urls_is_read_all_the_same() -> None:
    sections = frozenset({Section.DEMOGRAPHICS, Section.CONTACTS, Section.CARE_TEAM})
    async with connected(create_app("709")) as connector:
        answer = await connector.ask(asking(GRACE, sections))
    assert answer.outcome is Outcome.ANSWERED
    assert sections_of(answer) == held("709", GRACE) | Counter({"Patient": 1})
    assert {item.full_url for item in answer.items} == {None}


async def test_a_section_that_a_server_does_not_serve_is_a_gap_of_that_section() -> None:
    async with connected(create_app("709")) as connector:
        answer = await connector.ask(asking(GRACE, frozenset({Section.CONTACTS, Section.RESULTS})))
    assert answer.outcome is Outcome.PARTIAL
    assert answer.gaps == {Section.RESULTS: Gap.FAILED}
    assert answer.told == "answered in part"
    assert "Observation: NotUnderstood: status 404" in answer.detail


async def test_the_proof_goes_with_each_call(tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("secrets") / "key"
    file.write_text("open sesame")
    sandbox = create_app("RJ2", required_header=("X-Key", "open sesame"))
    auth = {"scheme": "header", "name": "X-Key", "value_file": str(file)}
    async with connected(sandbox, auth=auth) as connector:
        assert (await connector.ask(asking(GRACE))).outcome is Outcome.ANSWERED
    async with connected(sandbox) as connector:
        with pytest.raises(Refused):
            await connector.ask(asking(GRACE))


def make(sandbox: Sandbox, mode: Mode, delay_ms: int = 0) -> None:
    sandbox.switch.mode = mode
    sandbox.switch.delay_ms = delay_ms


@BOTH_WAYS
@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (Mode.BROKEN, Unwell),
        (Mode.BUSY, Busy),
        (Mode.REFUSING, Refused),
        (Mode.REDIRECTING, WrongContent),
        (Mode.GARBAGE, WrongContent),
        (Mode.BOMB, TooMuch),
        (Mode.HUNG, SourceTimeout),
    ],
)
async def test_a_system_that_is_ill_is_one_clear_error(
    mode: Mode, expected: type[SourceError], patient_by: str
) -> None:
    sandbox = create_app("RJ2", canaries=True)
    make(sandbox, mode)
    async with connected(sandbox, patient_by=patient_by) as connector:
        with pytest.raises(expected) as caught:
            await connector.ask(asking(GRACE, seconds=0.3 if mode is Mode.HUNG else 10))
    assert not any(canary in str(caught.value) for canary in sandbox.canaries)


@BOTH_WAYS
async def test_the_one_section_that_fails_is_the_one_gap(patient_by: str) -> None:
    sandbox = create_app("G85005")
    make(sandbox, Mode.NO_ALLERGIES)
    async with connected(sandbox, patient_by=patient_by) as connector:
        answer = await connector.ask(asking(GRACE))
    assert answer.outcome is Outcome.PARTIAL
    assert answer.gaps == {Section.ALLERGIES: Gap.FAILED}
    expected = held("G85005", GRACE) | Counter({"Patient": 1})
    del expected["AllergyIntolerance"]
    assert sections_of(answer) == expected


@BOTH_WAYS
async def test_another_patients_record_is_left_to_the_guard_and_not_searched_further(patient_by: str) -> None:
    sandbox = create_app("RJ2")
    make(sandbox, Mode.LYING)
    async with connected(sandbox, patient_by=patient_by) as connector:
        answer = await connector.ask(asking(GRACE))
    patient = answer.items[0]
    assert patient.findings is not None
    assert GRACE not in patient.findings.nhs_numbers
    if patient_by == "logical-id":
        assert answer.gaps == dict.fromkeys(ALL, Gap.IDENTITY_ALARM)
        assert len(answer.items) == answer.calls == sandbox.state()["calls"]["total"] == 1


async def test_one_ask_counts_its_own_calls_among_many() -> None:
    sandbox = create_app("RJ2")
    async with connected(sandbox, patient_by="identifier") as connector:
        alone = (await connector.ask(asking(GRACE))).calls
        answers = await asyncio.gather(*(connector.ask(asking(GRACE)) for _ in range(8)))
    assert [answer.calls for answer in answers] == [alone] * 8
    assert sandbox.state()["calls"]["total"] == 9 * alone


async def test_sections_are_asked_all_at_once() -> None:
    sandbox = create_app("G85005")
    make(sandbox, Mode.SLOW, delay_ms=300)
    for patient_by, rounds in (("identifier", 1), ("logical-id", 2)):
        async with connected(sandbox, patient_by=patient_by) as connector:
            started = asyncio.get_running_loop().time()
            answer = await connector.ask(asking(GRACE))
            took = asyncio.get_running_loop().time() - started
        assert answer.outcome is Outcome.ANSWERED
        assert took == pytest.approx(rounds * 0.3)  # in turn they would take eleven times 0.3 seconds
