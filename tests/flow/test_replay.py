"""`connector replay`: where is it? Every resource of a saved answer has one fate, and what is lost is found."""

from __future__ import annotations

import asyncio
import copy
import errno
import functools
import io
import json
import os
import re
import socket
import stat
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
from typer.testing import CliRunner

import connectors
from connectors.sdk.model import NHS_NUMBER_SYSTEM
from connectors.social_care.sandbox import create_app
from gateway.cli import app
from gateway.connector_commands import replay as replaying
from gateway.policy.decide import Policy
from gateway.replay.fate import Fate
from tests.connectors.gp_connect_asking import ALLERGY, RECORDS, bundle, empty_lists, problem
from tests.connectors.gp_connect_asking import PATIENT as PRACTICES_PATIENT
from tests.connectors.pds_asking import outcome, patient
from tests.quick import every

NHS, OTHER = "9990000409", "9990000964"
SNOMED = "http://snomed.info/sct"
ME = {"reference": "Patient/p1"}
FILES = sorted(RECORDS.glob("*.json"))

Json = dict[str, Any]


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is asked of anybody. The policies, which are always the same, are read once."""

    def refuse(*_: object) -> None:
        raise AssertionError("a replay went to the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(replaying, "Policy", SimpleNamespace(load=load_policy))


load_policy = functools.cache(Policy.load)


def run(*arguments: object) -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    done = CliRunner().invoke(app, ["connector", "replay", *map(str, arguments)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, done.stderr


def told(*arguments: object, exit_code: int = 0) -> Json:
    """The account as JSON."""
    code, out, err = run(*arguments, "--json")
    assert code == exit_code, err
    assert err == "" or "--out" in arguments
    found: Json = json.loads(out)
    assert sum(found["counts"].values()) == sum(line["times"] for line in found["resources"])
    return found


def lines(account: Json) -> dict[str, Json]:
    """By key; a key with two versions would hide one of them."""
    keys = [line["key"] for line in account["resources"]]
    assert len(set(keys)) == len(keys)
    return {line["key"]: line for line in account["resources"]}


def fates(account: Json) -> dict[str, str]:
    return {key: line["fate"] for key, line in lines(account).items()}


def of_type(kind: str, account: Json) -> set[str]:
    return {line["fate"] for line in account["resources"] if line["type"] == kind}


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., Path]:
    """Writes a payload to a file of its own."""
    numbers = iter(range(100))

    def save(payload: Any) -> Path:
        file = tmp_path / f"payload-{next(numbers)}.json"
        file.write_bytes(payload if isinstance(payload, bytes) else json.dumps(payload).encode())
        return file

    return save


# ---- a patient in R4 in whom everything happens ----


def r4(kind: str, id_: str, **more: Any) -> Json:
    least: dict[str, Json] = {
        "Patient": {"identifier": [{"system": NHS_NUMBER_SYSTEM, "value": NHS}]},
        "AllergyIntolerance": {"patient": ME},
        "Observation": {"status": "final", "code": {"text": "x"}, "subject": ME},
        "Condition": {"code": {"text": "x"}, "subject": ME},
        "Encounter": {"status": "finished", "class": {"code": "AMB"}, "subject": ME},
        "MedicationStatement": {"status": "active", "subject": ME, "medicationCodeableConcept": {"text": "x"}},
        "MedicationRequest": {
            "status": "active",
            "intent": "plan",
            "subject": ME,
            "medicationCodeableConcept": {"text": "x"},
        },
    }
    return {"resourceType": kind, "id": id_, **least.get(kind, {}), **more}


def coded(code: str, system: str = SNOMED) -> Json:
    return {"coding": [{"system": system, "code": code}]}


ME_ASKED = ("--nhs-number", NHS)


def refers(key: str) -> Json:
    return {"reference": key}


CONTAINED = [
    {"resourceType": "Practitioner", "id": "near", "name": [{"family": "Near"}]},
    {"resourceType": "Practitioner", "id": "orphan", "name": [{"family": "Orphan"}]},
    {"resourceType": "Claim", "id": "bill"},
]
EVERYTHING = [
    r4("Patient", "p1"),
    r4("Patient", "p2", identifier=[{"system": NHS_NUMBER_SYSTEM, "value": OTHER}]),
    r4("Observation", "seen", performer=[refers("Practitioner/known")]),
    r4("Observation", "holds", contained=CONTAINED, performer=[refers("#near")]),
    r4("Observation", "nobody", subject=None) | {"subject": {"display": "somebody"}},
    r4("Observation", "broken", status=None, code="x"),
    r4("Observation", "hiv", code=coded("86406008")),
    r4("Condition", "old", meta={"lastUpdated": "2020-01-01T00:00:00Z"}, code={"text": "then"}),
    r4("Condition", "old", meta={"lastUpdated": "2024-01-01T00:00:00Z"}, code={"text": "now"}),
    r4("MedicationStatement", "s1", basedOn=[refers("MedicationRequest/plan")]),
    r4("MedicationRequest", "plan"),
    r4("MedicationRequest", "issue", intent="order", basedOn=[refers("MedicationRequest/plan")]),
    r4("MedicationRequest", "alone"),
    r4("AllergyIntolerance", "none", code=coded("716186003")),
    r4("AllergyIntolerance", "nuts", code={"text": "nuts"}),
    r4("Practitioner", "known", name=[{"family": "Known"}]),
    r4("Practitioner", "unknown", name=[{"family": "Unknown"}]),
    r4("Claim", "c1", contained=[{"resourceType": "Coverage", "id": "v1"}]),
    {"resourceType": "OperationOutcome", "issue": [{"severity": "information", "code": "informational"}]},
]


def collection(*resources: Json, kind: str = "collection") -> Json:
    return {"resourceType": "Bundle", "type": kind, "entry": [{"resource": one} for one in resources]}


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


# ---- each connector ----


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


# ---- what is lost is found ----

LOSING = '''\
"""A connector that loses what it should bring."""

from dataclasses import replace

from connectors.fhir_r4.connector import connect as fhir_r4
from connectors.fhir_r4.settings import Settings
from connectors.sdk.model import Item, Section, Traced


class Losing:
    def __init__(self, inner):
        self.inner = inner

    async def ask(self, ask):
        BEFORE
        answer = await self.inner.ask(ask)
        FAULT
        return answer

    async def aclose(self):
        await self.inner.aclose()


def connect(setup):
    return Losing(fhir_r4(setup))
'''
MANIFEST = {
    "name": "losing",
    "kind": "dialect",
    "summary": "For tests",
    "owner": "A. Owner",
    "contract": "None",
    "sections": ["demographics", "results", "problems"],
    "kit": {"ods": "RJ2", "type": "acute-trust"},
}
TRACED = """\
answer.traced = [Traced(one.key, (one.key,)) for one in answer.items if one.type != "Observation"]
        answer.traced += [Traced("Observation/one", BECAME, REASON)]"""


@pytest.fixture
def losing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Installs a connector with a fault."""

    def install(fault: str, before: str = "pass", *, with_replay: bool = True) -> None:
        folder = tmp_path / "more" / "losing"
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text(LOSING.replace("FAULT", fault).replace("BEFORE", before))
        if with_replay:
            (folder / "replay.py").write_text("from connectors.fhir_r4.replay import replaying\n")
        (folder / "manifest.yaml").write_text(json.dumps(MANIFEST))
        (folder / "README.md").touch()
        monkeypatch.setattr(connectors, "__path__", [*connectors.__path__, str(tmp_path / "more")])

    yield install
    for module in ("connectors.losing", "connectors.losing.replay"):
        sys.modules.pop(module, None)


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("answer.items = [one for one in answer.items if one.original_id != 'one']", "nobody says why"),
        ("answer.items = []", "nobody says why"),
        ("[one.resource.pop('contained', None) for one in answer.items]", "took it out of what contains it"),
        ("raise KeyError('Observation/one')", "the connector itself broke"),
        (TRACED.replace("BECAME", "()").replace("REASON", "''"), "neither what it became nor why"),
        (TRACED.replace("BECAME", "('Observation/else',)").replace("REASON", "''"), "no such item came"),
        (TRACED.partition("\n")[0], "nobody says why"),
    ],
)
def test_what_a_connector_loses_is_unexplained(
    losing: Callable[..., None], saved: Callable[..., Path], fault: str, why: str
) -> None:
    losing(fault)
    one = r4("Observation", "one", contained=CONTAINED[:1], performer=[refers("#near")])
    file = saved(collection(r4("Patient", "p1"), one, r4("Condition", "c1")))
    account = told("losing", file, exit_code=1)
    unexplained = [line for line in account["resources"] if line["fate"] == "unexplained"]
    assert account["counts"]["unexplained"] == len(unexplained) > 0
    assert why in unexplained[0]["why"] + unexplained[-1]["why"]
    code, out, _ = run("losing", file)
    assert code == 1
    assert f"unexplained: {len(unexplained)}" in out


