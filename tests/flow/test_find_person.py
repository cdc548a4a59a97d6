"""Finding a person whose NHS number nobody knows: who may, what is shown, what is written, and what is never told."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fhir.resources.R4B.bundle import Bundle as R4BBundle

from connectors.sdk.errors import NotUnderstood, Refused, SourceTimeout, Unreachable
from connectors.sdk.model import NHS_NUMBER_SYSTEM, Found
from gateway.audit.row import Kind, Row
from gateway.errors import AuditUnavailable
from gateway.register import find as find_person
from gateway.store.sqlite import SqliteStore
from tests.flow.registers import NADIA, REGISTER, Register, asked, registered, with_register
from tests.flow.stack import GRACE, TOMASZ, WINSTON, Stack, outcome, resources, running, told

CARE_STAFF = ("gp", "hospital-doctor", "nurse", "district-nurse", "occupational-therapist", "social-worker")
GRACE_IS = "family=Adebayo&given=Grace&birthdate=1958-03-12"
KEYS = {"resourceType", "id", "meta", "identifier", "name", "gender", "birthDate"}


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    async with with_register(tmp_path) as stack:
        yield stack


async def find(stack: Stack, query: str = GRACE_IS, who: str = "hospital-doctor") -> httpx2.Response:
    return await stack.get(f"/fhir/R4/Patient?{query}", who)


async def rows(stack: Stack) -> list[dict[str, Any]]:
    """Every row of the searches."""
    kinds = [Kind.PERSON_SOUGHT, Kind.PERSON_ANSWERED, Kind.REFUSAL]
    answer = await stack.post("/audit/_search", {"kinds": kinds, "limit": 500}, "privacy-officer")
    found: list[dict[str, Any]] = answer.json()["rows"]
    return found


def grace(**more: Any) -> dict[str, Any]:
    """The register's Patient as it finds her."""
    who = {
        "name": [{"use": "usual", "family": "Adebayo", "given": ["Grace", "Ngozi"]}],
        "birthDate": "1958-03-12",
        "gender": "female",
    }
    return registered(GRACE, "G85005", **{**who, **more})


@pytest.mark.parametrize("who", CARE_STAFF)
async def test_the_one_person_who_fits_is_shown_as_who_they_are(stack: Stack, who: str) -> None:
    answer = await find(stack, who=who)
    assert answer.status_code == 200
    bundle = answer.json()
    R4BBundle.model_validate(bundle)
    (patient,) = resources(bundle)
    assert patient.keys() == KEYS
    assert (patient["id"], patient["birthDate"], patient["gender"]) == (GRACE, "1958-03-12", "female")
    assert [(one["system"], one["value"]) for one in patient["identifier"]] == [(NHS_NUMBER_SYSTEM, GRACE)]
    assert [name["family"] for name in patient["name"]] == ["Adebayo"]  # not the name of before her marriage
    assert (bundle["type"], bundle["total"]) == ("searchset", 1)
    assert bundle["entry"][0]["fullUrl"].endswith(f"/fhir/R4/Patient/{GRACE}")
    assert answer.headers["Connect-Care-Sources"] == f"{REGISTER}=answered"
    assert "G85005" not in answer.text
    assert asked(stack) == {REGISTER}


