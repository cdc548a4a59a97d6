"""`Patient/{id}/$summary`: an International Patient Summary that never says more, or less, than is known."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gateway.audit.shown import Verdict, compare, read_resources
from tests.flow.stack import (
    AALIYAH,
    DANIEL,
    ELSIE,
    GRACE,
    HAROLD,
    MIA,
    RAJESH,
    SHIPPED,
    SIOBHAN,
    STRANGER,
    TOMASZ,
    WINSTON,
    Stack,
    resources,
    running,
    shipped,
    told,
)
from tests.ips import PROFILE, REQUIRED, sections, violations
from tests.quick import only

EVERYBODY = (GRACE, DANIEL, TOMASZ, ELSIE, MIA, RAJESH, HAROLD, WINSTON, AALIYAH, SIOBHAN)
ROLES = ("gp", "hospital-doctor", "nurse", "district-nurse", "occupational-therapist", "social-worker")
QUICK = {("gp", GRACE), ("social-worker", DANIEL), ("hospital-doctor", TOMASZ)}
ALLERGIES, MEDICINES, PROBLEMS, IMMUNISATIONS, RESULTS, CARE_TEAM = (
    *("48765-2", "10160-0", "11450-4"),
    *("11369-6", "30954-2", "85847-2"),
)
OWN = "https://connect-care.example/fhir/CodeSystem/section-empty"


@pytest.fixture(scope="module")
async def well(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """A gateway whose sources are well, for tests that leave it so."""
    data: Path = tmp_path_factory.mktemp("summary")
    async with running(data) as stack:
        yield stack


async def asked(stack: Stack, patient: str, who: str = "gp", **more: Any) -> httpx2.Response:
    await stack.agree(patient, who)
    return await stack.get(f"/fhir/R4/Patient/{patient}/$summary", who, **more)


async def summary(stack: Stack, patient: str, who: str = "gp") -> dict[str, Any]:
    answer = await asked(stack, patient, who)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def why(section: Mapping[str, Any]) -> str:
    """The code of a section's emptyReason, or none."""
    return section["emptyReason"]["coding"][0]["code"] if "emptyReason" in section else ""


def words(section: Mapping[str, Any]) -> str:
    """A narrative without its markup."""
    return re.sub(r"<[^>]+>", " ", section["text"]["div"])


def of_type(bundle: Mapping[str, Any], *kinds: str) -> list[dict[str, Any]]:
    return [entry["resource"] for entry in bundle["entry"] if entry["resource"]["resourceType"] in kinds]


@pytest.mark.parametrize(("who", "patient"), only(QUICK, product(ROLES, EVERYBODY)))
async def test_whoever_asks_of_whomever_it_is_an_ips(well: Stack, who: str, patient: str) -> None:
    bundle = await summary(well, patient, who)
    assert violations(bundle) == []
    assert set(REQUIRED) <= sections(bundle).keys()
    assert bundle["entry"][0]["resource"]["meta"]["profile"] == [PROFILE]
    assert bundle["entry"][1]["resource"]["id"] == patient


@pytest.mark.parametrize("who", ["gp", "social-worker"])
async def test_it_holds_what_the_whole_record_holds_byte_for_byte(well: Stack, who: str) -> None:
    """A summary leaves nothing out and alters nothing; of Patients it has the one that carries the record."""
    text = (await asked(well, GRACE, who)).text
    everything = (await well.everything(GRACE, who)).text
    found = {
        f"{r['resourceType']}/{r['id']}": r
        for r in resources(json.loads(everything, parse_float=str))
        if r["id"] != GRACE
    }
    expected = {name for name in found if not name.startswith(("Patient/", "Linkage/"))}
    here = json.loads(text, parse_float=str)["entry"]
    held = {entry["fullUrl"].rpartition("/R4/")[2]: entry["resource"] for entry in here[2:]}
    assert expected == {name for name in held if not name.startswith("urn:")}
    assert all(held[name] == found[name] for name in expected)
    if who == "gp":
        assert '"value":0.10' in text
        assert '"value":4.50' in text


