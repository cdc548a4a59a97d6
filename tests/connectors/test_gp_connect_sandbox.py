"""The sandbox of `gp_connect`: what it demands, what it serves, how it lies; and replayed payloads."""

from __future__ import annotations

import base64
import dataclasses
import json
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import httpx2
import pytest

from connectors.gp_connect.directory import APPOINTMENTS, FIND_PATIENT, STRUCTURED_RECORD, stand_in
from connectors.gp_connect.errors import Dissented, NothingToShare
from connectors.gp_connect.jwt import Consumer, token
from connectors.gp_connect.parameters import areas, request
from connectors.gp_connect.replay import MASKED, replaying
from connectors.gp_connect.sandbox import create_app, organisations
from connectors.gp_connect.settings import Device
from connectors.kit.faults import Mode
from connectors.sdk.errors import Busy, Refused, SourceError, TooMuch, Unwell, WrongContent
from connectors.sdk.model import NHS_NUMBER_SYSTEM, Gap, Outcome, Section
from gateway.guard import WRONG_PATIENT, guard
from tests.connectors.asking import ASKED_BY, NHS_NUMBER, asking, ids
from tests.connectors.gp_connect_asking import (
    ADDRESS,
    ALLERGY,
    APPOINTMENT,
    PATIENT,
    PRACTICE,
    SERVED,
    a_list,
    asked_of,
    bundle,
    connected_by,
    empty_lists,
    practice,
    problem,
)

ADEBAYO, CAMPBELL, BENNETT, PATEL, OKAFOR, MURPHY, THOMPSON = (
    "9990000409",
    "9990000611",
    "9990001030",
    "9990000891",
    "9990000689",
    "9990000751",
    "9990000964",
)
UNKNOWN = "9990009996"


async def answer_of(ods: str, nhs_number: str, mode: Mode = Mode.WELL, sections: frozenset[Section] = SERVED) -> Any:
    app = create_app(ods)
    app.switch.mode = mode
    async with asked_of(app, practice(ods)) as connector:
        return await connector.ask(asking(nhs_number, sections))


# ---- the people ----


def test_the_three_practices_are_served() -> None:
    assert organisations() == ("G83021", "G85004", "G85005")
    with pytest.raises(LookupError, match="There is no sandbox data for RJ2"):
        create_app("RJ2")


PEOPLE = [("G85005", ADEBAYO), ("G85005", PATEL), ("G85005", THOMPSON), ("G85004", "9990000476")]
PEOPLE += [("G83021", number) for number in ("9990000549", OKAFOR, MURPHY, "9990000824")]


@pytest.mark.parametrize(("ods", "nhs_number"), PEOPLE)
async def test_every_record_is_whole_translated_and_the_patients(ods: str, nhs_number: str) -> None:
    answer = await answer_of(ods, nhs_number)
    assert (answer.outcome, answer.gaps, answer.calls) == (Outcome.ANSWERED, {}, 3)
    assert {item.section for item in answer.items} >= {Section.DEMOGRAPHICS, Section.ALLERGIES, Section.MEDICINES}
    ask = asking(nhs_number, SERVED)
    guarded = guard([answer], {ods: ask}, lambda _: ADDRESS)
    assert guarded.alarms == []
    assert answer.outcome is Outcome.ANSWERED
    assert all(traced.became or traced.reason for traced in answer.traced)


async def test_the_stories_are_told_in_gp_connects_shape() -> None:
    answer = await answer_of(PRACTICE, ADEBAYO)
    counted = Counter(item.type for item in answer.items)
    assert counted["MedicationStatement"] == 7
    assert counted["MedicationRequest"] == 14  # a plan and an issue each
    systems = {coding["system"] for item in answer.items if item.type == "Medication" for coding in codings(item)}
    assert systems == {"http://snomed.info/sct", "https://fhir.hl7.org.uk/Id/emis-drug-codes"}
    allergies = {
        coding["system"] for item in answer.items if item.type == "AllergyIntolerance" for coding in codings(item)
    }
    assert "http://read.info/readv2" in allergies
    assert counted["Appointment"] == 1


