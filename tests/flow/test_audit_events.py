"""The journal as FHIR AuditEvents: every event of a day's work obeys IHE BALP, and officers find what they seek."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from httpx2 import Response

from connectors.sdk.model import NHS_NUMBER_SYSTEM, ODS_SYSTEM
from gateway.audit.followers.compare import compare
from gateway.audit.row import Kind
from gateway.demo.people import person
from tests.audit_repository import BASE, Repository
from tests.canaries import CANARY
from tests.contract.balp import faults
from tests.events import EVERY
from tests.flow.registers import with_register
from tests.flow.stack import AALIYAH, GRACE, STRANGER, TOMASZ, WINSTON, Stack, running, told

OFFICER = "privacy-officer"
DOCTOR = "hospital-doctor"
KIND = "urn:connect-care:journal:kind"


async def search(stack: Stack, query: str, who: str = OFFICER) -> Response:
    return await stack.get(f"/fhir/R4/AuditEvent?{query}", who)


async def pages(stack: Stack, query: str) -> list[dict[str, Any]]:
    """Every event that the search finds, page by page."""
    found: list[dict[str, Any]] = []
    answer = await search(stack, query)
    while True:
        assert answer.status_code == 200, answer.text
        bundle = answer.json()
        found += [entry["resource"] for entry in bundle.get("entry", [])]
        (more,) = [link["url"] for link in bundle["link"] if link["relation"] == "next"] or [None]
        if more is None:
            return found
        answer = await stack.get(more.removeprefix("http://127.0.0.1:8000"), OFFICER)


def kind_of(event: dict[str, Any]) -> str:
    (tag,) = event["meta"]["tag"]
    assert tag["system"] == KIND
    return str(tag["code"])


def patient_of(event: dict[str, Any]) -> str | None:
    named = [e["what"]["identifier"]["value"] for e in event["entity"] if e["type"]["code"] == "1"]
    assert len(named) <= 1
    return named[0] if named else None


async def a_days_work(stack: Stack) -> None:
    """What makes a row of every kind that a running gateway writes."""
    await stack.everything(GRACE)  # nobody has asked her
    permission = await stack.agree(GRACE)
    bundle = (await stack.everything(GRACE)).json()
    one = next(e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "Observation")
    await stack.get(f"/fhir/R4/Observation/{one['id']}")
    await stack.get(f"/fhir/R4/Observation/{one['id'][:-1]}x")
    await stack.get(f"/fhir/R4/Patient/{GRACE}")
    await stack.get(f"/fhir/R4/MedicationRequest?patient={GRACE}")
    await stack.get(f"/fhir/R4/MedicationRequest?patient={GRACE}&nonsense=1")
    await stack.post("/records", {"nhsNumber": GRACE})
    await stack.post(f"/permissions/{permission}/extend", {"patientAsked": True})
    await stack.client.delete(f"/permissions/{permission}", headers=stack.headers("gp"))
    unasked = {"basis": "best-interests", "reason": "Unconscious in resus", "reasonCode": "emergency"}
    granted = await stack.post("/permissions", {"nhsNumber": WINSTON, **unasked}, DOCTOR)
    assert granted.status_code == 201, granted.text
    await stack.everything(WINSTON, DOCTOR)
    cases = (await stack.post("/desk/_search", {}, OFFICER)).json()["cases"]
    for case in cases:
        await stack.post(f"/desk/{case['id']}/_move", {"to": "justified", "note": "seen in resus"}, OFFICER)
    await stack.choose(TOMASZ, "opted-out")
    await stack.everything(TOMASZ, "nurse")
    await stack.choose(TOMASZ, "opted-in")
    await stack.everything(AALIYAH, "commissioner")
    lawful = {"basis": "court-order", "reference": "KB-2026-001", "recipient": "The coroner", "policy": "whole-record"}
    patient = {"nhsNumber": GRACE, "birthDate": bundle["entry"][0]["resource"]["birthDate"]}
    disclosed = await stack.post("/disclosures", {**patient, **lawful, "reason": "an order of the court"}, OFFICER)
    assert disclosed.status_code == 200, disclosed.text
    await stack.client.get(f"/fhir/R4/Patient/{GRACE}/$everything", headers={"Authorization": "Bearer nonsense"})
    await stack.rows(GRACE)


async def test_every_event_of_a_days_work_obeys_what_it_claims(stack: Stack) -> None:
    await a_days_work(stack)
    events = await pages(stack, "date=ge2020&_count=20")
    assert [fault for event in events for fault in faults(event)] == []
    size = await stack.parts.store.log_size()
    assert len({event["id"] for event in events}) == len(events)
    rows = await stack.parts.store.rows(limit=1000)
    assert [stack.parts.events.seq_of(event["id"]) for event in events] == [kept.seq for kept in rows[: len(events)]]
    assert len(events) <= size
    never_here = {Kind.SOURCE_TRIED, Kind.ERASED, Kind.PERSON_SOUGHT, Kind.PERSON_ANSWERED, Kind.CASE_OPENED}
    never_here |= {Kind.CONFIGURED, Kind.PERMISSION_REFUSED}
    assert {kind_of(event) for event in events} >= set(Kind) - never_here
    assert {row.kind for row in EVERY.values()} >= never_here  # tried without a gateway
    claimed = {profile.rpartition(".")[2] for event in events for profile in event["meta"].get("profile", [])}
    assert claimed == {"PatientRead", "PatientQuery", "AuthZconsent", "Source", "Comprehensive"}


async def test_events_of_a_search_for_a_person_obey_what_they_claim(tmp_path: Path) -> None:
    async with with_register(tmp_path) as stack:
        await stack.get("/fhir/R4/Patient?family=Adebayo&given=Grace&birthdate=1958-03-12", DOCTOR)
        await stack.get("/fhir/R4/Patient?family=Nobody&given=Grace&birthdate=1958-03-12", DOCTOR)
        events = await pages(stack, "date=ge2020")
    assert [fault for event in events for fault in faults(event)] == []
    assert [kind_of(event) for event in events] == ["person-sought", "person-answered"] * 2
    assert [patient_of(event) for event in events] == [None, GRACE, None, None]


async def test_n_patients_are_n_events_and_each_names_one(stack: Stack) -> None:
    patients = [GRACE, TOMASZ, AALIYAH, WINSTON]
    for patient in patients:
        await stack.agree(patient)
        await stack.everything(patient)
    events = await pages(stack, "date=ge2020&action=E&outcome=0")
    looks = [event for event in events if kind_of(event) == "release"]
    assert [patient_of(event) for event in looks] == patients


async def test_no_event_holds_anything_clinical(stack: Stack) -> None:
    await a_days_work(stack)
    events = await pages(stack, "date=ge2020")
    text = json.dumps(events)
    assert not CANARY.search(text.encode())
    assert "Unconscious" not in text
    assert "seen in resus" not in text
    assert stack.tokens["gp"] not in text


async def test_events_are_found_by_patient(stack: Stack) -> None:
    await stack.agree(GRACE)
    await stack.agree(TOMASZ)
    for number, query in enumerate(
        (
            f"patient={GRACE}",
            f"patient=Patient/{GRACE}",
            f"patient.identifier={NHS_NUMBER_SYSTEM}%7C{GRACE}",
            f"patient={GRACE}&patient.identifier={NHS_NUMBER_SYSTEM}%7C{GRACE}",
        )
    ):
        bundle = (await search(stack, query)).json()
        assert bundle["total"] == 1 + number  # each search is a row about her
        assert {patient_of(entry["resource"]) for entry in bundle["entry"]} == {GRACE}
        assert bundle["entry"][0]["fullUrl"].endswith(bundle["entry"][0]["resource"]["id"])


async def test_events_are_found_by_who_acted_when_and_how_it_ended(stack: Stack) -> None:
    await stack.agree(GRACE)
    await stack.everything(GRACE)
    await stack.everything(GRACE, DOCTOR)  # refused: she was asked by the GP
    gp, doctor = person("gp"), person(DOCTOR)
    issuer = stack.demo.issuer
    for query, people in (
        (f"agent={gp.user_id}", {gp.user_id}),
        (f"agent=Practitioner/{gp.user_id}", {gp.user_id}),
        (f"agent.identifier={gp.user_id}", {gp.user_id}),
        (f"agent.identifier={issuer}%7C{doctor.user_id}", {doctor.user_id}),
        (f"agent.identifier=https://elsewhere.example%7C{doctor.user_id}", set()),
        (f"agent.identifier={ODS_SYSTEM}%7CG85005", {gp.user_id}),
        (f"agent.identifier={ODS_SYSTEM}%7CRJ2&agent={doctor.user_id}", {doctor.user_id}),
        (f"patient={GRACE}&outcome=8", {doctor.user_id}),
        (f"patient={GRACE}&outcome=http://hl7.org/fhir/audit-event-outcome%7C8,4", {doctor.user_id}),
        (f"patient={GRACE}&action=R", {person(OFFICER).user_id}),
        (f"patient={GRACE}&action=C,D", set()),
        (f"patient={GRACE}&date=lt2020", set()),
        (f"patient={GRACE}&date=ge2020&date=lt2021", set()),
        (f"patient={GRACE}&date=ge2020&date=le2999&agent={gp.user_id}", {gp.user_id}),
    ):
        bundle = (await search(stack, query)).json()
        events = [entry["resource"] for entry in bundle.get("entry", [])]
        users = {
            agent["who"]["identifier"]["value"]
            for event in events
            for agent in event["agent"]
            if agent["requestor"]
        }  # fmt: skip
        assert users == people, query
        assert bundle["total"] == len(events)
        assert bundle["type"] == "searchset"


async def test_pages_add_up_though_reading_them_writes_rows(stack: Stack) -> None:
    for _ in range(3):
        await stack.agree(GRACE)
    whole = await pages(stack, f"patient={GRACE}&_count=200")
    first = (await search(stack, f"patient={GRACE}&_count=2")).json()
    assert "total" not in first
    assert [event["id"] for event in (await pages(stack, f"patient={GRACE}&_count=2"))[:3]] == [
        event["id"] for event in whole[:3]
    ]
    (more,) = [link["url"] for link in first["link"] if link["relation"] == "next"]
    path = more.removeprefix("http://127.0.0.1:8000")
    second = await stack.get(path, OFFICER)
    assert (await stack.get(path, OFFICER)).json()["entry"] == second.json()["entry"]
    assert GRACE not in path
    assert (await stack.get(path, "privacy-officer@G85005")).status_code == 400
    assert (await stack.get(path + "&_count=3", OFFICER)).status_code == 400
    assert (await stack.get(path[:-3] + "abc", OFFICER)).status_code == 400


async def test_a_search_that_finds_little_reads_on_and_says_where_it_stopped(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gateway.audit import read

    for _ in range(4):
        await stack.agree(GRACE)
    await stack.everything(GRACE, DOCTOR)
    assert len(await pages(stack, f"patient={GRACE}&outcome=8&_count=1")) == 1
    monkeypatch.setattr(read, "_MOST_READINGS", 1)
    empty = (await search(stack, f"patient={GRACE}&outcome=8&_count=1")).json()
    assert "entry" not in empty
    assert "total" not in empty
    assert [link["relation"] for link in empty["link"]] == ["self", "next"]
    assert len(await pages(stack, f"patient={GRACE}&outcome=8&_count=1")) == 1


async def test_a_search_may_come_in_the_body(stack: Stack) -> None:
    await stack.agree(GRACE)
    headers = {**stack.headers(OFFICER), "Content-Type": "application/x-www-form-urlencoded"}
    answer = await stack.client.post(
        "/fhir/R4/AuditEvent/_search", content=f"patient={GRACE}&_format=json", headers=headers
    )
    assert answer.status_code == 200
    assert answer.json()["total"] == 1
    wrong = await stack.client.post("/fhir/R4/AuditEvent/_search", content=b"{}", headers=stack.headers(OFFICER))
    assert wrong.status_code == 415


async def test_an_event_is_read_by_its_id_and_that_is_a_row_about_its_patient(stack: Stack) -> None:
    await stack.agree(GRACE)
    (entry,) = (await search(stack, f"patient={GRACE}")).json()["entry"]
    answer = await stack.get(f"/fhir/R4/AuditEvent/{entry['resource']['id']}", OFFICER)
    assert answer.json() == entry["resource"]
    reading = (await stack.rows(GRACE))[-1]
    assert (reading["kind"], reading["subject"], reading["nhsNumber"]) == ("audit-read", "row=1", GRACE)
    assert reading["door"] == "GET /fhir/R4/AuditEvent/{event_id}"


async def test_an_id_that_is_nobodys_is_not_found(stack: Stack) -> None:
    for id_ in ("1", "x" * 64, "not-a-uuid", stack.parts.events.id_of(10**9)):
        answer = await stack.get(f"/fhir/R4/AuditEvent/{id_}", OFFICER)
        assert answer.status_code == 404
        assert told(answer) == "There is no such row in the audit, or it was erased."
    assert (await stack.get("/fhir/R4/AuditEvent/1?x=1", OFFICER)).status_code == 400


REFUSED = (
    ("", "Say which rows"),
    ("patient=1234567890", "NHS number"),
    ("patient.identifier=9990000409", "takes https://fhir.nhs.uk/Id/nhs-number|"),
    (f"patient={GRACE}&patient.identifier={NHS_NUMBER_SYSTEM}%7C{TOMASZ}", "name different patients"),
    (f"patient={GRACE}&patient={GRACE}", "more than once"),
    ("date=2026-02-31", "takes a date or time"),
    ("date=ap2026", "takes a date or time"),
    ("date=ge9999-12-31", "beyond the years"),
    ("date=le9999", "beyond the years"),
    ("date=ge2020&date=lt2021&date=lt2022", "more than once"),
    ("agent=a%7Cb", "takes the id of a person"),
    ("agent=1&agent.identifier=2", "name different people"),
    ("agent.identifier=%7C1", "takes the id of a person"),
    (f"agent.identifier={ODS_SYSTEM}%7Crj2", "ODS code"),
    ("agent.identifier=https://issuer.example%7C", "takes the id of a person"),
    ("outcome=a%7Cb%7Cc", "takes a code"),
    ("outcome=8,", "empty alternative"),
    (f"patient={GRACE}&_count=0", "from 1 to 200"),
    (f"patient={GRACE}&_count=201", "from 1 to 200"),
    (f"patient={GRACE}&_sort=date", "_sort"),
    (f"patient={GRACE}&entity=1", "entity"),
    (f"patient={GRACE}&date:missing=true", "Modifiers"),
    (f"patient={GRACE}&_format=xml", ""),
    ("_cursor=abc", "not one that this server gave you"),
)


async def test_what_cannot_be_searched_is_refused_with_a_remedy_and_is_a_row(stack: Stack) -> None:
    for query, says in REFUSED:
        answer = await search(stack, query)
        assert answer.status_code in (400, 406), query
        assert says in told(answer), query
    rows = await stack.parts.store.rows()
    assert [kept.row.kind for kept in rows] == [Kind.REFUSAL] * len(REFUSED)
    assert all(kept.row.who for kept in rows)


async def test_a_cursor_grows_old(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    from gateway.api import authored_search

    for _ in range(2):
        await stack.agree(GRACE)
    bundle = (await search(stack, f"patient={GRACE}&_count=1")).json()
    path = bundle["link"][-1]["url"].removeprefix("http://127.0.0.1:8000")
    consent = stack.parts.sealer.seal_cursor({"t": "Consent"}, person_key(stack))
    assert "belongs to another search" in told(await search(stack, f"_cursor={consent}"))
    monkeypatch.setattr(authored_search, "CURSOR_SECONDS", -1)
    assert "has expired" in told(await stack.get(path, OFFICER))


def person_key(stack: Stack) -> str:
    """What the officer's cursors are bound to."""
    officer = person(OFFICER)
    claims = officer.claims()
    return json.dumps([stack.demo.issuer, officer.user_id, claims["selected_roleid"], officer.organisation])


