"""A real R4 server that nobody here wrote, served as a trust by configuration alone.

`sekmet-fhir` holds six generated records and lets nobody in without a SMART Backend Services token. For each patient
and each section, the connector must bring exactly what the server itself counts.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from connectors.fhir_r4.settings import DEFAULT_SEARCHES
from connectors.sdk.connector import connect
from connectors.sdk.errors import NoRecord, Refused
from connectors.sdk.model import NHS_NUMBER_SYSTEM, SUPPORTING_TYPES, Answer, Gap, Outcome, Section
from connectors.sdk.nhs_number import is_nhs_number
from connectors.sdk.organisations import Organisation, load_organisations
from tests.connectors.asking import asking
from tests.processes import free_port

NOT_OF_A_RECORD = ("Claim", "ExplanationOfBenefit")
SECTIONS = [section for section in Section if section is not Section.CARE_TEAM]
"""What this server can search by patient; it knows no parameters for CareTeam."""

NUMBERS = [number for number in map(str, range(9990000018, 9990000200)) if is_nhs_number(number)][:7]
*PATIENTS, STRANGER = NUMBERS

LOADER = {"client_id": "loader", "client_secret": "only-in-this-test", "scopes": "system/*.cruds"}


@dataclass(frozen=True, slots=True)
class Trust:
    """The running server, a client that may write and count, and what the gateway needs to be let in."""

    root: str
    loader: httpx2.Client
    folder: Path

    def count(self, kind: str, nhs_number: str) -> int:
        """The server's own count of one type for one patient."""
        name = "identifier" if kind == "Patient" else "patient.identifier"
        asked = {name: f"{NHS_NUMBER_SYSTEM}|{nhs_number}", "_summary": "count"}
        return int(self.loader.get(f"/{kind}", params=asked).raise_for_status().json()["total"])

    def entry(self, **settings: Any) -> dict[str, Any]:
        """This trust's entry in organisations.yaml."""
        auth = {
            "scheme": "smart-backend-services",
            "token_url": f"{self.root}/auth/token",
            "client_id": "gateway",
            "key_file": str(self.folder / "gateway.pem"),
            "kid": "gateway-1",
        }
        return {
            "ods": "RJ2",
            "name": "A trust with a server of its own",
            "type": "acute-trust",
            "stage": "live",
            "connector": "fhir_r4",
            "address": f"{self.root}/fhir",
            "sections": [str(section) for section in SECTIONS],
            "settings": {"auth": auth, **settings},
        }


def opened(root: str) -> httpx2.Client:
    """A client that may write and count."""
    form = {"grant_type": "client_credentials", "scope": LOADER["scopes"]}
    secret = (LOADER["client_id"], LOADER["client_secret"])
    answer = httpx2.post(f"{root}/auth/token", data=form, auth=secret, trust_env=False)
    token = answer.raise_for_status().json()["access_token"]
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/fhir+json"}
    return httpx2.Client(base_url=f"{root}/fhir", headers=headers, timeout=30, trust_env=False)


def configure(folder: Path, port: int) -> Path:
    """The server's settings: a fresh store, strict validation, and two clients that it knows."""
    key = ec.generate_private_key(ec.SECP384R1())
    form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "gateway.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, form, plain))
    public = serialization.PublicFormat.SubjectPublicKeyInfo
    (folder / "gateway.pub").write_bytes(key.public_key().public_bytes(serialization.Encoding.PEM, public))
    gateway = {"client_id": "gateway", "public_key_path": str(folder / "gateway.pub"), "scopes": "system/*.rs"}
    settings = {
        "base_url": f"http://127.0.0.1:{port}/fhir",
        "host": "127.0.0.1",
        "port": port,
        "data_dir": str(folder / "data"),
        "own_private_key_path": str(folder / "own.pem"),
        "simulator": {"enabled": False},
        "server_auth": {"types": ["smart"], "smart_clients": [gateway, LOADER]},
    }
    file = folder / "settings.yaml"
    file.write_text(json.dumps(settings))  # JSON is YAML
    return file


def wait_until_up(process: subprocess.Popen[bytes], root: str, log: Path) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end and process.poll() is None:
        try:
            httpx2.get(f"{root}/.well-known/smart-configuration", trust_env=False).raise_for_status()
        except httpx2.TransportError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"the server didn't start:\n{log.read_text()[-2000:]}")


