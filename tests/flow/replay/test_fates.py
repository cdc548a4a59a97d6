"""`connector replay`: where is it? Every resource of a saved answer has one fate."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.connector_commands import replay as replaying
from gateway.policy.decide import Policy
from tests.flow.replay.asking import (
    CONTAINED,
    EVERYTHING,
    ME_ASKED,
    SNOMED,
    Json,
    coded,
    collection,
    fates,
    lines,
    r4,
    refers,
    run,
    told,
)


def test_every_fate_in_one_bundle(saved: Callable[..., Path]) -> None:
    account = told("fhir_r4", saved(collection(*EVERYTHING)), *ME_ASKED)
    by_key = {(line["key"], line["fate"]): line for line in account["resources"]}
    expected = {
        ("Patient/p1", "shown"): "",
        ("Patient/p2", "not shown"): "never-asked-for",
        ("Observation/seen", "shown"): "",
        ("Observation/holds", "shown"): "",
        ("Observation/holds#near", "grouped into"): "contained",
        ("Observation/holds#orphan", "not shown"): "contained",
        ("Observation/holds#bill", "not shown"): "contained",
        ("Observation/nobody", "not shown"): "guard.no-patient",
        ("Observation/broken", "not shown"): "gap.held-back",
        ("Observation/hiv", "not shown"): "label.sensitive.agreement",
        ("Condition/old", "not shown"): "merge.newest",
        ("Condition/old", "shown"): "",
        ("MedicationStatement/s1", "shown"): "",
        ("MedicationRequest/plan", "grouped into"): "medicine",
        ("MedicationRequest/issue", "grouped into"): "medicine",
        ("MedicationRequest/alone", "shown"): "",
        ("AllergyIntolerance/none", "grouped into"): "same-as",
        ("AllergyIntolerance/nuts", "grouped into"): "same-as",
        ("Practitioner/known", "supporting"): "",
        ("Practitioner/unknown", "not shown"): "never-asked-for",
        ("Claim/c1", "not shown"): "never-asked-for",
        ("Claim/c1#v1", "not shown"): "never-asked-for",
        ("OperationOutcome/?19", "not shown"): "no-section",
    }
    assert {key: line["rule"] for key, line in by_key.items()} == expected
    statement = by_key["MedicationStatement/s1", "shown"]["into"][0]
    assert by_key["MedicationRequest/issue", "grouped into"]["why"] == f"one medicine with {statement}"
    assert all(line["why"] for line in by_key.values() if line["fate"] == "not shown")
    assert by_key["Observation/holds#near", "grouped into"]["into"] == by_key["Observation/holds", "shown"]["into"]
    assert account["gaps"] == {"results": "held-back"}
    assert account["alarms"] == [{"kind": "no-patient", "count": 1}]


def test_a_missing_source_takes_no_known_allergies_with_it(saved: Callable[..., Path]) -> None:
    broken = r4("AllergyIntolerance", "broken", code="x")
    none = r4("AllergyIntolerance", "none", code=coded("716186003"))
    found = lines(told("fhir_r4", saved(collection(r4("Patient", "p1"), broken, none))))
    assert found["AllergyIntolerance/none"]["rule"] == "merge.no-known-allergy"


def test_who_asks_decides_what_is_seen(saved: Callable[..., Path]) -> None:
    file = saved(collection(*EVERYTHING))
    gp, worker = told("fhir_r4", file, *ME_ASKED), told("fhir_r4", file, *ME_ASKED, "--as", "social-worker")
    assert worker["as"] == {"role": "social-worker", "organisation": "709", "type": "council"}
    assert worker["counts"]["shown"] < gp["counts"]["shown"]
    assert lines_of(worker, "Observation/seen")[0]["rule"] == "policy.default-deny"
    assert "No rule shows this to this role" in lines_of(worker, "Observation/seen")[0]["why"]
    (statement,) = lines_of(worker, "MedicationStatement/s1")
    assert (statement["fate"], statement["rule"]) == ("shown", "section.medicines.outline")
    assert statement["why"].startswith("in outline: ")
    assert worker["counts"]["unexplained"] == 0
    at_home = told("fhir_r4", file, *ME_ASKED, "--as", "gp@G85004")
    assert at_home["as"]["organisation"] == "G85004"


def lines_of(account: Json, key: str) -> list[Json]:
    return [line for line in account["resources"] if line["key"] == key]


def test_what_is_contained_in_an_outline_is_left_out_of_it(saved: Callable[..., Path]) -> None:
    visit = r4("Encounter", "e1", contained=CONTAINED[:1], participant=[{"individual": refers("#near")}])
    found = lines(told("fhir_r4", saved(collection(r4("Patient", "p1"), visit)), "--as", "social-worker"))
    assert found["Encounter/e1#near"]["rule"] == "section.contacts.outline"
    assert found["Encounter/e1#near"]["why"].startswith("left out of the outline: ")


def test_a_supporting_resource_goes_by_its_own_labels_too(saved: Callable[..., Path]) -> None:
    """A place that tells of a sexual health clinic takes the visit with it; one labelled by its source itself stays
    hidden beside what refers to it."""
    security = {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}]}
    doctor = r4("Practitioner", "known", meta=security)
    seen = r4("Observation", "seen", performer=[refers("Practitioner/known")])
    found = lines(told("fhir_r4", saved(collection(r4("Patient", "p1"), seen, doctor))))
    assert found["Observation/seen"]["fate"] == "shown"
    assert found["Practitioner/known"]["fate"] == "not shown"
    assert found["Practitioner/known"]["rule"].startswith("label.")


def test_another_persons_resource_closes_the_source(saved: Callable[..., Path]) -> None:
    stray = r4("Observation", "stray", subject=refers("Patient/p2"))
    file = saved(collection(r4("Patient", "p1"), r4("Observation", "seen"), stray))
    account = told("fhir_r4", file)
    assert set(fates(account).values()) == {"not shown"}
    assert {line["rule"] for line in account["resources"]} == {"guard.wrong-patient"}
    assert account["refused"]["rule"] == "sources.nobody-answered"
    code, out, err = run("fhir_r4", file, "--out", file.with_name("out.json"))
    assert (code, out) == (2, "")
    assert "Nothing of these files would be released" in err


def test_an_entry_of_its_own_decides_what_is_asked(saved: Callable[..., Path], tmp_path: Path) -> None:
    settings = {
        "batch": True,
        "patient_by": "identifier",
        "auth": {"scheme": "header", "name": "X-Key", "value_file": "/no"},
    }
    entry = {
        "ods": "RVY",
        "name": "A trust",
        "type": "acute-trust",
        "stage": "planned",
        "connector": "fhir_r4",
        "address": "https://trust.example/R4",
        "sections": ["demographics", "allergies"],
        "settings": settings,
    }
    file = tmp_path / "organisations.yaml"
    file.write_text(json.dumps({"organisations": [entry]}))
    nuts = r4("AllergyIntolerance", "nuts", code={"text": "nuts"}) | {
        "patient": refers("https://trust.example/R4/Patient/p1")
    }
    payload = saved(collection(r4("Patient", "p1"), r4("Observation", "seen"), nuts))
    account = told("fhir_r4", payload, "--ods", "RVY", "--organisations", file)
    assert account["organisation"] == "RVY"
    assert fates(account)["AllergyIntolerance/nuts"] == "shown"
    assert lines(account)["Observation/seen"]["rule"] == "sections"
    assert "not among the sections that the organisation offers" in lines(account)["Observation/seen"]["why"]


def test_the_settings_of_a_gateway_name_its_files(saved: Callable[..., Path], tmp_path: Path) -> None:
    labels = tmp_path / "more.csv"
    labels.write_text(f"system,code,label\n{SNOMED},22298006,HIV\n")
    issuer = {
        "issuer": "http://127.0.0.1:9/x",
        "audience": "x",
        "algorithms": ["ES256"],
        "allow_insecure_loopback": True,
    }
    settings = {"profile": "demo", "public_url": "http://127.0.0.1:8000", "data_dir": str(tmp_path / "data")}
    more = {"key_file": str(tmp_path / "none"), "label_files": [str(labels)], "issuers": [issuer]}
    config = tmp_path / "settings.yaml"
    config.write_text(json.dumps(settings | more))
    file = saved(collection(r4("Patient", "p1"), r4("Observation", "heart", code=coded("22298006"))))
    assert fates(told("fhir_r4", file))["Observation/heart"] == "shown"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replaying, "Policy", Policy)
        account = told("fhir_r4", file, "--config", config)
    assert lines(account)["Observation/heart"]["rule"] == "label.sensitive.agreement"
    assert not (tmp_path / "data").exists()


def test_gaps_account_for_what_is_missing_of_a_search_that_broke(saved: Callable[..., Path]) -> None:
    """A doubled key makes the whole search unusable: all that it brought is missing, and the section says so."""
    seen = r4("Observation", "seen", performer=[refers("Practitioner/known")])
    body = json.dumps(collection(r4("Patient", "p1"), seen, r4("Practitioner", "known"))).encode()
    doubled = body.replace(b'"status": "final"', b'"status": "final", "status": "amended"')
    account = told("fhir_r4", saved(doubled))
    assert account["gaps"] == {"results": "failed"}
    assert {line["rule"] for line in account["resources"] if line["key"] != "Patient/p1"} == {"gap.failed"}
    assert "a key stands twice" in lines(account)["Observation/seen"]["why"]


def test_a_saved_search_brings_what_nobody_can_hold(saved: Callable[..., Path]) -> None:
    """As it came, with what the source sent along: a bill, and a problem for somebody who sees none."""
    both = [r4("Encounter", "e1"), r4("Claim", "c1"), r4("Condition", "c2")]
    entries = [{"resource": one, "search": {"mode": "include" if place else "match"}} for place, one in enumerate(both)]
    visits = {"resourceType": "Bundle", "type": "searchset", "entry": entries}
    person = collection(r4("Patient", "p1"), kind="searchset")
    found = lines(told("fhir_r4", saved(person), saved(visits), "--as", "social-worker"))
    assert found["Encounter/e1"]["fate"] == "shown"
    assert (found["Claim/c1"]["fate"], found["Claim/c1"]["rule"]) == ("not shown", "no-section")
    account = told("fhir_r4", saved(person), saved(visits))
    assert account["gaps"]["results"] == "failed"  # that search was not saved
    assert fates(account)["Condition/c2"] == "shown"


def test_what_is_left_would_not_be_true(saved: Callable[..., Path]) -> None:
    """An outline of what has a modifier is shown to nobody: it could say what isn't so."""
    turned = r4("Encounter", "e1", modifierExtension=[{"url": "urn:x", "valueBoolean": True}])
    found = lines(told("fhir_r4", saved(collection(r4("Patient", "p1"), turned)), "--as", "social-worker"))
    assert found["Encounter/e1"]["rule"] == "filter.unshowable"


def test_a_role_that_works_nowhere_here_stands_in(saved: Callable[..., Path], tmp_path: Path) -> None:
    entry = {"ods": "RJ2", "name": "A trust", "type": "acute-trust", "stage": "live"}
    file = tmp_path / "organisations.yaml"
    file.write_text(json.dumps({"organisations": [entry]}))
    account = told("fhir_r4", saved(collection(r4("Patient", "p1"))), "--as", "social-worker", "--organisations", file)
    assert account["as"] == {"role": "social-worker", "organisation": "ZZZ99", "type": "council"}