def codings(item: Any) -> Any:
    return item.resource["code"]["coding"]


async def test_a_dissent_at_the_practice_withholds_the_record() -> None:
    with pytest.raises(Dissented):
        await answer_of(PRACTICE, CAMPBELL)


@pytest.mark.parametrize(("ods", "nhs_number"), [(PRACTICE, BENNETT), ("G85004", PATEL), (PRACTICE, UNKNOWN)])
@pytest.mark.parametrize("sections", [SERVED, frozenset({Section.DEMOGRAPHICS})])
async def test_who_died_left_or_never_came_is_not_found(ods: str, nhs_number: str, sections: Any) -> None:
    with pytest.raises(NothingToShare):
        await answer_of(ods, nhs_number, sections=sections)


async def test_confidential_items_are_owned_up_to() -> None:
    answer = await answer_of("G83021", OKAFOR)
    (warning,) = answer.warnings
    assert (warning.section, warning.code) == (Section.CONTACTS, "confidential-items")
    assert len(ids(answer, "Encounter")) == 2


async def test_an_allergy_that_ended_comes_contained_and_is_shown_as_resolved() -> None:
    answer = await answer_of("G83021", MURPHY)
    states = {
        codings(item)[0]["display"]: item.resource["clinicalStatus"]["coding"][0]["code"]
        for item in answer.items
        if item.type == "AllergyIntolerance"
    }
    assert states == {"Allergy to latex": "active", "Allergy to egg": "resolved"}


# ---- the switch ----


async def test_a_lie_about_the_patient_is_seen_by_the_guard() -> None:
    for mode in (Mode.LYING, Mode.LYING_QUIETLY):
        answer = await answer_of(PRACTICE, ADEBAYO, mode)
        guarded = guard([answer], {PRACTICE: asking(ADEBAYO, SERVED)}, lambda _: ADDRESS)
        assert [alarm.kind for alarm in guarded.alarms] == [WRONG_PATIENT]
        assert answer.items == []


async def test_a_failed_allergy_module_is_a_gap_in_allergies_alone() -> None:
    answer = await answer_of(PRACTICE, ADEBAYO, Mode.NO_ALLERGIES)
    assert answer.gaps == {Section.ALLERGIES: Gap.HELD_BACK}
    assert not ids(answer, "AllergyIntolerance")
    assert ids(answer, "MedicationStatement")


@pytest.mark.parametrize(
    ("mode", "error"),
    [
        (Mode.BROKEN, Unwell),
        (Mode.BUSY, Busy),
        (Mode.REFUSING, Refused),
        (Mode.REDIRECTING, WrongContent),
        (Mode.GARBAGE, WrongContent),
        (Mode.BOMB, TooMuch),
    ],
)
async def test_an_ill_practice_is_an_error_and_its_words_go_nowhere(mode: Mode, error: type[SourceError]) -> None:
    with pytest.raises(error) as caught:
        await answer_of(PRACTICE, ADEBAYO, mode)
    assert "CANARY" not in f"{caught.value!r}{caught.value}{caught.value.__cause__!r}"


async def test_canaries_are_in_what_is_sent_and_the_switch_knows_them() -> None:
    app = create_app(PRACTICE, canaries=True)
    async with asked_of(app) as connector:
        answer = await connector.ask(asking(ADEBAYO, SERVED))
    sent = str([item.resource for item in answer.items])
    assert answer.gaps == {}
    found = [mark for mark in app.canaries if mark in sent]
    assert len(found) > 80
    for kind in ("Observation", "Encounter", "AllergyIntolerance", "Appointment", "Patient", "Medication"):
        assert all("CANARY" in str(item.resource) for item in answer.items if item.type == kind)


# ---- what it demands ----