async def test_nobody_but_a_privacy_officer_reads_events(stack: Stack) -> None:
    await stack.agree(GRACE)
    for who in ("gp", "nurse", "social-worker", "commissioner"):
        for answer in (
            await search(stack, f"patient={GRACE}", who),
            await stack.get(f"/fhir/R4/AuditEvent/{stack.parts.events.id_of(1)}", who),
        ):
            assert answer.status_code == 403
            assert GRACE not in answer.text
    assert len(await stack.parts.store.rows(kinds=frozenset({Kind.REFUSAL}))) == 8


async def test_a_token_for_other_types_reads_no_events(stack: Stack) -> None:
    token = stack.demo.mint(OFFICER, claims={"scope": "openid user/Observation.rs"})
    answer = await stack.client.get(
        f"/fhir/R4/AuditEvent?patient={GRACE}", headers={"Authorization": f"Bearer {token}"}
    )
    assert answer.status_code == 403
    assert "user/AuditEvent.rs" in told(answer)


async def test_the_capability_statement_lists_what_is_taken(stack: Stack) -> None:
    statement = (await stack.client.get("/fhir/R4/metadata")).json()
    (listed,) = [one for one in statement["rest"][0]["resource"] if one["type"] == "AuditEvent"]
    names = {param["name"] for param in listed["searchParam"]}
    assert names == {
        "patient", "date", "agent", "agent.identifier", "action", "outcome", "_count", "_cursor", "_format",
    }  # fmt: skip
    assert "AuditEvent" not in (await stack.get("/fhir/R4/metadata")).text
    assert "AuditEvent" in (await stack.get("/fhir/R4/metadata", "privacy-officer")).text


