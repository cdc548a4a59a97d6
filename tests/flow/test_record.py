"""A record, from the request to the bytes: who sees what, what it costs to see it, and what is told of gaps."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B.bundle import Bundle as R4BBundle

from connectors.fhir_r4.sandbox import holdings
from connectors.kit.faults import HUNG_SECONDS
from tests.boundless import HURRIED
from tests.flow.stack import (
    AALIYAH,
    DANIEL,
    ELSIE,
    GRACE,
    HAROLD,
    STRANGER,
    TOMASZ,
    WINSTON,
    Stack,
    outcome,
    resources,
    running,
    told,
)
from tests.flow.streaming import Holding

CLINICAL = ("gp", "hospital-doctor", "nurse", "district-nurse", "occupational-therapist", "social-worker")


@pytest.fixture
async def hurried(tmp_path: Path) -> AsyncIterator[Stack]:
    """Whose deadline passes within the test."""
    async with running(tmp_path, deadline=HURRIED) as stack:
        yield stack


async def test_without_permission_it_is_refused_and_told_how_to_ask(stack: Stack) -> None:
    answer = await stack.everything(GRACE)
    assert answer.status_code == 403
    assert "POST /permissions" in told(answer)
    assert stack.calls() == 0
    assert [row["kind"] for row in await stack.rows(GRACE)] == ["intent", "refusal"]


async def test_with_permission_every_entry_names_its_source(stack: Stack) -> None:
    await stack.agree(GRACE)
    answer = await stack.everything(GRACE)
    assert answer.status_code == 200
    bundle = answer.json()
    for resource in resources(bundle):
        ods = [tag["code"] for tag in resource["meta"]["tag"] if tag["system"].endswith("ods-organization-code")]
        assert ods, resource["resourceType"]
        assert set(ods) <= set(stack.sandboxes)
    assert {tag["code"] for r in resources(bundle) for tag in r["meta"]["tag"]} >= {"RJ2", "G85005", "RPG", "709"}


async def test_every_source_is_accounted_for_three_ways(stack: Stack) -> None:
    await stack.agree(GRACE)
    answer = await stack.everything(GRACE)
    bundle = answer.json()
    header = answer.headers["Connect-Care-Sources"]
    tags = [tag["code"] for tag in bundle["meta"]["tag"]]
    sentences = " ".join(outcome(bundle))
    for source in stack.parts.organisations.sources():
        assert f"{source.ods}=" in header
        assert any(tag.startswith(f"{source.ods}=") for tag in tags)
        assert source.name in sentences


async def test_the_gp_and_the_social_worker_see_different_records(stack: Stack) -> None:
    await stack.agree(GRACE)
    await stack.agree(GRACE, "social-worker")
    gp = resources((await stack.everything(GRACE)).json())
    social_worker = resources((await stack.everything(GRACE, "social-worker")).json())
    assert {"Observation", "Condition", "Immunization"} <= {r["resourceType"] for r in gp}
    assert not {"Observation", "Condition", "Immunization", "DiagnosticReport"} & {
        r["resourceType"] for r in social_worker
    }
    encounters = [r for r in social_worker if r["resourceType"] == "Encounter"]
    assert encounters
    assert all("reasonCode" not in r and "diagnosis" not in r and r["status"] for r in encounters)
    assert any("reasonCode" in r for r in gp if r["resourceType"] == "Encounter")
    statements = [r for r in social_worker if r["resourceType"] == "MedicationStatement"]
    assert statements
    assert all("dosage" not in r and r["status"] for r in statements)


@pytest.mark.parametrize("role", CLINICAL)
async def test_every_role_gets_valid_fhir(stack: Stack, role: str) -> None:
    for patient in (GRACE, DANIEL, TOMASZ, ELSIE):
        await stack.agree(patient, role)
        answer = await stack.everything(patient, role)
        assert answer.status_code == 200, answer.text
        R4BBundle.model_validate_json(answer.content)
        ids = [(r["resourceType"], r["id"]) for r in resources(answer.json())]
        assert len(ids) == len(set(ids))


@pytest.mark.parametrize("role", CLINICAL)
async def test_every_reference_in_an_answer_leads_somewhere(stack: Stack, role: str) -> None:
    await stack.agree(GRACE, role)
    bundle = (await stack.everything(GRACE, role)).json()
    here = {f"{r['resourceType']}/{r['id']}" for r in resources(bundle)}

    def references(node: object) -> list[str]:
        if isinstance(node, dict):
            own = [node["reference"]] if isinstance(node.get("reference"), str) else []
            return own + [found for value in node.values() for found in references(value)]
        return [found for value in node for found in references(value)] if isinstance(node, list) else []

    dangling = {r for r in references([e["resource"] for e in bundle["entry"]]) if not r.startswith("#")} - here
    assert not dangling


async def test_a_hung_source_costs_the_deadline_and_its_own_part(hurried: Stack) -> None:
    stack = hurried
    await stack.agree(GRACE)
    whole = resources((await stack.everything(GRACE)).json())
    stack.make("G85005", "hung")
    started = time.monotonic()
    answer = await stack.everything(GRACE)
    took = time.monotonic() - started
    assert took < HUNG_SECONDS
    bundle = answer.json()
    assert "G85005=timed-out" in answer.headers["Connect-Care-Sources"]
    sentences = outcome(bundle)
    assert any("South Lewisham" in s and "allergies" in s and "did not answer in time" in s for s in sentences)
    assert any(s.startswith("Allergies unavailable") for s in sentences)
    assert not any("No known allerg" in s for s in sentences)
    left = {r["id"] for r in resources(bundle) if r["resourceType"] != "Patient"}
    others = {
        r["id"]
        for r in whole
        if r["resourceType"] not in ("Patient", "AllergyIntolerance", "Linkage")
        and r["meta"]["tag"][0]["code"] != "G85005"
    }
    assert others <= left
    codes = [c["code"] for r in resources(bundle, "AllergyIntolerance") for c in r["code"]["coding"]]
    assert "716186003" not in codes


async def test_a_failing_allergy_search_alone_is_a_gap_too(stack: Stack) -> None:
    await stack.agree(TOMASZ)
    stack.make("RJ2", "no-allergies")
    answer = await stack.everything(TOMASZ)
    assert "RJ2=partial;missing=allergies" in answer.headers["Connect-Care-Sources"]
    assert any(s.startswith("Allergies unavailable") for s in outcome(answer.json()))


@pytest.mark.parametrize("mode", ["lying", "lying-quietly"])
async def test_another_patients_resources_are_never_released_and_alarm(stack: Stack, mode: str) -> None:
    await stack.agree(GRACE)
    stack.make("RJ2", mode)
    answer = await stack.everything(GRACE)
    assert answer.status_code == 200
    assert not [r for r in resources(answer.json()) if r["meta"]["tag"][0]["code"] == "RJ2"]
    assert "RJ2=failed" in answer.headers["Connect-Care-Sources"]
    release = (await stack.rows(GRACE))[-1]
    assert release["kind"] in ("release", "audit-read")
    alarms = [alarm for row in await stack.rows(GRACE) for alarm in row.get("alarms", [])]
    assert {"source": "RJ2", "kind": "wrong-patient"}.items() <= alarms[0].items()


@pytest.mark.parametrize("mode", ["broken", "busy", "bomb", "refusing", "redirecting", "garbage", "dripping"])
async def test_one_bad_source_never_costs_the_others(hurried: Stack, mode: str) -> None:
    stack = hurried
    await stack.agree(GRACE)
    stack.make("RJ2", mode)
    answer = await stack.everything(GRACE)
    assert answer.status_code == 200, answer.text
    sources = {r["meta"]["tag"][0]["code"] for r in resources(answer.json())}
    assert "RJ2" not in sources
    assert {"G85005", "RPG", "709"} <= sources
    assert "CANARY-RJ2-" not in answer.text


async def test_when_nobody_answers_it_is_503_never_empty(stack: Stack) -> None:
    await stack.agree(GRACE)
    for ods in stack.sandboxes:
        stack.make(ods, "broken")
    answer = await stack.everything(GRACE)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
    assert "does not mean that nothing is recorded" in told(answer)


async def test_opting_out_stops_every_question_until_opting_in(stack: Stack) -> None:
    await stack.agree(GRACE)
    assert (await stack.everything(GRACE)).status_code == 200
    await stack.choose(GRACE, "opted-out")
    before = stack.calls()
    refused = await stack.everything(GRACE)
    assert refused.status_code == 403
    assert "opted out" in told(refused)
    assert stack.calls() == before
    await stack.choose(GRACE, "opted-in")
    assert (await stack.everything(GRACE)).status_code == 403  # what was agreed before the opt-out ended with it
    await stack.agree(GRACE)
    assert (await stack.everything(GRACE)).status_code == 200


async def test_opting_out_while_sources_are_asked_stops_the_release(tmp_path: Path) -> None:
    holding = Holding(["RJ2"])
    async with running(tmp_path, around=holding.around) as stack:
        await stack.agree(GRACE)
        looking = asyncio.create_task(stack.everything(GRACE))
        await stack.has_asked()
        await stack.choose(GRACE, "opted-out")
        holding.let_go()
        answer = await looking
        kinds = [row["kind"] for row in await stack.rows(GRACE)]
    assert answer.status_code == 403
    assert "opted out" in told(answer)
    assert "release" not in kinds
    assert "refusal" in kinds


async def test_an_ended_permission_shows_nothing(stack: Stack) -> None:
    permission = await stack.agree(GRACE)
    assert (await stack.everything(GRACE)).status_code == 200
    ended = await stack.client.delete(f"/permissions/{permission}", headers=stack.headers("gp"))
    assert ended.status_code == 204
    assert (await stack.everything(GRACE)).status_code == 403


async def test_a_permission_is_bound_to_its_caller(stack: Stack) -> None:
    await stack.agree(GRACE, "gp")
    assert (await stack.everything(GRACE, "nurse")).status_code == 403
    assert (await stack.everything(GRACE, "gp@G85004")).status_code == 403
    assert (await stack.everything(AALIYAH, "gp")).status_code == 403


async def test_digits_and_timestamps_come_out_as_the_sources_sent_them(stack: Stack) -> None:
    await stack.agree(GRACE)
    text = (await stack.everything(GRACE)).text
    assert '"value":0.10' in text
    assert '"value":4.50' in text
    sent = {stamp for ods in stack.sandboxes for body in holdings(ods).by_key.values() for stamp in _stamps(body)}
    shown = _stamps(text)
    assert shown
    assert shown <= sent


def _stamps(resource: object) -> set[str]:
    """Timestamps with milliseconds in a resource's own JSON, but for those of the answer itself."""
    text = resource if isinstance(resource, str) else bytes(getattr(resource, "body", b"")).decode()
    without_envelope = text.partition('"entry":')[2] or text
    return set(re.findall(r'"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[^"]*)"', without_envelope))