CONSUMER = Consumer("https://gateway.example", Device(system="https://gateway.example/Id/device", value="g1"))


def headers(interaction: str, **more: str) -> dict[str, str]:
    bearer = token(ASKED_BY, CONSUMER, f"{ADDRESS}/", int(time.time()))
    return {
        "Ssp-TraceID": "629ea9ba-a077-4d99-b289-7a9b19fd4e03",
        "Ssp-From": "200000000115",
        "Ssp-To": stand_in(PRACTICE),
        "Ssp-InteractionID": interaction,
        "Authorization": f"Bearer {bearer}",
        **more,
    }


async def raw(method: str, path: str, sent: dict[str, str], body: bytes | None = None) -> tuple[int, Any]:
    transport = httpx2.ASGITransport(app=create_app(PRACTICE))
    async with httpx2.AsyncClient(transport=transport) as client:
        answer = await client.request(method, f"{ADDRESS}/{path}", headers=sent, content=body)
        return answer.status_code, answer.json()


def code_of(outcome: Any) -> str:
    assert outcome["resourceType"] == "OperationOutcome"
    codes: list[str] = [one["code"] for one in outcome["issue"][0].get("details", {}).get("coding", [])]
    return codes[0] if codes else ""


def signed(**changes: Any) -> str:
    """A token with some claims changed; None takes one out, a timedelta counts from now."""
    now = int(time.time())
    good = token(ASKED_BY, CONSUMER, ADDRESS, now)
    counted = {
        name: now + int(value.total_seconds()) if isinstance(value, timedelta) else value
        for name, value in changes.items()
    }
    middle = good.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))
    claims = {name: value for name, value in {**claims, **counted}.items() if value is not None}
    encoded = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"Bearer {good.split('.')[0]}.{encoded}."


FIND = f"Patient?identifier={NHS_NUMBER_SYSTEM}|{ADEBAYO}"


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({}, 200),
        ({"Ssp-TraceID": "1"}, 400),
        ({"Ssp-From": "GP"}, 403),
        ({"Ssp-From": ""}, 403),
        ({"Ssp-To": "200000000999"}, 403),
        ({"Ssp-InteractionID": STRUCTURED_RECORD}, 403),
        ({"Authorization": ""}, 400),
        ({"Authorization": "Bearer a.b"}, 400),
        ({"Authorization": "Bearer !.!."}, 400),
        ({"Authorization": "Bearer eyJhbGciOiJSUzI1NiJ9.e30."}, 400),
        ({"Authorization": lambda: f"{signed()}signature"}, 400),
        ({"Authorization": partial(signed, exp=timedelta(hours=1))}, 400),
        ({"Authorization": partial(signed, iat=timedelta(minutes=-15), exp=timedelta(minutes=-10))}, 400),
        ({"Authorization": partial(signed, iat="now")}, 400),
        ({"Authorization": partial(signed, aud="https://elsewhere.example")}, 400),
        ({"Authorization": partial(signed, iss=None)}, 400),
        ({"Authorization": partial(signed, reason_for_request="curiosity")}, 400),
        ({"Authorization": partial(signed, requested_scope="patient/*.write")}, 400),
        ({"Authorization": partial(signed, requesting_device=None)}, 400),
        ({"Authorization": partial(signed, requesting_organization={"resourceType": "Organization"})}, 400),
        ({"Authorization": partial(signed, sub="somebody else")}, 400),
    ],
)
async def test_headers_and_token_are_checked(changed: dict[str, str | Callable[[], str]], status: int) -> None:
    now = {name: value() if callable(value) else value for name, value in changed.items()}
    found, body = await raw("GET", FIND, headers(FIND_PATIENT, **now))
    assert found == status
    assert code_of(body) == ("BAD_REQUEST" if status == 400 else "") if status != 200 else body["entry"]