def test_what_a_connector_does_not_ask_for_is_unexplained(
    losing: Callable[..., None], saved: Callable[..., Path]
) -> None:
    """It offers results, was asked for them, and never searches for them."""
    losing("pass", "ask = replace(ask, sections=ask.sections - {Section.RESULTS})")
    account = told("losing", saved(collection(r4("Patient", "p1"), r4("Observation", "one"))), exit_code=1)
    assert fates(account) == {"Patient/p1": "shown", "Observation/one": "unexplained"}


def test_what_a_connector_makes_up_is_unexplained(losing: Callable[..., None], saved: Callable[..., Path]) -> None:
    made_up = "{'resourceType': 'Condition', 'id': 'x', 'code': {'text': 'x'}, 'subject': {'reference': 'Patient/p1'}}"
    losing(f"answer.items.append(Item(answer.source, {made_up}, Section.PROBLEMS, 'x'))")
    account = told("losing", saved(collection(r4("Patient", "p1"))), exit_code=1)
    assert lines(account)["Condition/x"]["why"] == "it is shown, and came of nothing that was sent"


def test_a_connector_may_tell_in_another_what_it_was_sent(
    losing: Callable[..., None], saved: Callable[..., Path]
) -> None:
    losing(
        "answer.items = [one for one in answer.items if one.original_id != 'two']\n"
        "        answer.traced = [Traced(one.key, (one.key,)) for one in answer.items]\n"
        "        answer.traced += [Traced('Observation/two', ('Observation/one',)), Traced('Basic/b', (), 'no use')]"
    )
    two = [r4("Observation", "one"), r4("Observation", "two"), r4("Basic", "b")]
    found = lines(told("losing", saved(collection(r4("Patient", "p1"), *two))))
    assert found["Observation/two"]["fate"] == "grouped into"
    assert found["Observation/two"]["why"] == "told by what became of Observation/one"
    assert found["Observation/two"]["into"] == found["Observation/one"]["into"]
    assert (found["Basic/b"]["why"], found["Basic/b"]["rule"]) == ("no use", "connector")


