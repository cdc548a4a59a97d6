"""`connector replay` of what each connector gets."""

from __future__ import annotations

import asyncio
import copy
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from connectors.sdk.model import NHS_NUMBER_SYSTEM
from connectors.social_care.sandbox import create_app
from tests.connectors.gp_connect_asking import ALLERGY, RECORDS, bundle, empty_lists, problem
from tests.connectors.gp_connect_asking import PATIENT as PRACTICES_PATIENT
from tests.connectors.pds_asking import outcome, patient
from tests.flow.replay.asking import NHS, OTHER, collection, fates, lines, of_type, r4, refers, run, told
from tests.quick import every

FILES = sorted(RECORDS.glob("*.json"))


@pytest.mark.skipif(not FILES, reason=f"the records of other suppliers are not at {RECORDS}")
@pytest.mark.parametrize("file", every(4, FILES), ids=lambda file: file.stem.split("_")[1])
def test_the_records_of_other_suppliers_have_nothing_unexplained(file: Path) -> None:
    account = told("gp_connect", file, "--nhs-number", file.name[:10])
    entries = json.loads(file.read_bytes())["entry"]
    assert len(account["resources"]) == len(entries) + sum(len(one["resource"].get("contained", ())) for one in entries)
    assert account["counts"]["unexplained"] == 0
    assert account["counts"]["shown"] > 30
    assert of_type("List", account) == {"not shown"}
    assert file.name[:10] not in json.dumps(account)
    fewer = told("gp_connect", file, "--nhs-number", file.name[:10], "--as", "social-worker")
    assert fewer["counts"]["not shown"] > account["counts"]["not shown"]
    assert fewer["counts"]["unexplained"] == 0
    assert of_type("Observation", fewer) == {"not shown"}


def test_a_practices_record_and_its_contained_allergies(saved: Callable[..., Path]) -> None:
    ended = {**ALLERGY, "id": "a9", "clinicalStatus": "resolved"}
    lists = empty_lists("ended")
    holder = {**copy.deepcopy(lists[0]), "contained": [ended, {"resourceType": "Basic", "id": "b"}]}
    holder["code"]["coding"][0]["code"] = "1103671000000101"
    account = told("gp_connect", saved(bundle(PRACTICES_PATIENT, ALLERGY, *lists, holder)))
    found = {line["key"]: line for line in account["resources"]}
    assert found["AllergyIntolerance/a1"]["fate"] == "shown"
    (lifted,) = (line for key, line in found.items() if key.endswith("#a9"))
    assert (lifted["fate"], lifted["section"]) == ("shown", "allergies")
    (other,) = (line for key, line in found.items() if key.endswith("#b"))
    assert (other["fate"], other["rule"]) == ("not shown", "connector")


def test_a_refusal_of_the_source_accounts_for_itself(saved: Callable[..., Path]) -> None:
    account = told("gp_connect", saved(problem("NO_PATIENT_CONSENT")), "--nhs-number", NHS)
    assert account["outcome"] == "withheld-by-source"
    assert list(fates(account).values()) == ["not shown"]


async def fetched(path: str) -> bytes:
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(create_app("709"))) as http:
        return (await http.get(f"http://source.test/fhir/{path}")).content


def test_a_councils_answers(saved: Callable[..., Path]) -> None:
    about = f"identifier=https://fhir.nhs.uk/Id/nhs-number|{NHS}"
    paths = (f"Patient?{about}", "EpisodeOfCare?patient=LAS-304218", "Encounter?patient=LAS-304218")
    files = [saved(asyncio.run(fetched(path))) for path in paths]
    account = told("social_care", *files, "--as", "social-worker")
    assert account["counts"]["unexplained"] == 0
    cases = [line for line in account["resources"] if line["type"] == "EpisodeOfCare"]
    assert {(line["fate"], line["section"]) for line in cases} == {("shown", "care-team")}
    assert all(line["into"][0].startswith("CareTeam/") for line in cases)
    workers = [line for line in account["resources"] if line["type"] == "Practitioner"]
    assert any(line["times"] > 1 for line in workers)
    assert "left out, since the contract doesn't name it" in lines(account)["Patient/LAS-304218"]["why"]


def test_the_registers_patient(saved: Callable[..., Path]) -> None:
    account = told("pds", saved(patient()))
    assert account["counts"] == {**dict.fromkeys(account["counts"], 0), "shown": 1}
    assert NHS not in json.dumps(account)
    assert lines(account)["Patient/[nhs-number]"]["into"] == ["Patient/[nhs-number]"]


def test_the_registers_practice_is_known_and_not_asked(saved: Callable[..., Path]) -> None:
    practice = {"identifier": {"system": "https://fhir.nhs.uk/Id/ods-organization-code", "value": "G85005"}}
    account = told("pds", saved(patient(generalPractitioner=[practice])), "--ods", "X26")
    assert (account["outcome"], account["gaps"]) == ("answered", {})


def test_a_restricted_patients_place_is_held_back(saved: Callable[..., Path]) -> None:
    file = saved(patient(security="R", address=[{"line": ["1 Hidden Lane"]}]))
    assert told("pds", file)["heldBack"] == "whereabouts.sensitive"
    code, out, _ = run("pds", file)
    assert code == 0
    assert "held back  This patient's details are restricted." in out
    label = {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}]}
    home = r4("Location", "home", name="1 Hidden Lane")
    visit = r4("Encounter", "e1", location=[{"location": refers("Location/home")}])
    found = lines(told("fhir_r4", saved(collection(r4("Patient", "p1", meta=label), visit, home))))
    assert (found["Encounter/e1"]["fate"], found["Location/home"]["fate"]) == ("shown", "not shown")
    assert found["Location/home"]["rule"] == "whereabouts.sensitive"
    assert "Until it does" not in found["Location/home"]["why"]


def test_a_number_that_was_replaced_is_told_without_either_number(saved: Callable[..., Path]) -> None:
    code, out, err = run("pds", saved(patient(OTHER)), "--nhs-number", NHS)
    assert code == 0
    assert "register.superseded" in out
    assert "None of the Patients in these files carries the NHS number" in out
    assert NHS not in out + err
    assert OTHER not in out + err
    nobody = told("pds", saved(outcome("RESOURCE_NOT_FOUND")), "--nhs-number", NHS)
    assert nobody["outcome"] == "no-record"


def test_a_generated_record_of_an_r4_system(saved: Callable[..., Path], shared_data: Path) -> None:
    """A Synthea transaction, with an NHS number."""
    file = min((shared_data / "trust-r4" / "synthea").glob("*.json"), key=lambda file: file.stat().st_size)
    record = json.loads(file.read_bytes())
    for one in (entry["resource"] for entry in record["entry"]):
        if one["resourceType"] == "Patient":
            one["identifier"].append({"system": NHS_NUMBER_SYSTEM, "value": NHS})
    account = told("fhir_r4", saved(record))
    sent = Counter(entry["resource"]["resourceType"] for entry in record["entry"])
    assert account["counts"]["unexplained"] == 0
    for kind in ("Encounter", "Immunization", "Condition", "MedicationRequest", "AllergyIntolerance"):
        assert sum(line["fate"] == "shown" for line in account["resources"] if line["type"] == kind) == sent[kind]
    assert of_type("Practitioner", account) <= {"supporting", "not shown"}
    assert of_type("Claim", account) <= {"not shown"}