@pytest.mark.parametrize("claim", ["requesting_organization", "requesting_practitioner"])
async def test_the_claims_must_say_who_it_is(claim: str) -> None:
    part = signed().split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    for element in ("identifier", "name"):
        without = {name: value for name, value in claims[claim].items() if name != element}
        status, _ = await raw("GET", FIND, headers(FIND_PATIENT, Authorization=signed(**{claim: without})))
        assert status == 400
    less = {**claims[claim], "identifier": [{"system": "https://x.example", "value": "1"}]}
    status, _ = await raw("GET", FIND, headers(FIND_PATIENT, Authorization=signed(**{claim: less})))
    assert status == 400


def parameters(*more: Any, number: Any = ADEBAYO, system: str = NHS_NUMBER_SYSTEM) -> bytes:
    who = {"name": "patientNHSNumber", "valueIdentifier": {"system": system, "value": number}}
    return json.dumps({"resourceType": "Parameters", "parameter": [who, *more]}).encode()


FILTERED = {"name": "includeMedication", "part": [{"name": "medicationSearchFromDate", "valueDate": "2020-01-01"}]}


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (request(ADEBAYO, areas(SERVED, uncategorised=True)), 200, ""),
        (b"{", 422, "INVALID_RESOURCE"),
        (b'{"resourceType":"Patient","parameter":[]}', 422, "INVALID_RESOURCE"),
        (b'{"resourceType":"Parameters"}', 422, "INVALID_RESOURCE"),
        (b'{"resourceType":"Parameters","parameter":[]}', 422, "INVALID_PARAMETER"),
        (parameters(), 422, "INVALID_PARAMETER"),
        (parameters({"name": "includeProblems"}, system="x"), 422, "INVALID_PARAMETER"),
        (parameters({"name": "includeProblems"}, number="9990000400"), 400, "INVALID_NHS_NUMBER"),
        (parameters({"name": "includeProblems"}, number=UNKNOWN), 404, "PATIENT_NOT_FOUND"),
        (parameters({"name": "includeProblems"}, number=CAMPBELL), 403, "NO_PATIENT_CONSENT"),
        (parameters({"name": "includeEverything"}), 422, "INVALID_PARAMETER"),
        (parameters({"name": "includeAllergies"}), 422, "INVALID_PARAMETER"),
        (parameters(FILTERED), 200, ""),
        (parameters(FILTERED, {"name": "includeProblems"}), 422, "INVALID_PARAMETER"),
    ],
)
async def test_the_parameters_are_checked(body: bytes, status: int, code: str) -> None:
    found, said = await raw("POST", "Patient/$gpc.getstructuredrecord", headers(STRUCTURED_RECORD), body)
    assert found == status
    assert (code_of(said) if status != 200 else "") == code


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("Patient?identifier=x|9990000409", 400, "INVALID_IDENTIFIER_SYSTEM"),
        (f"Patient?identifier={NHS_NUMBER_SYSTEM}|1", 400, "INVALID_IDENTIFIER_VALUE"),
        ("Patient?family=Adebayo", 422, "INVALID_PARAMETER"),
        ("Observation?patient=1", 404, "REFERENCE_NOT_FOUND"),
    ],
)
async def test_a_search_is_for_an_nhs_number(path: str, status: int, code: str) -> None:
    found, said = await raw("GET", path, headers(FIND_PATIENT))
    assert (found, code_of(said)) == (status, code)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("start=ge2090-01-01&start=le2090-12-31", 200),
        ("start=ge2020-01-01&start=le2090-12-31", 422),
        ("start=ge2090-12-31&start=le2090-01-01", 422),
        ("start=ge2090-01-01", 422),
        ("start=ge2090-01-01&start=ge2090-01-02", 422),
        ("start=ge2090-01-01T10:00&start=le2090-12-31", 422),
        ("start=ge2090-02-31&start=le2090-12-31", 422),
        ("start=ge2090-01-01&start=le2090-12-31&status=booked", 422),
    ],
)
async def test_appointments_take_two_dates_from_today_on(query: str, status: int) -> None:
    found, _ = await raw("GET", f"Patient/9657825/Appointment?{query}", headers(APPOINTMENTS))
    assert found == status
    if status == 200:
        assert (await raw("GET", f"Patient/0/Appointment?{query}", headers(APPOINTMENTS)))[0] == 404