async def test_an_unknown_patient_is_an_error_not_an_empty_record(stack: Stack) -> None:
    await stack.agree(STRANGER)
    for path in (f"/fhir/R4/Patient/{STRANGER}/$everything", f"/fhir/R4/Observation?patient={STRANGER}"):
        answer = await stack.get(path)
        assert answer.status_code == 404
        assert "Check it with the patient" in told(answer)


async def test_the_birth_date_must_agree(stack: Stack) -> None:
    await stack.agree(GRACE)
    system = "https://fhir.nhs.uk/Id/nhs-number"
    right = await stack.get(f"/fhir/R4/Patient?identifier={system}|{GRACE}&birthdate=1958-03-12".replace("|", "%7C"))
    assert right.status_code == 200
    assert resources(right.json(), "Patient")[0]["id"] == GRACE
    assert right.json()["total"] == 1
    wrong = await stack.get(f"/fhir/R4/Patient?identifier={system}|{GRACE}&birthdate=1958-12-03".replace("|", "%7C"))
    assert wrong.status_code == 404
    assert "birth date" in told(wrong)


async def test_sensitive_items_leave_no_trace_without_agreement(stack: Stack) -> None:
    await stack.agree(DANIEL, "hospital-doctor")
    plain = (await stack.everything(DANIEL, "hospital-doctor")).text
    await stack.agree(DANIEL, "hospital-doctor", scope="including-sensitive")
    agreed = (await stack.everything(DANIEL, "hospital-doctor")).text
    assert "86406008" in agreed
    assert "86406008" not in plain
    standing = plain.rindex('"OperationOutcome"')  # which may name the kinds that are never shown
    assert "HIV" not in plain[:standing]
    withheld = [row["withheld"] for row in await stack.rows(DANIEL) if row.get("withheld")]
    assert withheld


