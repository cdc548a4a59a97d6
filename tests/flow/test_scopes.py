"""A token's scopes, item by item and patient by patient: what they leave out can't be felt at any door."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest

from gateway.allergies import denied_by
from tests.conformance.granular_world import OF_OBSERVATION, OTHER, PATIENT, categories, sandbox
from tests.conformance.granular_world import resources as held
from tests.flow.stack import TOMASZ, Stack, outcome, resources, running, told

LABORATORY: Final = f"user/Observation.rs?category={OF_OBSERVATION}|laboratory"
SCOPES: Final = (LABORATORY, "user/DiagnosticReport.rs", "user/Patient.rs", "user/Practitioner.rs")
_CHANGING: Final = re.compile(
    r"_cursor=[A-Za-z0-9_-]+|urn:uuid:[0-9a-f-]+|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}|20[0-9T:.-]+Z"
)


def is_granted(resource: dict[str, Any]) -> bool:
    if resource["resourceType"] == "Observation":
        return f"{OF_OBSERVATION}|laboratory" in categories(resource)
    return resource["resourceType"] != "Condition"


@pytest.fixture(scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with running(tmp_path_factory.mktemp("scopes"), others={"RJ2": sandbox()}) as stack:
        await stack.agree(PATIENT)
        await stack.agree(OTHER)
        yield stack


async def get(stack: Stack, path: str, *scopes: str, **claims: Any) -> httpx2.Response:
    token = stack.demo.mint("gp", claims={"scope": " ".join(("openid", *scopes)), **claims})
    return await stack.client.get(path, headers={"Authorization": f"Bearer {token}"})


def questions(ids: list[str]) -> list[str]:
    base = f"/fhir/R4/Observation?patient={PATIENT}"
    asked = [base, f"{base}&_count=1", f"{base}&_summary=count", f"{base}&_sort=-date", f"{base}&_elements=id"]
    asked += [f"{base}&code=8867-4", f"{base}&category=survey", f"{base}&status=final", f"{base}&date=ge2025-04"]
    asked += [f"{base}&_include=Observation:performer", f"/fhir/R4/Patient/{PATIENT}/Observation"]
    asked += [f"/fhir/R4/DiagnosticReport?patient={PATIENT}", f"/fhir/R4/Patient/{PATIENT}/$everything"]
    asked += [f"/fhir/R4/Patient/{PATIENT}/$summary", f"/fhir/R4/Condition?patient={PATIENT}"]
    return [*asked, *(f"/fhir/R4/{one}" for one in ids)]


async def answers(stack: Stack, ids: list[str]) -> dict[str, tuple[int, str]]:
    """By question: status and body, less what differs between any two answers."""
    found = {}
    for question in questions(ids):
        answer = await get(stack, question, *SCOPES)
        found[question] = (answer.status_code, _CHANGING.sub("…", answer.text))
    return found


async def test_two_worlds_that_differ_only_in_what_the_scopes_leave_out(world: Stack, tmp_path: Path) -> None:
    """Totals, pages, includes, references, the summary and reads by id: all alike, so nothing can be felt."""
    everything = resources((await world.everything(PATIENT)).json())
    every = [f"{one['resourceType']}/{one['id']}" for one in everything if one["resourceType"] != "Patient"]
    with_hidden = await answers(world, every)
    (tmp_path / "master.key").write_bytes((world.data / "master.key").read_bytes())
    kept = [one for one in held() if is_granted(one) and one["id"] != "staff"]
    async with running(tmp_path, others={"RJ2": sandbox(kept)}) as without:
        await without.agree(PATIENT)
        assert await answers(without, every) == with_hidden
    statuses = [status for status, _ in with_hidden.values()]
    left_out = [one["resourceType"] for one in held() if not is_granted(one)]
    assert statuses.count(404) >= left_out.count("Observation")
    assert statuses.count(403) >= left_out.count("Condition")  # the type as a whole, whatever there is of it


async def test_what_refers_to_something_left_out_does_not_name_it(world: Stack) -> None:
    bundle = (await get(world, f"/fhir/R4/Patient/{PATIENT}/$everything", *SCOPES)).json()
    shown = resources(bundle)
    assert {one["resourceType"] for one in shown} == {"Patient", "Observation", "DiagnosticReport"}
    (report,) = (one for one in shown if one["resourceType"] == "DiagnosticReport")
    assert len(report["result"]) == 1
    assert not any("hasMember" in one for one in shown)
    whole = resources((await world.everything(PATIENT)).json())
    assert any("hasMember" in one for one in whole)
    assert any(one["resourceType"] == "Practitioner" for one in whole)


async def test_what_is_left_out_is_told_in_the_same_words_whether_or_not_there_is_any(world: Stack) -> None:
    said = []
    for patient in (PATIENT, OTHER):
        bundle = (await get(world, f"/fhir/R4/Observation?patient={patient}", LABORATORY)).json()
        said += [text for text in outcome(bundle) if "scopes" in text]
    assert said[0] == said[1]
    assert said[0].startswith(
        "Limited by the scopes of your application's token to: "
        f"Observation (only category={OF_OBSERVATION}|laboratory)."
    )


async def test_the_journal_alone_counts_what_was_left_out(world: Stack) -> None:
    answer = await get(world, f"/fhir/R4/Observation?patient={PATIENT}", LABORATORY)
    assert len(resources(answer.json(), "Observation")) == 3
    (row,) = [
        row for row in await world.rows(PATIENT, requestId=answer.headers["X-Request-ID"]) if row["kind"] == "release"
    ]
    assert row["seen"] == {"results": 3}
    assert row["withheld"]["filter.scope"] >= 8


@pytest.mark.parametrize(
    "scope",
    [
        "user/Observation.rs?_include=Observation:performer",
        "user/Observation.rs?subject.name=x",
        "user/*.rs?category=x",
    ],
)
async def test_a_token_of_experimental_forms_alone_is_shown_nothing(world: Stack, scope: str) -> None:
    search = await get(world, f"/fhir/R4/Observation?patient={PATIENT}", scope)
    assert search.status_code == 403
    everything = await get(world, f"/fhir/R4/Patient/{PATIENT}/$everything", scope)
    if everything.status_code == 200:
        assert resources(everything.json()) == []
        assert any("token to: nothing." in text for text in outcome(everything.json()))
    else:
        assert everything.status_code == 403


async def test_allergies_of_which_only_some_may_be_shown_are_never_none(world: Stack) -> None:
    """A statement that there are none, or the lack of one, says nothing of what the token leaves out."""
    scopes = ("user/AllergyIntolerance.rs?category=biologic", "user/Patient.rs")
    for patient in (PATIENT, OTHER):
        bundle = (await get(world, f"/fhir/R4/AllergyIntolerance?patient={patient}", *scopes)).json()
        assert resources(bundle, "AllergyIntolerance") == []
        assert any(text.startswith("Allergies unavailable") for text in outcome(bundle))


async def test_no_statement_of_none_passes_a_scope_that_leaves_allergies_out(tmp_path: Path) -> None:
    """The scope lets the statement through, and an allergy without a clinical status not."""
    asked, part = f"/fhir/R4/AllergyIntolerance?patient={TOMASZ}", "user/AllergyIntolerance.rs?clinical-status=active"
    async with running(tmp_path) as stack:
        await stack.agree(TOMASZ)
        whole = resources((await get(stack, asked, "user/*.rs")).json(), "AllergyIntolerance")
        assert [denied_by(each) for each in whole] == ["any", "any"]
        found = (await get(stack, asked, part, "user/Patient.rs")).json()
    assert resources(found, "AllergyIntolerance") == []
    assert any(text.startswith("Allergies unavailable") for text in outcome(found))


async def test_a_patient_scope_opens_the_patient_in_context_and_nobody_else(world: Stack) -> None:
    bound = {"patient": PATIENT}
    assert (await get(world, f"/fhir/R4/Observation?patient={PATIENT}", "patient/*.rs", **bound)).status_code == 200
    for path in (
        f"/fhir/R4/Observation?patient={OTHER}",
        f"/fhir/R4/Patient/{OTHER}",
        f"/fhir/R4/Patient/{OTHER}/$everything",
        f"/fhir/R4/Patient?identifier=https://fhir.nhs.uk/Id/nhs-number|{OTHER}",
        "/fhir/R4/Patient?family=Smith&given=Ann&birthdate=1961-03-12",
    ):
        before = world.calls()
        refused = await get(world, path, "patient/*.rs", "user/*.rs", **bound)
        assert (refused.status_code, world.calls()) == (403, before), path
        assert "patient in context" in told(refused)
    rows = [row for row in await world.rows(OTHER) if row.get("rule") == "caller.patient-context"]
    assert len(rows) >= 3


async def test_the_patient_in_context_may_be_named_by_a_sealed_id(world: Stack) -> None:
    observation = resources((await world.everything(PATIENT)).json(), "Observation")[0]["id"]
    path = f"/fhir/R4/Observation/{observation}"
    assert (await get(world, path, "patient/*.rs", patient=observation)).status_code == 200
    for nobody in ({}, {"patient": ""}, {"patient": "12345"}, {"patient": observation[:-1]}, {"patient": OTHER}):
        assert (await get(world, path, "patient/*.rs", **nobody)).status_code == 403, nobody
    assert (await get(world, path, "user/*.rs", patient=OTHER)).status_code == 200


async def test_a_token_for_one_patient_asks_permission_about_nobody_else(world: Stack) -> None:
    claims = {"scope": "openid patient/*.rs", "patient": PATIENT}
    headers = {"Authorization": f"Bearer {world.demo.mint('gp', claims=claims)}"}
    asked = {"nhsNumber": OTHER, "basis": "patient-agreed"}
    refused = await world.client.post("/permissions", json=asked, headers=headers)
    assert (refused.status_code, "patient in context" in told(refused)) == (403, True)
    granted = await world.client.post("/permissions", json=asked | {"nhsNumber": PATIENT}, headers=headers)
    assert granted.status_code == 201
    listed = (await world.client.get("/permissions", headers=headers)).json()
    assert {one["nhsNumber"] for one in listed} == {PATIENT}
    others = [one["id"] for one in (await world.get("/permissions")).json() if one["nhsNumber"] == OTHER]
    path = f"/permissions/{others[0]}"
    assert (await world.client.get(path, headers=headers)).status_code == 404
    extended = await world.client.post(f"{path}/extend", json={"patientAsked": True}, headers=headers)
    assert extended.status_code == 404
    assert (await world.client.delete(path, headers=headers)).status_code == 404
    assert (await world.client.delete(f"/permissions/{granted.json()['id']}", headers=headers)).status_code == 204
    await world.agree(PATIENT)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/audit/_search", {}),
        ("/audit/_search", {"nhsNumber": OTHER}),
        ("/desk/_search", {}),
        ("/desk/unknown/_move", {"to": "questioned", "note": "n", "seen": 1}),
        ("/desk/unknown/_note", {"note": "n", "seen": 1}),
        ("/access-reports", {"nhsNumber": OTHER, "format": "json"}),
        ("/sharing-choices/_search", {"nhsNumber": OTHER}),
        ("/sharing-choices", {"nhsNumber": OTHER, "choice": "opted-out", "statedBy": "patient", "channel": "phone"}),
        ("/permissions/_search", {"nhsNumber": OTHER}),
        ("/permissions/_withdraw", {"nhsNumber": OTHER, "statedBy": "patient", "channel": "phone"}),
    ],
)
async def test_an_officers_doors_are_bound_to_the_patient_in_context_too(
    world: Stack, path: str, body: dict[str, Any]
) -> None:
    claims = {"scope": "patient/*.rs", "patient": PATIENT}
    headers = {"Authorization": f"Bearer {world.demo.mint('privacy-officer', claims=claims)}"}
    answer = await world.client.post(path, json=body, headers=headers)
    assert (answer.status_code, "patient in context" in answer.text) == (403, True), answer.text


@pytest.mark.parametrize(
    "path", [f"Consent?patient={OTHER}", "Consent/x", f"AuditEvent?patient={OTHER}", "AuditEvent/x", "/desk/unknown"]
)
async def test_reading_the_gateways_own_records_is_bound_as_well(world: Stack, path: str) -> None:
    claims = {"scope": "patient/*.rs", "patient": PATIENT}
    headers = {"Authorization": f"Bearer {world.demo.mint('privacy-officer', claims=claims)}"}
    answer = await world.client.get(path if path.startswith("/") else f"/fhir/R4/{path}", headers=headers)
    assert (answer.status_code, "patient in context" in told(answer)) == (403, True), answer.text


async def test_a_disclosure_needs_the_whole_of_each_type(world: Stack) -> None:
    """A file that a granular scope cut short would read as if an organisation had left something out."""
    scopes = "user/*.r user/Observation.s?category=laboratory user/Patient.s user/Condition.rs"
    headers = {"Authorization": f"Bearer {world.demo.mint('privacy-officer', claims={'scope': scopes})}"}
    body = {
        "nhsNumber": PATIENT,
        "birthDate": "1961-03-12",
        "basis": "court-order",
        "policy": "whole-record",
        "reference": "QB-2026-0042",
        "recipient": "HM Courts",
        "reason": "ordered by the court",
    }
    refused = await world.client.post("/disclosures", json=body, headers=headers)
    assert refused.status_code == 403
    assert "Observation" in told(refused)
    assert "Condition" not in told(refused)


async def test_a_sign_in_below_the_floor_is_told_what_to_ask_for_and_is_a_row(tmp_path: Path) -> None:
    floors = {"TREAT": {"acr": ["AAL2_OR_AAL3_ANY"]}, "ETREAT": {"acr": ["AAL3_ANY"], "max_age_hours": 12}}
    async with running(tmp_path, sign_in_floors=floors) as stack:
        path = f"/fhir/R4/Observation?patient={PATIENT}"
        weak = await get(stack, path, acr="AAL2", purpose_of_use="ETREAT")
        assert weak.status_code == 401
        challenge = weak.headers["WWW-Authenticate"]
        for part in ("insufficient_user_authentication", 'acr_values="AAL3_ANY"', 'max_age="43200"'):
            assert part in challenge
        assert (await get(stack, path, acr="AAL2")).status_code == 403  # strong enough; nobody gave permission
        answer = await stack.post("/audit/_search", {"kinds": ["refusal"]}, "privacy-officer")
        rows = [row for row in answer.json()["rows"] if row["rule"] == "caller.sign-in-strength"]
        assert [(row["status"], row["who"]["purpose"], row["who"]["role"]) for row in rows] == [(401, "ETREAT", "gp")]