async def test_the_practice_stands_in_its_own_directory() -> None:
    """So that the connector can be tried with SDS, and finds its way."""
    app = create_app(PRACTICE)
    async with asked_of(app, practice(sds={"address": ADDRESS})) as connector:
        answer = await connector.ask(asking(ADEBAYO, SERVED))
    assert (answer.outcome, answer.gaps) == (Outcome.ANSWERED, {})
    async with asked_of(app, practice("G85004", sds={"address": ADDRESS})) as connector:
        with pytest.raises(SourceError):
            await connector.ask(asking(ADEBAYO, SERVED))


# ---- replay ----


async def replayed(*payloads: Any, nhs_number: str = NHS_NUMBER, **settings: Any) -> Any:
    transport = replaying([json.dumps(one).encode() for one in payloads], nhs_number)
    connector = connected_by(transport, practice(**settings))
    try:
        return await connector.ask(asking(nhs_number, SERVED))
    finally:
        await connector.aclose()


async def test_a_saved_record_is_answered_to_the_connectors_own_calls() -> None:
    saved = bundle(PATIENT, ALLERGY, a_list("allergies", "AllergyIntolerance/a1"), *empty_lists("allergies"))
    answer = await replayed(saved)
    assert (answer.outcome, ids(answer, "AllergyIntolerance"), answer.calls) == (Outcome.ANSWERED, ["a1"], 3)


async def test_saved_appointments_and_several_records_go_together() -> None:
    first = bundle(PATIENT, *empty_lists("allergies"))
    second = bundle(ALLERGY, a_list("allergies", "AllergyIntolerance/a1"))
    answer = await replayed(first, second, bundle(APPOINTMENT, kind="searchset"))
    assert (ids(answer, "Appointment"), ids(answer, "AllergyIntolerance"), answer.gaps) == (["n1"], ["a1"], {})


async def test_a_masked_number_is_put_back_and_another_is_not() -> None:
    masked = json.loads(json.dumps(PATIENT).replace(NHS_NUMBER, MASKED))
    answer = await replayed(bundle(masked, *empty_lists()))
    assert guard([answer], {PRACTICE: asking(sections=SERVED)}, lambda _: ADDRESS).alarms == []
    answer = await replayed(bundle(PATIENT, *empty_lists()), nhs_number=OKAFOR)
    assert guard([answer], {PRACTICE: asking(OKAFOR, SERVED)}, lambda _: ADDRESS).alarms
    assert (await replayed(bundle(masked, *empty_lists()), nhs_number="")).items


async def test_a_saved_refusal_is_one_again() -> None:
    with pytest.raises(Dissented):
        await replayed(problem("NO_PATIENT_CONSENT"))
    with pytest.raises(SourceError):
        await replayed()


async def test_a_site_with_a_directory_is_replayed_without_one() -> None:
    answer = await replayed(bundle(PATIENT, *empty_lists()), sds={"address": "https://sds.example/FHIR/R4"})
    assert answer.outcome is Outcome.ANSWERED


@pytest.mark.parametrize("payload", [b"{}", b'{"resourceType":"Patient"}', b'{"resourceType":"Bundle","entry":{}}'])
def test_what_is_no_payload_is_refused(payload: bytes) -> None:
    with pytest.raises(ValueError, match="neither a Bundle nor an OperationOutcome"):
        replaying([payload], NHS_NUMBER)
    with pytest.raises(WrongContent):
        replaying([b"<"], NHS_NUMBER)


def test_what_says_who_we_are_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        CONSUMER.issuer = "https://other.example"  # type: ignore[misc]