async def test_a_form_finds_as_well(stack: Stack) -> None:
    answer = await stack.client.post(
        "/fhir/R4/Patient/_search",
        content=f"{GRACE_IS}&gender=female",
        headers=stack.headers("nurse") | {"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert [r["id"] for r in resources(answer.json())] == [GRACE]


async def test_more_details_must_fit_too(stack: Stack) -> None:
    assert len(resources((await find(stack, f"{GRACE_IS}&gender=female")).json())) == 1
    for more in ("gender=male", "address-postalcode=LS1+4AP"):
        assert not resources((await find(stack, f"{GRACE_IS}&{more}")).json())


async def test_namesakes_are_not_guessed_between(stack: Stack) -> None:
    clarke = "family=Clarke&given=David&birthdate=1966-10-03"
    bundle = (await find(stack, clarke)).json()
    assert (resources(bundle), bundle["total"]) == ([], 0)
    (sentence,) = outcome(bundle)
    assert "several people who fit" in sentence
    assert "Add gender and address-postalcode" in sentence
    assert "990000" not in json.dumps(bundle["entry"])
    for postcode, number in (("SE6+4UU", "9990007039"), ("se108xf", "9990007047")):
        found = (await find(stack, f"{clarke}&address-postalcode={postcode}")).json()
        assert [r["id"] for r in resources(found)] == [number]
    both = (await find(stack, f"{clarke}&gender=male")).json()
    assert "Add address-postalcode" in outcome(both)[0]


async def test_nobody_sensitive_and_opted_out_look_alike(stack: Stack) -> None:
    await stack.choose(WINSTON, "opted-out")
    answers = [
        await find(stack, query)
        for query in (
            "family=Nemo&given=Nobody&birthdate=1970-01-01",
            "family=Rahman&given=Nadia&birthdate=1990-02-17",
            "family=Campbell&given=Winston&birthdate=1949-08-30",
        )
    ]
    told_alike = set()
    for answer in answers:
        bundle = answer.json()
        assert (answer.status_code, resources(bundle), bundle["total"]) == (200, [], 0)
        told_alike.add((*outcome(bundle), answer.headers["Connect-Care-Sources"], str(bundle["meta"]["tag"])))
    assert len(told_alike) == 1
    assert "does not mean that there is no such person" in outcome(bundle)[0]
    # The audit knows whom it was about where somebody was kept back by their own choice.
    assert ("refusal", "choice.opted-out") in [(row["kind"], row.get("rule")) for row in await stack.rows(WINSTON)]
    assert not [row for row in await stack.rows(NADIA) if row["kind"].startswith("person")]


async def test_an_opt_out_while_the_register_is_asked_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The choice is read again inside the transaction of the row."""
    async with with_register(tmp_path, Register(grace(), Found(grace()))) as stack:

        async def asleep(*_: Any) -> None:
            await stack.choose(GRACE, "opted-out")

        monkeypatch.setattr(type(stack.parts.sharing), "require_opted_in", asleep)
        bundle = (await find(stack)).json()
        kinds = [(row["kind"], row.get("rule")) for row in await rows(stack)]
    assert not resources(bundle)
    assert kinds == [("person-sought", None), ("refusal", "choice.opted-out"), ("person-answered", None)]


async def test_every_search_is_two_rows_without_a_name(stack: Stack) -> None:
    await find(stack)
    await find(stack, "family=adebayo&given=GRACE&birthdate=1958-03-12", "nurse")
    await find(stack, "family=Nemo&given=Nobody&birthdate=1970-01-01")
    found = await rows(stack)
    assert [row["kind"] for row in found] == ["person-sought", "person-answered"] * 3
    first, answered, again, _, other, nobody = found
    assert (answered["nhsNumber"], answered["total"], answered["seen"]) == (GRACE, 1, {"demographics": 1})
    assert answered["intent"] == first["seq"]
    assert answered["sources"][REGISTER]["outcome"] == "answered"
    assert "nhsNumber" not in first
    assert nobody.get("total") == 0
    assert "nhsNumber" not in nobody
    assert first["subject"] == again["subject"] != other["subject"]
    assert first["door"] == "GET /fhir/R4/Patient"
    assert answered["seq"] in [row["seq"] for row in await stack.rows(GRACE)]
    text = json.dumps(found).casefold()
    assert not [secret for secret in ("grace", "adebayo", "1958-03-12", "nemo") if secret in text]


@pytest.mark.parametrize(
    ("who", "rule"), [("privacy-officer", "privacy-officer.never-clinical"), ("commissioner", "commissioner.nothing")]
)
async def test_who_gives_no_care_finds_nobody(stack: Stack, who: str, rule: str) -> None:
    answer = await find(stack, who=who)
    assert answer.status_code == 403
    assert [(row["kind"], row.get("rule")) for row in await rows(stack)][-1] == ("refusal", rule)
    assert asked(stack) == set()


@pytest.mark.parametrize(
    ("scope", "status"),
    [
        ("openid profile", 200),
        ("user/Patient.rs", 200),
        ("user/Patient.read", 200),
        ("user/*.read", 200),
        ("user/Patient.r", 403),
        ("user/Observation.rs", 403),
    ],
)
async def test_the_applications_token_must_let_it_search_patients(stack: Stack, scope: str, status: int) -> None:
    token = stack.demo.mint("nurse", claims={"scope": scope})
    headers = {"Authorization": f"Bearer {token}"}
    answer = await stack.client.get(f"/fhir/R4/Patient?{GRACE_IS}", headers=headers)
    assert answer.status_code == status
    if status == 403:
        assert (await rows(stack))[-1]["rule"] == "scope.patient"
        assert asked(stack) == set()


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("family=Adebayo", "Missing: given, birthdate"),
        ("given=Grace&birthdate=1958-03-12", "Missing: family"),
        ("family=Adebayo&given=Grace", "Missing: birthdate"),
        ("gender=female", "Missing: family, given, birthdate"),
        ("family=Ade*&given=Grace&birthdate=1958-03-12", "part of a name"),
        ("family=Adebayo,Okafor&given=Grace&birthdate=1958-03-12", "takes one name"),
        ("family:exact=Adebayo&given=Grace&birthdate=1958-03-12", "Modifiers aren't offered"),
        ("family=Adebayo&given=Grace&birthdate=ge1958-03-12", "one exact date"),
        ("family=Adebayo&given=Grace&birthdate=1958", "one exact date"),
        (f"{GRACE_IS}&gender=f", "takes male, female"),
        (f"{GRACE_IS}&address-postalcode=SE13", "whole postcode"),
        (f"{GRACE_IS}&given=Ngozi", "more than once"),
        (f"{GRACE_IS}&phone=0207", "isn't offered"),
        (f"{GRACE_IS}&identifier={NHS_NUMBER_SYSTEM}|{GRACE}", "not by both at once"),
        (f"{GRACE_IS}&_id={GRACE}", "not by both at once"),
        (f"family={GRACE}&given=Grace&birthdate=1958-03-12", "takes one name"),
    ],
)
async def test_a_search_that_cannot_be_made_says_why(stack: Stack, query: str, says: str) -> None:
    answer = await find(stack, query)
    assert answer.status_code == 400
    assert says in told(answer)
    assert [row["kind"] for row in await rows(stack)] == ["refusal"]
    assert asked(stack) == set()


async def test_without_number_and_name_both_ways_are_told(stack: Stack) -> None:
    answer = await find(stack, "birthdate=1958-03-12")
    assert answer.status_code == 400
    assert "identifier=" in told(answer)
    assert "family, given, birthdate" in told(answer)


@pytest.mark.parametrize("accept", ["application/xml", "text/html"])
async def test_only_json_is_offered(stack: Stack, accept: str) -> None:
    answer = await stack.get(f"/fhir/R4/Patient?{GRACE_IS}", "nurse", headers={"Accept": accept})
    assert answer.status_code == 406
    assert (await rows(stack))[-1]["kind"] == "refusal"


async def test_who_is_nobody_finds_nobody(stack: Stack) -> None:
    answer = await stack.client.get(f"/fhir/R4/Patient?{GRACE_IS}")
    assert answer.status_code == 401


@pytest.mark.parametrize(
    "silence", [Unreachable("x"), SourceTimeout("x"), Refused("x"), NotUnderstood("x"), KeyError("a fault")]
)
async def test_a_silent_register_is_not_nobody(tmp_path: Path, silence: Exception) -> None:
    async with with_register(tmp_path, Register(grace(), silence)) as stack:
        answer = await find(stack)
        last = (await rows(stack))[-1]
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
    assert "does not mean that nobody fits" in told(answer)
    assert (last["kind"], last["rule"]) == ("refusal", "register.silent")


async def test_a_register_that_keeps_failing_is_left_alone(tmp_path: Path) -> None:
    register = Register(grace(), Unreachable("x"))
    async with with_register(tmp_path, register, breaker_failures=2) as stack:
        answers = [await find(stack) for _ in range(4)]
    assert {answer.status_code for answer in answers} == {503}
    assert len(register.sought) == 2
    assert "is left alone" in told(answers[-1])


async def test_the_register_is_told_who_asks_and_what(tmp_path: Path) -> None:
    register = Register(grace(), Found(grace()))
    async with with_register(tmp_path, register) as stack:
        await find(stack, f"{GRACE_IS}&gender=female&address-postalcode=se13+6lh", "nurse")
    (sought,) = register.sought
    assert (sought.family, sought.given, sought.birth_date) == ("Adebayo", "Grace", "1958-03-12")
    assert (sought.gender, sought.postcode) == ("female", "SE13 6LH")
    assert (sought.asked_by.role, sought.asked_by.organisation) == ("nurse", "RJ2")
    assert "Adebayo" not in repr(sought.asked_by)


def changed(**more: Any) -> dict[str, Any]:
    return {**grace(), **more}


OTHERS_NUMBER = deepcopy(grace())
OTHERS_NUMBER["identifier"] += [{"system": NHS_NUMBER_SYSTEM, "value": TOMASZ}]


@pytest.mark.parametrize(
    "patient",
    [
        changed(birthDate="1958-03-13"),
        changed(name=[{"family": "Okafor", "given": ["Grace"]}]),
        changed(name=[{"family": "Adebayo", "given": ["Joy"]}]),
        changed(name=[{"family": "Adebayo", "given": ["Graceful"]}]),
        changed(name=[]),
        changed(gender="male"),
        changed(id=TOMASZ),
        changed(identifier=[]),
        changed(identifier=[{"system": NHS_NUMBER_SYSTEM, "value": "1234567890"}]),
        changed(resourceType="Person"),
        changed(name="Adebayo"),
        OTHERS_NUMBER,
    ],
)
async def test_somebody_else_is_never_shown(tmp_path: Path, patient: dict[str, Any]) -> None:
    async with with_register(tmp_path, Register(grace(), Found(patient))) as stack:
        answer = await find(stack, f"{GRACE_IS}&gender=female")
        last = (await rows(stack))[-1]
    assert answer.status_code == 503
    assert "Adebayo" not in answer.text.replace(GRACE_IS, "")
    assert (last["rule"], last["alarms"]) == (
        "register.misfit",
        [{"source": REGISTER, "kind": "wrong-person", "count": 1}],
    )


@pytest.mark.parametrize("label", ["R", "V", "X"])
async def test_a_restricted_person_is_nobody_even_where_the_register_shows_them(tmp_path: Path, label: str) -> None:
    security = [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": label}]
    async with with_register(tmp_path, Register(grace(), Found(changed(meta={"security": security})))) as stack:
        bundle = (await find(stack)).json()
        last = (await rows(stack))[-1]
    assert not resources(bundle)
    assert last["withheld"] == {"whereabouts.sensitive": 1}
    assert "nhsNumber" not in last


async def test_nothing_but_who_the_person_is_leaves(tmp_path: Path) -> None:
    more = {
        "name": [
            {"use": "usual", "family": "Adébayo", "given": ["Grace"], "extension": [{"url": "x", "valueString": "y"}]},
            {"use": "old", "family": "Okonjo", "given": ["Grace"]},
        ],
        "address": [{"line": ["17 Marigold Gardens"]}],
        "telecom": [{"system": "phone", "value": "020 7946 0123"}],
        "managingOrganization": {"identifier": {"value": "G85005"}},
        "deceasedDateTime": "2026-03-01",
        "maritalStatus": {"text": "married"},
    }
    async with with_register(tmp_path, Register(grace(), Found(changed(**more)))) as stack:
        (patient,) = resources((await find(stack)).json())
        (by_old_name,) = resources((await find(stack, "family=Okonjo&given=Grace&birthdate=1958-03-12")).json())
    assert patient.keys() == KEYS | {"deceasedDateTime"}
    assert patient["name"] == [{"use": "usual", "family": "Adébayo", "given": ["Grace"]}]
    assert [name["family"] for name in by_old_name["name"]] == ["Adébayo", "Okonjo"]


@pytest.mark.parametrize("kind", [Kind.PERSON_SOUGHT, Kind.PERSON_ANSWERED])
async def test_without_a_row_nobody_is_found(stack: Stack, monkeypatch: pytest.MonkeyPatch, kind: Kind) -> None:
    for name in ("append", "release"):
        real = getattr(SqliteStore, name)

        async def failing(store: SqliteStore, row: Row, real: Any = real) -> int:
            if row.kind is kind:
                raise AuditUnavailable("the disk is full")
            written: int = await real(store, row)
            return written

        monkeypatch.setattr(SqliteStore, name, failing)
    answer = await find(stack)
    assert answer.status_code == 503
    assert "Adebayo" not in answer.text
    assert asked(stack) == (set() if kind is Kind.PERSON_SOUGHT else {REGISTER})


async def test_a_fault_of_our_own_is_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with with_register(tmp_path, Register(grace(), Found(grace()))) as stack:
        monkeypatch.setattr(find_person, "fitting", lambda *_: 1 / 0)
        answer = await find(stack)
        last = (await rows(stack))[-1]
    assert answer.status_code == 500
    assert (last["rule"], last["detail"]) == ("fault", "ZeroDivisionError")


async def test_a_gateway_without_a_register_says_to_search_by_number(tmp_path: Path) -> None:
    async with running(tmp_path) as stack:
        answer = await find(stack)
        capability = (await stack.client.get("/fhir/R4/metadata")).json()
    assert answer.status_code == 400
    assert "Search by NHS number" in told(answer)
    assert "family" not in searchable(capability)


async def test_a_register_whose_connector_cannot_search(tmp_path: Path) -> None:
    class Plain:
        async def ask(self, ask: Any) -> Any:
            raise Unreachable("x")

        async def aclose(self) -> None:
            """Nothing to close."""

    async with with_register(tmp_path, Plain()) as stack:
        answer = await find(stack)
    assert answer.status_code == 400
    assert "no national register takes part" in told(answer)


def searchable(capability: dict[str, Any]) -> set[str]:
    patient = next(one for one in capability["rest"][0]["resource"] if one["type"] == "Patient")
    return {param["name"] for param in patient["searchParam"]}


async def test_the_capability_statement_says_what_can_be_sought_by(stack: Stack) -> None:
    capability = (await stack.client.get("/fhir/R4/metadata")).json()
    assert {"family", "given", "birthdate", "gender", "address-postalcode", "identifier"} <= searchable(capability)


async def test_what_was_found_opens_no_record(stack: Stack) -> None:
    """Permission is asked for as ever."""
    assert resources((await find(stack)).json())
    assert (await stack.everything(GRACE, "hospital-doctor")).status_code == 403