async def test_the_narrative_has_a_row_for_each_entry_with_its_source(well: Stack) -> None:
    bundle = await summary(well, GRACE)
    for code, section in sections(bundle).items():
        if code[0].isdigit():
            rows = section["text"]["div"].count("<tr>") - 1
            assert max(rows, 0) == len(section.get("entry", [])), code
    medicines = words(sections(bundle)[MEDICINES])
    for said in ("Amlodipine", "TWO tablets (10 mg) once daily", "Status: stopped", "Oxleas NHS Foundation Trust"):
        assert said in medicines


async def test_conflicts_stay_visible_in_words_and_as_linkages(well: Stack) -> None:
    bundle = await summary(well, GRACE)
    by_code = sections(bundle)
    assert "What is recorded differs: dosage:" in words(by_code[MEDICINES])
    assert "One organisation records no known allergy, another records an allergy" in words(by_code[ALLERGIES])
    linkages = of_type(bundle, "Linkage")
    named = {reference["reference"] for reference in by_code["The same thing from several organisations"]["entry"]}
    urls = {entry["fullUrl"] for entry in bundle["entry"] if entry["resource"]["resourceType"] == "Linkage"}
    assert linkages
    assert named == urls


async def test_none_known_is_said_where_a_source_states_it_and_none_is_missing(well: Stack) -> None:
    bundle = await summary(well, TOMASZ)
    allergies = sections(bundle)[ALLERGIES]
    assert why(allergies) == "nilknown"
    assert words(allergies).strip().startswith("No known allergies")
    stated = sections(bundle)["Statements that there is none"]
    assert len(stated["entry"]) == len(of_type(bundle, "AllergyIntolerance")) >= 1
    assert "No known allergy" in words(stated)


@pytest.mark.parametrize("mode", ["broken", "no-allergies"])
async def test_none_known_never_survives_a_source_that_could_not_be_read(stack: Stack, mode: str) -> None:
    stack.make("RJ2", mode)
    bundle = await summary(stack, TOMASZ)
    allergies = sections(bundle)[ALLERGIES]
    assert why(allergies) == "unavailable"
    assert "Allergies unavailable" in words(allergies)
    assert "Could not be read: Lewisham and Greenwich NHS Trust" in words(allergies)
    assert "Statements that there is none" not in sections(bundle)
    assert "No known allerg" not in json.dumps(bundle)
    assert violations(bundle) == []
    medicines = sections(bundle)[MEDICINES]
    assert medicines["entry"], "what the others hold is there"
    assert ("There may be more" in words(medicines)) is (mode == "broken")


async def test_nothing_recorded_at_those_asked_is_not_what_could_not_be_read(stack: Stack) -> None:
    whole = sections(await summary(stack, HAROLD))[IMMUNISATIONS]
    assert whole["emptyReason"]["coding"][0] == {
        "system": OWN,
        "code": "nothing-recorded",
        "display": "Nothing recorded at those asked",
    }
    assert "does not mean that there is none" in words(whole)
    assert "Lewisham and Greenwich NHS Trust" in words(whole)
    stack.make("RJ2", "broken")
    missing = sections(await summary(stack, HAROLD))[IMMUNISATIONS]
    assert why(missing) == "unavailable"
    assert "Could not be read: Lewisham and Greenwich NHS Trust" in words(missing)


async def test_what_nobody_is_asked_for_is_not_asked(well: Stack) -> None:
    bundle = await summary(well, GRACE)
    for code in ("47519-4", "46264-8"):
        assert why(sections(bundle)[code]) == "notasked"
        assert "asks no organisation" in words(sections(bundle)[code])