def test_our_own_fault_quotes_nothing(saved: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise KeyError("Penicillin for 9990000409")

    monkeypatch.setattr(replaying, "account", broken)
    code, out, err = run("fhir_r4", saved(collection(r4("Patient", "p1"))))
    assert (code, out) == (1, "")
    assert err == "Something went wrong here (KeyError), so nothing is accounted for.\n"


# ---- what it writes ----


def test_the_bundle_is_what_the_role_sees_and_nothing_else_is_written(
    saved: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, out = saved(collection(*EVERYTHING)), tmp_path / "out.json"
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    code, said, err = run("fhir_r4", file, *ME_ASKED, "--out", out, "--json")
    assert code == 0
    assert "It is clinical data of a patient" in err
    assert sorted(tmp_path.rglob("*")) == sorted([*before, out])
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    bundle = json.loads(out.read_bytes())
    shown = {f"{one['resource']['resourceType']}/{one['resource']['id']}" for one in bundle["entry"]}
    into = {reference for line in json.loads(said)["resources"] for reference in line["into"]}
    assert {one.replace(NHS, "[nhs-number]") for one in shown} >= into
    kinds = Counter(one["resource"]["resourceType"] for one in bundle["entry"])
    assert kinds["Observation"] == 2
    assert kinds["Linkage"] == 1  # no known allergy beside nuts
    assert kinds["OperationOutcome"] == 1
    assert "urn:connect-care:sources" in out.read_text()
    code, said, err = run("fhir_r4", file, *ME_ASKED, "--out", out)
    assert (code, said) == (2, "")
    assert "exists already" in err
    assert run("fhir_r4", file, *ME_ASKED, "--out", tmp_path / "no" / "folder")[0] == 2


def test_the_account_in_words(saved: Callable[..., Path]) -> None:
    code, out, err = run(
        "fhir_r4", saved(collection(*EVERYTHING, r4("Practitioner", "known", name=[{"family": "Known"}]))), *ME_ASKED
    )
    assert (code, err) == (0, "")
    assert NHS not in out
    assert "shown 6   grouped into 5   supporting 2   not shown 11   unexplained 0" in out
    assert "    results        Observation/seen  -> Observation/…." in out
    assert "    -              Practitioner/known (2 times)  -> Practitioner/…." in out
    assert "(one medicine with MedicationStatement/…." in out
    assert "1 × The patient agreed" not in out
    assert "  1 × the source sent something that does not say which patient it is about" in out
    assert "  gap        results: held-back" in out
    assert out.index("\nshown:") < out.index("\ngrouped into:") < out.index("\nnot shown:")


def test_a_sources_ids_do_not_steer_the_terminal(saved: Callable[..., Path]) -> None:
    evil = r4("Observation", "\x1b[2J\n" + "x" * 300)
    code, out, _ = run("fhir_r4", saved(collection(r4("Patient", "p1"), evil)))
    assert code == 0
    assert "\x1b" not in out
    assert "\N{REPLACEMENT CHARACTER}[2J" in out
    assert "x" * 200 not in out


# ---- bad input ----


def refused(*arguments: object) -> str:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert NHS not in err
    assert err.endswith(".\n")
    return err


@pytest.mark.parametrize("payload", [b"", b"<html>Penicillin</html>", b"[]", b'{"entry":[]}', b"\xff", b"[" * 100_000])
def test_a_file_that_is_no_fhir(saved: Callable[..., Path], payload: bytes) -> None:
    for name in ("fhir_r4", "gp_connect", "pds", "social_care"):
        told = refused(name, saved(payload), "--nhs-number", NHS)
        assert "is not FHIR in JSON" in told
        assert "Penicillin" not in told


def test_a_file_that_can_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "can't be read (No such file" in refused("fhir_r4", tmp_path / "none.json")
    assert "can't be read (Is a directory" in refused("fhir_r4", tmp_path)
    (tmp_path / "large").write_bytes(b"x" * 11)
    monkeypatch.setattr(replaying, "_MOST_BYTES", 10)
    assert "larger than any answer" in refused("fhir_r4", tmp_path / "large")


def test_a_payload_of_another_kind(saved: Callable[..., Path]) -> None:
    one = saved(r4("Observation", "o"))
    for name, why in (
        ("gp_connect", "of another kind"),
        ("social_care", "not a Bundle"),
        ("fhir_r4", "not a FHIR Bundle"),
    ):
        assert why in refused(name, one, "--nhs-number", NHS)
    assert "hold no Patient" in refused(
        "fhir_r4", saved(collection(r4("Observation", "o"), kind="searchset")), "--nhs-number", NHS
    )


def test_whose_record_it_is(saved: Callable[..., Path]) -> None:
    masked = r4("Patient", "p1", identifier=[{"system": NHS_NUMBER_SYSTEM, "value": "1234567890"}])
    assert "has a valid NHS number" in refused("fhir_r4", saved(collection(masked)))
    file = saved(collection(*EVERYTHING))
    assert "carry several NHS numbers" in refused("fhir_r4", file)
    assert "check digit is wrong" in refused("fhir_r4", file, "--nhs-number", "9990000408")
    assert "ten digits" in refused("fhir_r4", file, "--nhs-number", "12")


def test_a_connector_that_is_not_there_or_can_not_be_replayed(
    losing: Callable[..., None], saved: Callable[..., Path]
) -> None:
    file = saved(collection(r4("Patient", "p1")))
    assert "Use one of:" in refused("nothing", file)
    losing("pass", with_replay=False)
    assert "Write connectors/losing/replay.py" in refused("losing", file)


def test_a_role_that_is_not_there_or_sees_nothing(saved: Callable[..., Path]) -> None:
    file = saved(collection(r4("Patient", "p1")))
    assert "--as must be a role" in refused("fhir_r4", file, "--as", "surgeon")
    assert "no organisation that takes part" in refused("fhir_r4", file, "--as", "gp@NOPE")
    assert "no organisation that takes part" in refused("fhir_r4", file, "--as", "gp@")
    assert "Nobody is gp in a acute-trust" in refused("fhir_r4", file, "--as", "gp@RJ2")
    for role in ("commissioner", "privacy-officer"):
        assert "open" in refused("fhir_r4", file, "--as", role)
    assert "has no entry with connector: pds" in refused("pds", file, "--ods", "RJ2")
    assert "has no entry with connector: pds" in refused("pds", file, "--ods", "NOPE")


def test_a_role_that_works_nowhere_here_stands_in(saved: Callable[..., Path], tmp_path: Path) -> None:
    entry = {"ods": "RJ2", "name": "A trust", "type": "acute-trust", "stage": "live"}
    file = tmp_path / "organisations.yaml"
    file.write_text(json.dumps({"organisations": [entry]}))
    account = told("fhir_r4", saved(collection(r4("Patient", "p1"))), "--as", "social-worker", "--organisations", file)
    assert account["as"] == {"role": "social-worker", "organisation": "ZZZ99", "type": "council"}


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


def test_a_place_that_a_traced_holder_leaves_out(losing: Callable[..., None], saved: Callable[..., Path]) -> None:
    """A connector that accounts for each resource accounts for the contained ones too."""
    losing("answer.traced = [Traced(one.key, (one.key,)) for one in answer.items]")
    one = r4("Observation", "one", contained=CONTAINED[:1], performer=[refers("#near")])
    account = told("losing", saved(collection(r4("Patient", "p1"), one)), exit_code=1)
    assert fates(account)["Observation/one#near"] == "unexplained"


def test_a_traced_contained_resource_is_in_its_holder(losing: Callable[..., None], saved: Callable[..., Path]) -> None:
    losing(
        "answer.traced = [Traced(one.key, (one.key,)) for one in answer.items]\n"
        "        answer.traced += [Traced('Observation/one#near', ('Observation/one',))]"
    )
    one = r4("Observation", "one", contained=CONTAINED[:1], performer=[refers("#near")])
    found = lines(told("losing", saved(collection(r4("Patient", "p1"), one))))
    assert found["Observation/one#near"]["fate"] == "grouped into"
    assert found["Observation/one#near"]["into"] == found["Observation/one"]["into"]


def test_what_is_left_would_not_be_true(saved: Callable[..., Path]) -> None:
    """An outline of what has a modifier is shown to nobody: it could say what isn't so."""
    turned = r4("Encounter", "e1", modifierExtension=[{"url": "urn:x", "valueBoolean": True}])
    found = lines(told("fhir_r4", saved(collection(r4("Patient", "p1"), turned)), "--as", "social-worker"))
    assert found["Encounter/e1"]["rule"] == "filter.unshowable"


def test_what_stands_in_what_is_not_shown_is_not_shown(losing: Callable[..., None], saved: Callable[..., Path]) -> None:
    losing(
        "answer.traced = [Traced(one.key, (one.key,)) for one in answer.items]\n"
        "        answer.traced += [Traced('Observation/one#near', ('Observation/one',))]"
    )
    hidden = r4("Observation", "one", contained=CONTAINED[:1], performer=[refers("#near")], code=coded("86406008"))
    found = lines(told("losing", saved(collection(r4("Patient", "p1"), hidden))))
    assert found["Observation/one#near"]["rule"] == "label.sensitive.agreement"


def test_an_entry_that_can_not_be_used(saved: Callable[..., Path], tmp_path: Path) -> None:
    trust = {"ods": "RVY", "name": "A trust", "type": "acute-trust", "stage": "live", "connector": "fhir_r4"}
    practice = {"ods": "G85005", "name": "B", "type": "gp-practice", "stage": "live", "connector": "gp_connect"}
    of_all = {"address": "https://x.example", "sections": ["results"]}
    file = tmp_path / "organisations.yaml"
    council = {"ods": "709", "name": "C", "type": "council", "stage": "live"}
    file.write_text(json.dumps({"organisations": [{**trust, **of_all}, {**practice, **of_all}, council]}))
    person = saved(collection(r4("Patient", "p1")))
    options = ("--organisations", file)
    nothing = refused("fhir_r4", person, "--ods", "RVY", *options, "--as", "social-worker")
    assert "social-worker sees nothing of what RVY offers" in nothing
    assert "G85005" in refused("gp_connect", person, "--ods", "G85005", *options)
    file.write_text("organisations: []")
    assert "organisations.yaml" in refused("fhir_r4", person, *options)


def test_a_manifest_that_describes_nobody(losing: Callable[..., None], saved: Callable[..., Path]) -> None:
    losing("pass")
    manifest = Path(str(connectors.__path__[-1])) / "losing" / "manifest.yaml"
    manifest.write_text(json.dumps({**MANIFEST, "kit": {"ods": "much too long"}}))
    assert "describes no organisation" in refused("losing", saved(collection(r4("Patient", "p1"))))


def test_what_can_not_be_written_whole_is_not_left_behind(
    saved: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(io.BytesIO):
        def write(self, _: Any) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def opened(descriptor: int, _: str) -> Full:
        os.close(descriptor)
        return Full()

    monkeypatch.setattr(os, "fdopen", opened)
    out = tmp_path / "out.json"
    assert "No space left" in refused("fhir_r4", saved(collection(r4("Patient", "p1"))), "--out", out)
    assert not out.exists()


def test_the_guide_names_the_options_that_there_are() -> None:
    guide = (Path(connectors.__path__[0]) / "README.md").read_text().partition("## Where is it?")[2]
    told = CliRunner().invoke(app, ["connector", "replay", "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"}).stdout
    offered = set(re.findall(r"--[a-z][a-z-]+", told)) - {"--help"}
    named = set(re.findall(r"--[a-z][a-z-]+", guide))
    assert named | {"--organisations"} == offered
    for fate in Fate:
        assert f"| {fate} |" in guide