async def test_a_search_is_judged_as_the_whole_record_is(stack: Stack) -> None:
    """A contact whose reason is a labelled condition is hidden from a search for contacts too."""
    await stack.agree(DANIEL, "hospital-doctor")
    everything = resources((await stack.everything(DANIEL, "hospital-doctor")).json())
    for kind in ("Encounter", "MedicationStatement", "Observation", "DiagnosticReport", "AllergyIntolerance"):
        found = (await stack.get(f"/fhir/R4/{kind}?patient={DANIEL}&_count=200", "hospital-doctor")).json()
        matches = {e["resource"]["id"] for e in found["entry"] if e["search"]["mode"] == "match"}
        assert matches == {r["id"] for r in everything if r["resourceType"] == kind}, kind


async def test_a_read_by_id_goes_the_same_way(stack: Stack) -> None:
    await stack.agree(GRACE)
    item = resources((await stack.everything(GRACE)).json(), "Observation")[0]
    before = stack.calls()
    answer = await stack.get(f"/fhir/R4/Observation/{item['id']}")
    assert answer.status_code == 200
    assert answer.json()["id"] == item["id"]
    assert stack.calls() > before
    assert (await stack.get(f"/fhir/R4/Observation/{item['id']}", "nurse")).status_code == 403
    assert (await stack.get(f"/fhir/R4/Encounter/{item['id']}")).status_code == 404
    altered = item["id"][:-1] + ("a" if item["id"].endswith("z") else "z")
    assert (await stack.get(f"/fhir/R4/Observation/{altered}")).status_code == 404