async def test_what_a_role_never_sees_is_withheld_whether_or_not_there_is_any(well: Stack) -> None:
    said = []
    for patient in (GRACE, HAROLD):
        by_code = sections(await summary(well, patient, "social-worker"))
        for code in (PROBLEMS, RESULTS, IMMUNISATIONS):
            assert why(by_code[code]) == "withheld"
        said.append([by_code[code]["text"] for code in (PROBLEMS, RESULTS, IMMUNISATIONS)])
    assert said[0] == said[1]
    assert "never shown to a social worker" in said[0][0]["div"]


async def test_what_a_practice_withholds_is_said_in_every_section_of_its(tmp_path: Path) -> None:
    """Winston Campbell has told his practice not to share; what the Trust holds is shown, and says so."""
    async with running(tmp_path, organisations_file=SHIPPED, others=shipped()) as stack:
        bundle = await summary(stack, WINSTON, "hospital-doctor")
    assert violations(bundle) == []
    by_code = sections(bundle)
    for code in (ALLERGIES, MEDICINES, PROBLEMS, IMMUNISATIONS):
        assert "Withheld by South Lewisham Group Practice" in words(by_code[code]), code
        assert why(by_code[code]) in ("", "withheld"), code
    assert "withheld" in {why(by_code[code]) for code in (IMMUNISATIONS, PROBLEMS, MEDICINES)}


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ("user/Patient.rs user/AllergyIntolerance.rs", {PROBLEMS: "withheld", MEDICINES: "withheld", ALLERGIES: ""}),
        ("user/Patient.rs user/Observation.rs?category=laboratory", {ALLERGIES: "withheld", RESULTS: ""}),
        ("user/Patient.rs user/AllergyIntolerance.rs?category=food", {ALLERGIES: ""}),
    ],
)
async def test_what_the_token_leaves_out_is_said(well: Stack, scope: str, expected: dict[str, str]) -> None:
    await well.agree(GRACE)
    token = well.demo.mint("gp", claims={"scope": scope})
    headers = {"Authorization": f"Bearer {token}"}
    answer = await well.client.get(f"/fhir/R4/Patient/{GRACE}/$summary", headers=headers)
    assert answer.status_code == 200, answer.text
    bundle = answer.json()
    assert violations(bundle) == []
    by_code = sections(bundle)
    assert {code: why(by_code[code]) for code in expected} == expected
    limited = PROBLEMS if "Observation" not in scope and "?" not in scope else RESULTS if "Obs" in scope else ALLERGIES
    assert "your application" in words(by_code[limited])


async def test_none_known_is_never_said_of_a_part(well: Stack) -> None:
    await well.agree(TOMASZ)
    token = well.demo.mint("gp", claims={"scope": "user/Patient.rs user/AllergyIntolerance.rs?clinical-status=active"})
    headers = {"Authorization": f"Bearer {token}"}
    answer = await well.client.get(f"/fhir/R4/Patient/{TOMASZ}/$summary", headers=headers)
    allergies = sections(answer.json())[ALLERGIES]
    assert why(allergies) != "nilknown"
    assert "Allergies unavailable" in words(allergies)


async def test_a_token_that_can_not_read_the_patient_gets_no_summary(well: Stack) -> None:
    await well.agree(GRACE)
    before = well.calls()
    token = well.demo.mint("gp", claims={"scope": "user/Observation.rs"})
    headers = {"Authorization": f"Bearer {token}"}
    answer = await well.client.get(f"/fhir/R4/Patient/{GRACE}/$summary", headers=headers)
    assert (answer.status_code, well.calls()) == (403, before)
    assert "user/Patient.rs" in told(answer)


