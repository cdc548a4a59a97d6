"""The sandbox FHIR server: every style of search, pages, includes, reads, refusals, and its cost."""

from __future__ import annotations

import functools
import json
from decimal import Decimal
from typing import Any

import httpx2
import msgspec
import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.capabilitystatement import CapabilityStatement
from fhir.resources.R4B.operationoutcome import OperationOutcome

from connectors.fhir_r4 import sandbox
from connectors.fhir_r4.sandbox.bundles import Found, Pages
from connectors.fhir_r4.sandbox.flavours import FLAVOURS
from connectors.fhir_r4.sandbox.query import Refusal
from connectors.sdk.model import NHS_NUMBER_SYSTEM

BASE = "http://source.example:8443/fhir"
GRACE, ELSIE, DANIEL, AALIYAH = "9990000409", "9990000964", "9990000689", "9990000549"
BY_NUMBER = f"patient.identifier={NHS_NUMBER_SYSTEM}|"
decode = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode


holdings = functools.cache(sandbox.holdings)
well = functools.cache(sandbox.create_app)


def client(ods: str, **options: Any) -> httpx2.AsyncClient:
    app = sandbox.create_app(ods, **options) if options else well(ods)
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url=BASE)


async def get(ods: str, path: str, status: int = 200, **options: Any) -> dict[str, Any]:
    async with client(ods, **options) as http:
        answer = await http.get(f"{BASE}/{path}")
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/fhir+json"
    return decode(answer.content)


def local_id(ods: str, number: str) -> str:
    return holdings(ods).patient_ids[(NHS_NUMBER_SYSTEM, number)][0]


def held(ods: str, number: str, kind: str) -> set[str]:
    return {stored.id for stored in holdings(ods).of_patient(local_id(ods, number), kind)}


def ids(bundle: dict[str, Any], mode: str = "match") -> list[str]:
    entries = bundle.get("entry", [])
    return [entry["resource"]["id"] for entry in entries if entry["search"]["mode"] == mode]


@pytest.mark.parametrize("ods", sorted(FLAVOURS))
async def test_metadata_is_a_valid_statement_of_what_can_be_searched(ods: str) -> None:
    statement = await get(ods, "metadata")
    CapabilityStatement.model_validate(json.loads(msgspec.json.encode(statement)))
    assert statement["fhirVersion"] == "4.0.1"
    listed = {resource["type"]: resource for resource in statement["rest"][0]["resource"]}
    assert set(listed) == FLAVOURS[ods].types
    assert "patient" in {parameter["name"] for parameter in listed["Encounter"]["searchParam"]}
    assert ("operation" in listed["Patient"]) == FLAVOURS[ods].everything


@pytest.mark.parametrize("ods", sorted(FLAVOURS))
async def test_every_listed_parameter_is_accepted(ods: str) -> None:
    statement = await get(ods, "metadata")
    for resource in statement["rest"][0]["resource"]:
        for parameter in resource["searchParam"]:
            await get(ods, f"{resource['type']}?{parameter['name']}=nothing-of-the-kind")
        for include in resource.get("searchInclude", []):
            await get(ods, f"{resource['type']}?_id=nothing&_include={include}")


async def test_a_patient_is_found_by_nhs_number_and_birth_date() -> None:
    found = await get("RJ2", f"Patient?identifier={NHS_NUMBER_SYSTEM}|{GRACE}&birthdate=1958-03-12")
    assert ids(found) == [local_id("RJ2", GRACE)]
    assert (await get("RJ2", f"Patient?identifier={NHS_NUMBER_SYSTEM}|{GRACE}&birthdate=1958-03-13"))["total"] == 0
    assert (await get("RJ2", f"Patient?identifier={NHS_NUMBER_SYSTEM}|{AALIYAH}"))["total"] == 0
    assert (await get("RJ2", f"Patient?identifier={GRACE}"))["total"] == 1
    assert (await get("RJ2", f"Patient?identifier=https://other.example|{GRACE}"))["total"] == 0