async def test_pages_hold_the_whole_search(stack: Stack) -> None:
    await stack.agree(ELSIE)
    seen: list[str] = []
    url = f"/fhir/R4/Observation?patient={ELSIE}&_count=20"
    total = None
    while url:
        bundle = (await stack.get(url)).json()
        total = bundle["total"] if total is None else total
        assert bundle["total"] == total
        seen += [e["resource"]["id"] for e in bundle["entry"] if e["search"]["mode"] == "match"]
        url = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), "")
    assert len(seen) == len(set(seen)) == total > 20


async def test_a_cursor_works_for_its_own_caller_only(stack: Stack) -> None:
    await stack.agree(ELSIE)
    await stack.agree(ELSIE, "nurse")
    bundle = (await stack.get(f"/fhir/R4/Observation?patient={ELSIE}&_count=20")).json()
    url = next(link["url"] for link in bundle["link"] if link["relation"] == "next")
    assert ELSIE not in url
    assert (await stack.get(url, "nurse")).status_code == 400


async def test_post_search_and_records_keep_the_number_out_of_the_address(stack: Stack) -> None:
    await stack.agree(GRACE)
    form = {"patient": GRACE, "_count": "500"}
    posted = await stack.client.post("/fhir/R4/Observation/_search", data=form, headers=stack.headers("gp"))
    assert posted.status_code == 200
    got = (await stack.get(f"/fhir/R4/Observation?patient={GRACE}&_count=500")).json()
    assert posted.json()["total"] == got["total"] > 0
    record = await stack.post("/records", {"nhsNumber": GRACE, "birthDate": "1958-03-12", "sections": ["results"]})
    assert record.status_code == 200
    assert {r["resourceType"] for r in resources(record.json()) if r["resourceType"] != "Linkage"} >= {"Observation"}