async def test_it_goes_the_way_of_every_question(stack: Stack) -> None:
    refused = await stack.get(f"/fhir/R4/Patient/{GRACE}/$summary")
    assert (refused.status_code, stack.calls()) == (403, 0)
    answer = await asked(stack, GRACE)
    rows = [row for row in await stack.rows(GRACE) if row["door"].endswith("$summary")]
    assert [row["kind"] for row in rows] == ["intent", "refusal", "intent", "release"]
    clinical = [e for e in answer.json()["entry"] if not e["fullUrl"].startswith("urn:")]
    assert sum(rows[-1]["seen"].values()) == len(clinical)
    await stack.choose(GRACE, "opted-out")
    barred = await stack.get(f"/fhir/R4/Patient/{GRACE}/$summary")
    assert barred.status_code == 403
    assert "opted out" in told(barred)


async def test_what_was_sent_can_be_proved(well: Stack) -> None:
    answer = await asked(well, GRACE, "nurse")
    rows = await well.parts.store.rows(request_id=answer.headers["x-request-id"])
    found = compare(read_resources(answer.content), rows, well.parts.sealer)
    clinical = [each for each in found if each.verdict is not Verdict.NOT_CLINICAL]
    assert len(clinical) > 30
    assert {each.verdict for each in clinical} == {Verdict.SHOWN}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b'{"resourceType":"Parameters"}',
        f'{{"resourceType":"Parameters","parameter":[{{"name":"profile","valueCanonical":"{PROFILE}|2.0.0"}}]}}'.encode(),
    ],
)
async def test_it_can_be_asked_for_by_post(well: Stack, body: bytes) -> None:
    await well.agree(HAROLD)
    kind = {"Content-Type": "application/fhir+json"} if body else {}
    answer = await well.client.post(
        f"/fhir/R4/Patient/{HAROLD}/$summary", content=body, headers=well.headers("gp") | kind
    )
    assert answer.status_code == 200, answer.text
    assert violations(answer.json()) == []


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        (f"{GRACE}/$summary?profile=http://other.example/profile", None, 400),
        (f"{GRACE}/$summary?_type=Observation", None, 400),
        (f"{GRACE}/$summary?_format=xml", None, 406),
        ("9990000410/$summary", None, 400),
        ("me/$summary", None, 400),
        (f"{GRACE}/$summary", b'{"resourceType":"Parameters","parameter":[{"name":"graph","valueBoolean":true}]}', 400),
        (f"{GRACE}/$summary", b'{"resourceType":"Bundle"}', 400),
        (f"{GRACE}/$summary", b"[" * 50_000, 400),
    ],
)
async def test_what_is_not_offered_is_refused_before_anybody_is_asked(
    well: Stack, path: str, body: bytes | None, status: int
) -> None:
    await well.agree(GRACE)
    before = well.calls()
    if body is None:
        answer = await well.get(f"/fhir/R4/Patient/{path}")
    else:
        kind = {"Content-Type": "application/fhir+json"}
        answer = await well.client.post(f"/fhir/R4/Patient/{path}", content=body, headers=well.headers("gp") | kind)
    assert (answer.status_code, well.calls()) == (status, before), answer.text
    assert told(answer)


async def test_nobody_known_and_nobody_answering_is_no_empty_summary(stack: Stack) -> None:
    assert (await asked(stack, STRANGER)).status_code == 404
    for ods in stack.sandboxes:
        stack.make(ods, "broken")
    answer = await asked(stack, GRACE)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]


async def test_other_organisations_own_details_are_said_to_be_elsewhere(well: Stack) -> None:
    bundle = await summary(well, GRACE)
    assert len(of_type(bundle, "Patient")) == 1
    assert "link" not in of_type(bundle, "Patient")[0]
    cover = words(bundle["entry"][0]["resource"])
    assert "What others record of that is no part of a summary" in cover


async def test_the_results_say_where_the_vital_signs_are(well: Stack) -> None:
    by_code = sections(await summary(well, AALIYAH))
    assert why(by_code[RESULTS]) == "nothing-recorded"
    assert "More is under: Vital signs" in words(by_code[RESULTS])
    assert by_code["8716-3"]["entry"]
    assert why(by_code[CARE_TEAM]) == "nothing-recorded"