@pytest.mark.parametrize(
    "style",
    [
        "patient={id}",
        "patient=Patient/{id}",
        f"patient={BASE}/Patient/{{id}}",
        "subject={id}",
        "subject=Patient/{id}",
        BY_NUMBER + GRACE,
        f"patient:Patient.identifier={NHS_NUMBER_SYSTEM}|{GRACE}",
        f"subject.identifier={NHS_NUMBER_SYSTEM}|{GRACE}",
        f"subject:Patient.identifier={NHS_NUMBER_SYSTEM}|{GRACE}",
        f"patient={{id}}&{BY_NUMBER}{GRACE}",
    ],
)
@pytest.mark.parametrize("ods", ["G85005", "RPG"])
async def test_every_way_to_name_the_patient_finds_the_same(ods: str, style: str) -> None:
    found = await get(ods, "Encounter?" + style.format(id=local_id(ods, GRACE)))
    assert set(ids(found)) == held(ods, GRACE, "Encounter")
    assert found["total"] == len(held(ods, GRACE, "Encounter")) > 0


async def test_an_odd_id_can_be_searched_and_read() -> None:
    odd = local_id("G85004", "9990000891")
    assert "_" in odd
    found = await get("G85004", f"Observation?patient={odd}")
    assert set(ids(found)) == held("G85004", "9990000891", "Observation")
    for one in ids(found):
        assert (await get("G85004", f"Observation/{one}"))["id"] == one


async def test_two_patients_at_odds_give_nothing() -> None:
    assert (await get("RJ2", f"Encounter?patient={local_id('RJ2', DANIEL)}&{BY_NUMBER}{GRACE}"))["total"] == 0
    assert (await get("RJ2", f"Encounter?{BY_NUMBER}{AALIYAH}"))["total"] == 0
    assert (await get("RJ2", "Encounter?patient=nobody"))["total"] == 0


@pytest.mark.parametrize(
    ("question", "wanted"),
    [
        ("Observation?code=999791000000106", 7),
        ("Observation?code=http://snomed.info/sct|999791000000106", 7),
        ("Observation?code=http://loinc.org|999791000000106", 0),
        ("Observation?code=59261-8,2823-3", 12),
        ("Observation?category=vital-signs", 2),
        ("Observation?category=laboratory&status=final", 26),
        ("Observation?category=laboratory&status=amended", 0),
        ("MedicationStatement?status=active", 6),
        ("MedicationStatement?status=|completed", 1),
        ("MedicationStatement?code=317919004", 1),
        ("Condition?clinical-status=active", 5),
        ("Condition?code=http://snomed.info/sct|", 6),
        ("AllergyIntolerance?category=food", 1),
    ],
)
async def test_tokens_filter(question: str, wanted: int) -> None:
    found = await get("G85005", f"{question}&patient={local_id('G85005', GRACE)}")
    assert found["total"] == wanted == len(ids(found))


async def test_several_ids_and_no_patient() -> None:
    one, two = sorted(held("G85005", GRACE, "Condition"))[:2]
    assert set(ids(await get("G85005", f"Condition?_id={one},{two}"))) == {one, two}
    assert ids(await get("G85005", f"Condition?_id={one},{two}&_id={two}")) == [two]
    everyone = await get("G83021", "Immunization?_count=1")
    assert everyone["total"] == len(holdings("G83021").by_type["Immunization"])


@pytest.mark.parametrize("count", ["", "&_count=7", "&_count=1000"])
@pytest.mark.parametrize("kind", ["Observation", "Encounter", "MedicationStatement"])
async def test_a_walk_through_the_pages_sees_everything_once(kind: str, count: str) -> None:
    seen: list[str] = []
    url = f"{BASE}/{kind}?{BY_NUMBER}{ELSIE}{count}"
    async with client("RJ2") as http:
        while url:
            page = (await http.get(url)).json()
            assert page["total"] == len(held("RJ2", ELSIE, kind))
            assert len(page["entry"]) <= (7 if count == "&_count=7" else 20)
            seen += ids(page)
            links = {link["relation"]: link["url"] for link in page["link"]}
            url = links.get("next", "")
            assert links["self"].endswith(f"{kind}?{BY_NUMBER}{ELSIE}{count}")
            assert not url or url.startswith(f"{BASE}/{kind}?_page=")
            assert ELSIE not in url
    assert len(seen) == len(set(seen))
    assert set(seen) == held("RJ2", ELSIE, kind)


async def test_the_trust_cuts_its_pages_at_twenty() -> None:
    first = await get("RJ2", f"Observation?{BY_NUMBER}{ELSIE}&_count=500")
    assert len(first["entry"]) == 20
    assert first["total"] == 62


