"""`metadata` is exact: for each demo role, all that it lists works, and what it doesn't list is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final
from urllib.parse import urlencode

import httpx2
import pytest
from fhir.resources.R4B.capabilitystatement import CapabilityStatement

from connectors.sdk.connector import Connector, connect
from connectors.sdk.http import Httpx2Transport, Limits
from connectors.sdk.model import Answer, Ask, Item, Resource
from connectors.sdk.organisations import load_organisations
from gateway.demo.people import PEOPLE
from gateway.search.supporting import READABLE, SUPPORTING_READS
from tests.flow.stack import GRACE, ORGANISATIONS, Stack, resources, running, sandbox_without, told
from tests.quick import only

NHS: Final = "https://fhir.nhs.uk/Id/nhs-number"
RECORD_ROLES: Final = {"gp", "hospital-doctor", "nurse", "district-nurse", "occupational-therapist", "social-worker"}
ROLES: Final = [person.role for person in PEOPLE]
OTHER_TYPES: Final = ("Claim", "Basic", "Group", "Device", "Specimen", "CarePlan", "Provenance", "Binary", "Medicine")
VALUES: Final = {
    "_count": "1", "_sort": "-_id", "_summary": "true", "_elements": "id", "_total": "none", "_totalMethod": "count",
    "_format": "json", "patient": GRACE, "identifier": f"{NHS}|{GRACE}", "_id": GRACE, "birthdate": "1958-03-12",
}  # fmt: skip
OF_TYPE: Final = {"date": "ge1900", "token": "http://nowhere.example|x"}


class WithRole:
    """A connector whose care teams have a member in a PractitionerRole: no sandbox has one."""

    def __init__(self, real: Connector) -> None:
        self._real = real

    async def ask(self, ask: Ask) -> Answer:
        """The real answer, with another team."""
        answer = await self._real.ask(ask)
        for item in answer.items:
            if item.type == "CareTeam":
                item.resource["participant"] = [{"member": {"reference": "PractitionerRole/duty"}}]
                item.findings = None
        role: Resource = {"resourceType": "PractitionerRole", "id": "duty", "active": True}
        answer.items.append(Item(answer.source, role, None, "duty"))
        return answer

    async def aclose(self) -> None:
        """Close the real one."""
        await self._real.aclose()


@pytest.fixture(scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    entry = load_organisations(ORGANISATIONS, addresses={"RPG": "http://rpg.sandbox/fhir"}).get("RPG")
    assert entry is not None
    sandbox = sandbox_without("RPG", frozenset(), canaries=False)
    transport = Httpx2Transport(Limits(), httpx2.ASGITransport(app=sandbox))
    instead = {"RPG": WithRole(connect(entry, transport=transport))}
    async with running(tmp_path_factory.mktemp("walk"), canaries=False, instead=instead) as stack:
        for role in RECORD_ROLES:
            await stack.agree(GRACE, role)
        yield stack


async def listed(stack: Stack, who: str, **more: Any) -> dict[str, dict[str, Any]]:
    answer = await stack.get("/fhir/R4/metadata", who, **more)
    assert answer.status_code == 200
    CapabilityStatement.model_validate_json(answer.content)
    return {one["type"]: one for one in answer.json()["rest"][0].get("resource", [])}


def query(kind: str, *names: tuple[str, str]) -> str:
    """The address of a search of a type with these parameters (name, type)."""
    needed = {"identifier": VALUES["identifier"]} if kind == "Patient" else {"patient": GRACE}
    given = needed | {name: VALUES.get(name) or OF_TYPE[type_] for name, type_ in names}
    if kind != "Patient" and "_id" in given:
        given["_id"] = "an-id"
    if "_summary" in given:
        given.pop("_elements", None)
    return f"/fhir/R4/{kind}?{urlencode(given)}"


async def works(stack: Stack, who: str, *paths: str) -> list[dict[str, Any]]:
    bodies = []
    for path in paths:
        answer = await stack.get(path, who)
        assert answer.status_code == 200, (who, path, answer.text)
        bodies.append(answer.json())
    return bodies


@pytest.mark.parametrize("who", only(("gp", "social-worker"), sorted(RECORD_ROLES)))
async def test_all_that_is_listed_works(stack: Stack, who: str) -> None:
    types = await listed(stack, who)
    (whole,) = await works(stack, who, f"/fhir/R4/Patient/{GRACE}/$everything")
    held = resources(whole)
    assert {one["resourceType"] for one in held} - {"Linkage"} == set(types), "everything listed is in this record"
    for kind, told_ in types.items():
        codes = [one["code"] for one in told_["interaction"]]
        assert codes == (["read"] if kind in SUPPORTING_READS else ["read", "search-type"])
        read = next(one["id"] for one in held if one["resourceType"] == kind)
        await works(stack, who, f"/fhir/R4/{kind}/{read}")
        params = [(one["name"], one["type"]) for one in told_.get("searchParam", ()) if one["name"] != "_cursor"]
        if params:
            await works(stack, who, query(kind), query(kind, *params))
        for include in told_.get("searchInclude", ()):
            await works(stack, who, f"{query(kind)}&_include={include}")
        if kind in set(types) - {"Patient", *SUPPORTING_READS}:
            await works(stack, who, f"/fhir/R4/Patient/{GRACE}/{kind}")
    operations = [one["name"] for one in types["Patient"]["operation"]]
    assert operations == ["everything", "summary"]
    for name in operations:
        (body,) = await works(stack, who, f"/fhir/R4/Patient/{GRACE}/${name}")
        assert body["resourceType"] == "Bundle"


@pytest.mark.slow
@pytest.mark.parametrize("who", sorted(RECORD_ROLES))
async def test_each_parameter_that_is_listed_works_alone(stack: Stack, who: str) -> None:
    for kind, told_ in (await listed(stack, who)).items():
        for one in told_.get("searchParam", ()):
            if one["name"] != "_cursor":
                await works(stack, who, query(kind, (one["name"], one["type"])))


@pytest.mark.parametrize("who", only(("social-worker", "commissioner"), ROLES))
async def test_what_is_not_listed_is_refused(stack: Stack, who: str) -> None:
    types = await listed(stack, who)
    everything = resources((await stack.everything(GRACE)).json())
    known = {one["resourceType"]: one["id"] for one in everything}
    calls = stack.calls()
    for kind in (*READABLE, *OTHER_TYPES):
        if kind not in types:
            read = f"/fhir/R4/{kind}/{known.get(kind, 'an-id')}"
            for path in (query(kind), read, f"/fhir/R4/Patient/{GRACE}/{kind}"):
                answer = await stack.get(path, who)
                assert answer.status_code in (400, 403, 404), path
                assert told(answer)
        elif kind in SUPPORTING_READS:
            assert (await stack.get(query(kind), who)).status_code == 400
        answer = await stack.get(f"{query(kind)}&_include={kind}:subject", who)
        assert answer.status_code in (400, 403, 404)
    for method in ("PUT", "PATCH", "DELETE"):
        answer = await stack.client.request(method, f"/fhir/R4/Patient/{GRACE}", headers=stack.headers(who))
        assert answer.status_code == 405
    assert stack.calls() == calls, "it is refused before anybody is asked"
    if not types or "Patient" not in types:
        for name in ("everything", "summary"):
            assert (await stack.get(f"/fhir/R4/Patient/{GRACE}/${name}", who)).status_code == 403


async def test_who_opens_no_record_is_shown_what_else_there_is(stack: Stack) -> None:
    assert set(await listed(stack, "privacy-officer")) == {"Consent", "AuditEvent"}
    assert await listed(stack, "commissioner") == {}
    for kind in ("Consent", "AuditEvent"):
        bare = await stack.get(f"/fhir/R4/{kind}?patient={GRACE}", "privacy-officer")
        assert bare.status_code == 200
        read = bare.json()["entry"][0]["resource"]["id"]
        await works(stack, "privacy-officer", f"/fhir/R4/{kind}/{read}")
        token = stack.demo.mint("privacy-officer", claims={"scope": "user/Patient.rs"})
        headers = {"Authorization": f"Bearer {token}"}
        assert await listed(stack, "privacy-officer", headers=headers) == {}
        for path in (f"/fhir/R4/{kind}?patient={GRACE}", f"/fhir/R4/{kind}/{read}"):
            answer = await stack.get(path, headers=headers)
            assert answer.status_code == 403
            assert f"user/{kind}.rs" in told(answer)


async def test_without_a_token_it_is_the_union_and_a_wrong_one_is_refused(stack: Stack) -> None:
    answer = await stack.client.get("/fhir/R4/metadata")
    types = {one["type"] for one in answer.json()["rest"][0]["resource"]}
    assert types == {*READABLE, "Consent", "AuditEvent"}
    wrong = await stack.client.get("/fhir/R4/metadata", headers={"Authorization": "Bearer not-one"})
    assert wrong.status_code == 401
    assert told(wrong)
    for query_ in ("?mode=terminology", "?colour=red", "?_format=json&_format=json", "?_format=xml"):
        for headers in ({}, stack.headers("gp")):
            answer = await stack.client.get(f"/fhir/R4/metadata{query_}", headers=headers)
            assert answer.status_code == (406 if "xml" in query_ else 400)


async def test_scopes_narrow_the_statement_and_the_doors_alike(stack: Stack) -> None:
    scope = "openid patient/Patient.rs user/Patient.rs user/MedicationRequest.rs user/Medication.read user/Location.rs"
    token = stack.demo.mint("gp", claims={"scope": scope.replace("patient/Patient.rs ", "")})
    headers = {"Authorization": f"Bearer {token}"}
    types = await listed(stack, "gp", headers=headers)
    assert set(types) == {"Patient", "MedicationRequest", "Medication"}, "no contact is shown, so no place is reached"
    held = {one["resourceType"]: one["id"] for one in resources((await stack.everything(GRACE)).json())}
    calls = stack.calls()
    for kind in READABLE:
        if kind not in types:
            for path in (query(kind), f"/fhir/R4/{kind}/{held[kind]}"):
                answer = await stack.get(path, headers=headers)
                assert answer.status_code in (400, 403), path
    assert stack.calls() == calls
    for kind in types:
        assert (await stack.get(f"/fhir/R4/{kind}/{held[kind]}", headers=headers)).status_code in (200, 404)
    assert (await stack.get(query("MedicationRequest"), headers=headers)).status_code == 200