def transaction(file: Path, nhs_number: str) -> dict[str, Any]:
    """A generated record as one transaction that keeps its ids, without bills, and with an NHS number."""
    entries = []
    for entry in json.loads(file.read_text())["entry"]:
        resource = entry["resource"]
        if resource["resourceType"] == "Patient":
            resource["identifier"].append({"system": NHS_NUMBER_SYSTEM, "value": nhs_number})
        if resource["resourceType"] not in NOT_OF_A_RECORD:
            request = {"method": "PUT", "url": f"{resource['resourceType']}/{resource['id']}"}
            entries.append({"fullUrl": entry["fullUrl"], "resource": resource, "request": request})
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> Iterator[Trust]:
    folder = tmp_path_factory.mktemp("sekmet")
    port = free_port()
    settings = configure(folder, port)
    root = f"http://127.0.0.1:{port}"
    log = folder / "log.txt"
    command = [str(Path(sys.executable).with_name("sekmet")), "serve", "--config", str(settings)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT)
    try:
        wait_until_up(process, root, log)
        files = sorted((shared_data / "trust-r4" / "synthea").glob("*.json"))
        with opened(root) as loader:
            for file, nhs_number in zip(files, PATIENTS, strict=True):
                loader.post("", content=json.dumps(transaction(file, nhs_number))).raise_for_status()
            yield Trust(root, loader, folder)
    finally:
        process.terminate()
        process.wait(10)


async def ask(trust: Trust, nhs_number: str, sections: frozenset[Section], **settings: Any) -> Answer:
    connector = connect(Organisation.model_validate(trust.entry(**settings)))
    try:
        return await connector.ask(asking(nhs_number, sections, seconds=20))
    finally:
        await connector.aclose()


def kinds_of(section: Section) -> list[str]:
    """The resource types that serve a section."""
    return ["Patient"] if section is Section.DEMOGRAPHICS else [search.type for search in DEFAULT_SEARCHES[section]]


@pytest.mark.parametrize("patient_by", ["identifier", "logical-id"])
@pytest.mark.parametrize("nhs_number", PATIENTS)
async def test_every_section_has_what_the_server_counts(trust: Trust, nhs_number: str, patient_by: str) -> None:
    answer = await ask(trust, nhs_number, frozenset(SECTIONS), patient_by=patient_by, page_size=20)
    assert (answer.outcome, answer.gaps, answer.detail) == (Outcome.ANSWERED, {}, "")
    brought = Counter(item.type for item in answer.items)
    assert len({item.key for item in answer.items}) == len(answer.items)
    counted = {kind: trust.count(kind, nhs_number) for section in SECTIONS for kind in kinds_of(section)}
    assert counted == {kind: brought[kind] for kind in counted}
    supporting = Counter({kind: brought[kind] for kind in SUPPORTING_TYPES})
    assert supporting["Practitioner"] > 0
    assert supporting["Organization"] > 0
    assert brought.total() == sum(counted.values()) + supporting.total()
    assert brought["Observation"] > 20
    assert answer.calls >= 11


@pytest.mark.parametrize("section", SECTIONS)
async def test_a_section_asked_for_alone_brings_its_own_only(trust: Trust, section: Section) -> None:
    answer = await ask(trust, PATIENTS[0], frozenset({section}))
    assert answer.outcome is Outcome.ANSWERED
    expected = Counter({kind: trust.count(kind, PATIENTS[0]) for kind in kinds_of(section)}) | Counter({"Patient": 1})
    brought = Counter(item.type for item in answer.items if item.type not in SUPPORTING_TYPES)
    assert brought == +expected


async def test_all_items_are_about_the_one_patient(trust: Trust) -> None:
    answer = await ask(trust, PATIENTS[1], frozenset(SECTIONS))
    patient = next(item for item in answer.items if item.type == "Patient")
    assert patient.findings is not None
    assert patient.findings.nhs_numbers == {PATIENTS[1]}
    for item in answer.items:
        if item.section not in (None, Section.DEMOGRAPHICS):
            subject = item.resource["subject" if "subject" in item.resource else "patient"]
            assert subject["reference"] == patient.key
        assert item.full_url == f"{trust.root}/fhir/{item.key}"


async def test_a_search_that_the_server_ignores_is_a_gap_and_nobody_elses_record(trust: Trust) -> None:
    """It answers an unknown parameter with every CareTeam that it has, and says so in its self link."""
    answer = await ask(trust, PATIENTS[0], frozenset({Section.CARE_TEAM, Section.ALLERGIES}))
    assert answer.gaps == {Section.CARE_TEAM: Gap.FAILED}
    assert "self link" in answer.detail


async def test_a_stranger_is_not_known(trust: Trust) -> None:
    for patient_by in ("identifier", "logical-id"):
        with pytest.raises(NoRecord):
            await ask(trust, STRANGER, frozenset(SECTIONS), patient_by=patient_by)


async def test_nobody_gets_in_without_a_token(trust: Trust) -> None:
    with pytest.raises(Refused):
        await ask(trust, PATIENTS[0], frozenset(SECTIONS), auth={"scheme": "none"})


async def test_the_entry_is_all_that_it_takes(trust: Trust, tmp_path: Path) -> None:
    file = tmp_path / "organisations.yaml"
    file.write_text(json.dumps({"organisations": [trust.entry(patient_by="identifier")]}))
    (organisation,) = load_organisations(file).sources()
    connector = connect(organisation)
    try:
        answer = await connector.ask(asking(PATIENTS[0], organisation.sections, seconds=20))
    finally:
        await connector.aclose()
    assert answer.outcome is Outcome.ANSWERED
    assert answer.items