async def test_links_and_addresses_follow_the_host_that_was_called() -> None:
    async with client("RJ2") as http:
        page = (await http.get(f"http://127.0.0.1:4711/fhir/Observation?{BY_NUMBER}{ELSIE}")).json()
    addresses = [entry["fullUrl"] for entry in page["entry"]] + [link["url"] for link in page["link"]]
    assert all(address.startswith("http://127.0.0.1:4711/fhir/Observation") for address in addresses)


async def test_count_nought_gives_the_total_alone() -> None:
    found = await get("RJ2", f"Observation?{BY_NUMBER}{ELSIE}&_count=0")
    assert found["total"] == 62
    assert "entry" not in found
    assert [link["relation"] for link in found["link"]] == ["self"]


@pytest.mark.parametrize("page", ["unknown.0", "nodot", ".", "x.-1"])
async def test_a_page_that_is_not_kept_is_gone(page: str) -> None:
    await get("RJ2", f"Observation?_page={page}", status=410)


async def test_a_page_belongs_to_its_own_search() -> None:
    async with client("RJ2") as http:
        links = (await http.get(f"{BASE}/Observation?{BY_NUMBER}{ELSIE}")).json()["link"]
        following = next(link["url"] for link in links if link["relation"] == "next")
        assert (await http.get(following.replace("/Observation?", "/Encounter?"))).status_code == 410
        assert (await http.get(following)).status_code == 200


def test_only_the_newest_results_are_remembered() -> None:
    pages = Pages()
    first = pages.remember(Found("/Observation", "0", []))
    tokens = [pages.remember(Found("/Observation", str(index), [])) for index in range(1, 1_001)]
    assert pages.recall("/Observation", f"{tokens[-1]}.20")[1] == 20
    with pytest.raises(Refusal) as caught:
        pages.recall("/Observation", f"{first}.20")
    assert caught.value.status == 410


async def test_included_resources_are_marked_and_come_once() -> None:
    grace = local_id("RJ2", GRACE)
    found = await get("RJ2", f"MedicationRequest?patient={grace}&_include=MedicationRequest:medication")
    assert len(ids(found)) == 2
    assert [e["resource"]["resourceType"] for e in found["entry"] if e["search"]["mode"] == "include"] == ["Medication"]
    found = await get("RJ2", f"Encounter?patient={grace}&_include=Encounter:location&_include=Encounter:participant")
    included = ids(found, "include")
    assert len(included) == len(set(included)) > 4
    assert found["total"] == len(ids(found)) == 6


@pytest.mark.parametrize(("name", "kinds"), [("location", {"Location"}), ("practitioner", {"Practitioner"})])
async def test_an_appointments_actors_are_included_by_kind(name: str, kinds: set[str]) -> None:
    found = await get("RJ2", f"Appointment?{BY_NUMBER}{GRACE}&_include=Appointment:{name}")
    included = {e["resource"]["resourceType"] for e in found["entry"] if e["search"]["mode"] == "include"}
    assert included == kinds


@pytest.mark.parametrize("include", ["*", "CareTeam:*", "CareTeam:participant:Practitioner"])
async def test_a_star_or_a_target_type_includes_too(include: str) -> None:
    found = await get("RPG", f"CareTeam?{BY_NUMBER}{GRACE}&_include={include}")
    assert len(ids(found, "include")) == 2


async def test_everything_of_a_patient_in_one_bundle() -> None:
    patient = local_id("RJ2", ELSIE)
    found = await get("RJ2", f"Patient/{patient}/$everything")
    assert found["total"] == 111
    keys = {f"{e['resource']['resourceType']}/{e['resource']['id']}" for e in found["entry"]}
    rj2 = holdings("RJ2")
    mine = {stored.key for group in list(rj2.by_patient[patient].values()) for stored in group}
    assert mine <= keys
    assert all(key in keys for one in mine for key in rj2.by_key[one].refers_to)


async def test_every_bundle_is_valid_r4() -> None:
    for path in (f"Observation?{BY_NUMBER}{ELSIE}", f"Encounter?{BY_NUMBER}{GRACE}&_include=*"):
        for ods in ("RJ2", "G85005"):
            Bundle.model_validate(json.loads(msgspec.json.encode(await get(ods, path))))