async def test_one_opted_out_person_in_the_demo_is_refused_at_the_point_of_asking(stack: Stack) -> None:
    await stack.choose(WINSTON, "opted-out")
    answer = await stack.post("/permissions", {"nhsNumber": WINSTON, "basis": "patient-agreed"})
    assert answer.status_code == 403
    assert "opted out" in told(answer)


async def test_same_medicine_at_two_places_is_grouped_with_its_conflict(stack: Stack) -> None:
    await stack.agree(GRACE)
    bundle = (await stack.everything(GRACE)).json()
    linkages = resources(bundle, "Linkage")
    assert linkages
    ids = {f"{r['resourceType']}/{r['id']}" for r in resources(bundle)}
    for linkage in linkages:
        assert {item["resource"]["reference"] for item in linkage["item"]} <= ids
    medicines = [one for one in linkages if "Medication" in one["item"][0]["resource"]["reference"]]
    assert any(e["url"].endswith("conflict") for linkage in medicines for e in linkage["extension"])


async def test_privacy_officers_and_commissioners_never_see_a_record(stack: Stack) -> None:
    for who in ("privacy-officer", "commissioner"):
        assert (await stack.everything(GRACE, who)).status_code == 403
        answer = await stack.post("/permissions", {"nhsNumber": GRACE, "basis": "patient-agreed"}, who)
        assert answer.status_code == 403
    assert stack.calls() == 0
    assert (await stack.post("/audit/_search", {"nhsNumber": GRACE}, "commissioner")).status_code == 403
    assert (await stack.post("/audit/_search", {"nhsNumber": GRACE}, "gp")).status_code == 403


async def test_sources_tells_the_state_of_each(stack: Stack) -> None:
    await stack.agree(GRACE)
    await stack.everything(GRACE)
    answer = await stack.get("/sources")
    assert answer.status_code == 200
    assert {source["ods"] for source in answer.json()["sources"]} == set(stack.sandboxes)
    assert all(source["breaker"] == "closed" for source in answer.json()["sources"])
    assert (await stack.client.get("/livez")).status_code == 200
    assert (await stack.client.get("/readyz")).status_code == 200


async def test_a_contact_whose_reason_is_labelled_is_labelled(stack: Stack) -> None:
    """By its own codes the contact is an ordinary follow-up: only the condition that it refers to is sensitive."""
    await stack.agree(DANIEL, "hospital-doctor")
    plain = (await stack.everything(DANIEL, "hospital-doctor")).text
    await stack.agree(DANIEL, "hospital-doctor", scope="including-sensitive")
    agreed = (await stack.everything(DANIEL, "hospital-doctor")).text
    assert "2026-03-04T10:50:00.000Z" in agreed
    assert "2026-03-04T10:50:00.000Z" not in plain


async def test_what_cannot_be_looked_up_may_be_sensitive(stack: Stack) -> None:
    """A contact whose reason is a Condition that could not be fetched: nobody knows whether it is labelled."""
    await stack.agree(HAROLD, "hospital-doctor")
    before = resources((await stack.everything(HAROLD, "hospital-doctor")).json(), "Encounter")
    telling = {r["id"] for r in before if "diagnosis" in r}
    assert telling
    sandbox = stack.sandboxes["RJ2"]
    system = sandbox._system

    async def without_conditions(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"].endswith("/Condition"):
            scope = scope | {"path": "/fhir/NoSuchType"}
        await system(scope, receive, send)

    sandbox._system = without_conditions
    for question in (f"/fhir/R4/Patient/{HAROLD}/$everything", f"/fhir/R4/Encounter?patient={HAROLD}"):
        answer = await stack.get(question, "hospital-doctor")
        shown = {r["id"] for r in resources(answer.json(), "Encounter")}
        assert shown == {r["id"] for r in before} - telling
        said = dict(piece.split("=", 1) for piece in answer.headers["Connect-Care-Sources"].split(", "))["RJ2"]
        assert said.startswith("partial;missing=")
        assert "contacts" in said
    assert "contacts may be incomplete" in " ".join(outcome(answer.json()))