# --- copies, with a whole gateway ---


async def caught_up(stack: Stack, row: int, *names: str) -> None:
    """Wait until these followers have dealt with the row."""
    async with asyncio.timeout(120):
        for name in names:
            while await stack.parts.store.position(name) < row:  # noqa: ASYNC110 (there is nobody to say so)
                await asyncio.sleep(0.05)


async def test_a_gateways_events_reach_the_repository_and_its_rows_the_sink(tmp_path: Path) -> None:
    remote = Repository(500, "lost")
    sink = tmp_path / "sink.jsonl"
    copies: dict[str, Any] = {"audit_sink": sink, "audit_repository": {"address": BASE, "batch": 3}}
    async with running(tmp_path, audit_transport=remote.transport(), **copies) as stack:
        await stack.agree(GRACE)
        await stack.everything(GRACE)
        await caught_up(stack, 3, "repository")
        await stack.everything(STRANGER)
        size = await stack.parts.store.log_size()
    async with running(tmp_path, audit_transport=remote.transport(), **copies) as stack:
        await caught_up(stack, size, "repository", "sink")
        assert list(remote.held) == [stack.parts.events.id_of(seq) for seq in range(1, size + 1)]
        assert [fault for event in remote.held.values() for fault in faults(event)] == []
        found = await compare(sink, stack.parts.store)
        assert (found.rows, found.differing) == (size, [])
    assert CANARY.search(sink.read_bytes()) is None
    assert GRACE.encode() not in sink.read_bytes()


async def test_a_gateway_does_not_start_without_the_sink_that_it_was_told_to_keep(tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"audit_sink: .* can't be written"):
        async with running(tmp_path, audit_sink=tmp_path / "none" / "sink"):
            pass