async def test_a_council_is_poorer() -> None:
    found = await get("709", f"Encounter?{BY_NUMBER}{GRACE}&_count=1&date=ge2020&_sort=-date")
    assert len(ids(found)) == found["total"] == 3
    assert "link" not in found
    assert not any("fullUrl" in entry for entry in found["entry"])
    coding = found["entry"][0]["resource"]["type"][0]["coding"][0]
    assert coding["system"] == "https://709.sandbox.example/CodeSystem/contact-type"
    await get("709", f"AllergyIntolerance?{BY_NUMBER}{GRACE}", status=404)
    await get("709", f"Patient/{local_id('709', GRACE)}/$everything", status=404)


async def test_read_gives_the_sources_own_bytes() -> None:
    stored = holdings("RJ2").by_type["Observation"][0]
    async with client("RJ2") as http:
        assert (await http.get(f"{BASE}/{stored.key}")).content == stored.body


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("Observation/none", 404, "not-found"),
        ("Patient/none/$everything", 404, "not-found"),
        ("Patient/{id}/$everything?start=2020", 400, "not-supported"),
        ("Patient/{id}/Observation", 404, "not-found"),
        ("Questionnaire?patient={id}", 404, "not-supported"),
        ("", 404, "not-supported"),
        ("Observation?patient={id}&colour=red", 400, "not-supported"),
        ("Observation?patient.name=x", 400, "not-supported"),
        ("Observation?patient:Group.identifier=x", 400, "not-supported"),
        ("Observation?patient=", 400, "not-supported"),
        ("AllergyIntolerance?subject={id}", 400, "not-supported"),
        ("Patient?patient={id}", 400, "not-supported"),
        ("Observation?_count=-1", 400, "invalid"),
        ("Observation?_count=ten", 400, "invalid"),
        ("Observation?_count=9999999", 400, "invalid"),
        ("Observation?_include=Encounter:location", 400, "not-supported"),
        ("Observation?_include=Observation:colour", 400, "not-supported"),
    ],
)
async def test_what_is_not_understood_is_refused(path: str, status: int, code: str) -> None:
    said = await get("G85005", path.format(id=local_id("G85005", GRACE)), status=status)
    OperationOutcome.model_validate(said)
    assert said["issue"][0]["code"] == code


async def test_a_search_can_be_posted_so_that_no_number_is_in_the_address() -> None:
    form = {"patient.identifier": f"{NHS_NUMBER_SYSTEM}|{GRACE}", "_format": "json"}
    async with client("G85005") as http:
        found = await http.post(f"{BASE}/Condition/_search?clinical-status=active", data=form)
        assert found.json()["total"] == 5
        assert (await http.post(f"{BASE}/Condition/_search", json={})).status_code == 415
        long = await http.post(f"{BASE}/Condition/_search", data={"_id": "x" * 70_000})
        assert long.status_code == 413


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "Patient/1"),
        ("DELETE", "Patient/1"),
        ("POST", "Patient"),
        ("POST", "Patient/1"),
        ("GET", "Patient/_search"),
    ],
)
async def test_it_only_reads(method: str, path: str) -> None:
    async with client("RJ2") as http:
        assert (await http.request(method, f"{BASE}/{path}")).status_code == 405


async def test_a_required_header_is_required_everywhere_but_for_metadata() -> None:
    async with client("RJ2", required_header=("Authorization", "Bearer open-sesame")) as http:
        refused = await http.get(f"{BASE}/Patient?identifier=x")
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
        assert (await http.get(f"{BASE}/Patient", headers={"Authorization": "Bearer no"})).status_code == 401
        allowed = await http.get(f"{BASE}/Patient", headers={"authorization": "Bearer open-sesame"})
        assert allowed.status_code == 200
        statement = await http.get(f"{BASE}/metadata")
        assert "security" in statement.json()["rest"][0]


async def test_digits_survive_the_wire() -> None:
    async with client("G85005") as http:
        body = (await http.get(f"{BASE}/Observation?{BY_NUMBER}{GRACE}&code=1023491000000104,1022571000000108")).content
    assert b'"value":4.50,' in body
    assert b'"value":0.10,' in body
    assert b'.120+01:00"' in body
