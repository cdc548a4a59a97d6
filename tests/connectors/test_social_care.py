"""`social_care` against the sandbox councils: what it asks, what it brings, what it makes of an ill facade."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
from fhir.resources.R4B import get_fhir_model_class
from fhir.resources.R4B.capabilitystatement import CapabilityStatement

from connectors.kit.check import Subject, subject_of
from connectors.kit.faults import Mode
from connectors.kit.suite import ConnectorSuite
from connectors.sdk import shape
from connectors.sdk.connector import connect
from connectors.sdk.errors import (
    Busy,
    ConfigurationError,
    NoRecord,
    Refused,
    SourceError,
    SourceTimeout,
    TooMuch,
    Unwell,
    WrongContent,
)
from connectors.sdk.manifest import load_manifest
from connectors.sdk.model import SECTION_OF_TYPE, SUPPORTING_TYPES, Gap, Outcome, Section
from connectors.sdk.nhs_number import is_nhs_number
from connectors.social_care.sandbox import create_app, holdings, organisations
from tests.connectors.asking import BASE, asking
from tests.connectors.social_care_asking import (
    COUNCIL,
    DORIS,
    GRACE,
    IRENE,
    LEONARD,
    MIA,
    STRANGER,
    ask,
    council,
    facade,
    items,
    keys,
    only,
    organisation,
    trace,
)

README = Path(__file__).resolve().parents[2] / "connectors" / "social_care" / "README.md"
BOTH = pytest.mark.parametrize(("ods", "nhs_number"), [("709", GRACE), ("703", MIA), ("709", LEONARD)])


class TestConformance(ConnectorSuite):
    """Every case of the conformance kit."""

    @pytest.fixture
    def subject(self) -> Subject:
        return subject_of("social_care")


# ---- what it asks ----


async def test_three_questions_of_which_two_go_at_once() -> None:
    source = facade()
    answer = await ask(source)
    assert source.kinds()[0] == "Patient"
    assert sorted(source.kinds()[1:]) == ["Encounter", "EpisodeOfCare"]
    assert source.most_under_way == 2
    assert answer.calls == 3


async def test_only_the_elements_of_the_contract_are_asked_for() -> None:
    source = facade()
    await ask(source, cap=77)
    by_kind = {question.kind: question.params for question in source.calls}
    assert by_kind["Patient"]["identifier"] == f"https://fhir.nhs.uk/Id/nhs-number|{GRACE}"
    assert by_kind["Encounter"]["patient"] == by_kind["EpisodeOfCare"]["patient"] == "p1"
    assert by_kind["Encounter"]["_count"] == by_kind["EpisodeOfCare"]["_count"] == "77"
    for kind, never in (
        ("Patient", {"contact", "text", "extension", "photo", "link"}),
        ("Encounter", {"text", "note"}),
    ):
        elements = set(by_kind[kind]["_elements"].split(","))
        assert elements & never == set()
        table = next(line for line in README.read_text().splitlines() if line.startswith(f"| {kind} |"))
        assert elements == set(re.findall(r"`(\w+)(?:\.\w+)?`", table)) - {"use", "work", "text"}


@pytest.mark.parametrize(
    ("sections", "asked"),
    [
        (set(), set()),
        ({Section.DEMOGRAPHICS}, set()),
        ({Section.CONTACTS}, {"GET /fhir/Encounter"}),
        ({Section.CARE_TEAM, Section.DEMOGRAPHICS}, {"GET /fhir/EpisodeOfCare"}),
    ],
)
async def test_only_what_was_asked_for_is_asked_for(sections: set[Section], asked: set[str]) -> None:
    sandbox = create_app("709")
    answer = await ask(sandbox, frozenset(sections))
    assert set(sandbox.state()["calls"]["byPath"]) == {"GET /fhir/Patient"} | asked
    assert {item.section for item in answer.items} <= sections | {Section.DEMOGRAPHICS, None}
    assert answer.outcome is Outcome.ANSWERED


async def test_a_section_that_councils_do_not_hold_is_never_read_as_empty() -> None:
    answer = await ask(create_app("709"), frozenset({Section.ALLERGIES, Section.CONTACTS}))
    assert answer.outcome is Outcome.PARTIAL
    assert answer.gaps == {Section.ALLERGIES: Gap.NOT_ASKED}


# ---- what it brings ----


@BOTH
async def test_all_that_a_council_holds_comes_as_valid_r4(ods: str, nhs_number: str) -> None:
    answer = await ask(create_app(ods), nhs_number=nhs_number, ods=ods)
    assert (answer.outcome, answer.gaps, answer.detail, answer.warnings) == (Outcome.ANSWERED, {}, "", [])
    books = holdings(ods)
    (held,) = books.with_number("https://fhir.nhs.uk/Id/nhs-number", nhs_number)
    cases, contacts = books.about("EpisodeOfCare", held["id"]), books.about("Encounter", held["id"])
    assert {team["id"] for team in items(answer, "CareTeam")} == {one["id"] for one in cases} != set()
    met = [*items(answer, "Encounter"), *items(answer, "Appointment")]
    assert {one["id"] for one in met} == {one["id"] for one in contacts} != set()
    for item in answer.items:
        assert (item.source, item.section, item.full_url) == (ods, SECTION_OF_TYPE.get(item.type), None)
        assert item.section is not None or item.type in SUPPORTING_TYPES
        shape.check(item.resource)
        get_fhir_model_class(item.type).model_validate(json.loads(msgspec.json.encode(item.resource)))


@BOTH
async def test_each_resource_that_came_is_accounted_for_once(ods: str, nhs_number: str) -> None:
    sent: set[str] = set()
    sandbox = create_app(ods, careless=True, canaries=True)

    async def overheard(scope: Any, receive: Any, send: Any) -> None:
        async def keep(message: Any) -> None:
            if message["type"] == "http.response.body":
                came = json.loads(message["body"])
                sent.update(f"{e['resource']['resourceType']}/{e['resource']['id']}" for e in came.get("entry", []))
            await send(message)

        await sandbox(scope, receive, keep)

    answer = await ask(overheard, nhs_number=nhs_number, ods=ods)
    assert sorted(one.key for one in answer.traced) == sorted(sent)
    assert {key for one in answer.traced for key in one.became} == keys(answer.items)
    assert all(one.became or one.reason for one in answer.traced)


async def test_the_story_of_grace() -> None:
    answer = await ask(create_app("709"))
    assert [(team["status"], team["name"]) for team in items(answer, "CareTeam")] == [
        ("active", "Occupational therapy, Lewisham"),
        ("active", "Adult social care, Lewisham south"),
        ("inactive", "Hospital discharge, Lewisham"),
    ]
    allocated = items(answer, "CareTeam")[1]["participant"]
    assert [(one["role"][0]["text"], one["member"]["display"]) for one in allocated] == [
        ("Allocated worker", "Ms Chantelle Bailey"),
        ("Allocated team", "Adult social care, Lewisham south"),
    ]
    by_words = {one["type"][0]["text"]: one for one in items(answer, "Encounter")}
    assert list(by_words) == ["Telephone call", "Occupational therapist's visit at home", "Care Act assessment"]
    assert [one["class"]["code"] for one in by_words.values()] == ["VR", "HH", "HH"]
    assessed = by_words["Care Act assessment"]
    assert assessed["period"] == {"start": "2026-09-03T10:00:41+01:00", "end": "2026-09-03T11:30:45+01:00"}
    assert assessed["type"][0]["coding"] == [
        {
            "system": "https://709.sandbox.example/CodeSystem/contact-type",
            "code": "CA01",
            "display": "CARE ACT ASSMT S9",
        }
    ]
    assert assessed["reasonCode"][0]["text"] == "Care Act assessment after a stay in hospital"
    planned = only(answer, "Appointment")
    assert (planned["status"], planned["start"], planned["end"]) == (
        "booked",
        "2027-03-03T10:00:53+00:00",
        "2027-03-03T11:00:10+00:00",
    )
    assert [one["actor"]["reference"] for one in planned["participant"]] == [
        "Patient/LAS-304218",
        "Practitioner/LAS-392924",
        "Location/LAS-716323",
    ]
    assert not any("status" in one for one in planned["participant"])  # whether they agreed isn't known


async def test_the_story_of_mia() -> None:
    answer = await ask(create_app("703"), nhs_number=MIA, ods="703")
    team = only(answer, "CareTeam")
    assert (team["name"], team["category"][0]["text"]) == (
        "Children with disabilities team",
        "Support for a disabled child",
    )
    assert only(answer, "Encounter")["period"]["start"] == "2026-04-22T15:30:19.1+01:00"
    assert only(answer, "Appointment")["serviceType"][0]["text"] == "Child in need review"


async def test_closed_cases_unknown_codes_and_sensitive_teams() -> None:
    answer = await ask(create_app("709"), nhs_number=LEONARD)
    waiting, closed = items(answer, "CareTeam")
    assert (closed["status"], closed["period"]) == ("inactive", {"start": "2024-02-05", "end": "2026-05-11"})
    assert closed["participant"][0]["role"] == [{"text": "Allocated worker when the case was closed"}]
    assert waiting["status"] == "proposed"
    assert waiting["category"][0]["coding"][0] == {
        "system": "https://709.sandbox.example/CodeSystem/case-type",
        "code": "ZZ9",
        "display": "NEW PATHWAY",
    }
    assert [one["role"][0]["text"] for one in waiting["participant"]] == ["Allocated team"]
    assert [one["code"] for one in waiting["meta"]["security"]] == ["SUD"]
    for_a_day, enquiry = items(answer, "Encounter")
    assert (for_a_day["status"], for_a_day["period"]) == ("planned", {"start": "2026-12-14"})
    assert for_a_day["type"][0]["text"] == "Blue badge reassessment"
    assert [one["code"] for one in enquiry["meta"]["security"]] == ["SDV"]


async def test_known_with_nothing_in_a_section() -> None:
    answer = await ask(create_app("709"), nhs_number=IRENE)
    assert (answer.outcome, answer.gaps) == (Outcome.ANSWERED, {})
    assert not any(item.section is Section.CONTACTS for item in answer.items)


async def test_a_stranger_is_not_known_and_nothing_more_is_asked() -> None:
    sandbox = create_app("709")
    with pytest.raises(NoRecord):
        await ask(sandbox, nhs_number=STRANGER)
    assert sandbox.state()["calls"]["total"] == 1


async def test_nobody_is_matched_by_name() -> None:
    """A namesake with Grace's birth date and no NHS number is in the same system, and never comes."""
    books = holdings("709")
    namesakes = [one for one in books.of_type("Patient") if one["name"][0]["family"] == "Adebayo"]
    assert len(namesakes) == 2
    assert len({(one["birthDate"], one["name"][0]["given"][0]) for one in namesakes}) == 1
    (other,) = [one["id"] for one in namesakes if one["id"] != "LAS-304218"]
    answer = await ask(create_app("709", careless=True))
    assert other not in msgspec.json.encode([item.resource for item in answer.items]).decode()
    assert [item.original_id for item in answer.items if item.type == "Patient"] == ["LAS-304218"]


async def test_an_unverified_number_is_held_back_and_says_so() -> None:
    sandbox = create_app("709")
    answer = await ask(sandbox, nhs_number=DORIS)
    assert (answer.outcome, answer.items) == (Outcome.FAILED, [])
    assert answer.gaps == dict.fromkeys(COUNCIL, Gap.HELD_BACK)
    assert "has not verified" in answer.told
    assert sandbox.state()["calls"]["total"] == 1
    shown = await ask(sandbox, nhs_number=DORIS, unverified_number="show-with-warning")
    assert shown.outcome is Outcome.ANSWERED
    (warning,) = shown.warnings
    assert (warning.section, warning.code) == (Section.DEMOGRAPHICS, "nhs-number-not-verified")
    assert only(shown, "CareTeam")["name"] == "Adult social care, Lewisham south"


# ---- what must not come ----


@pytest.mark.parametrize("careless", [False, True])
@BOTH
async def test_what_people_wrote_never_comes(ods: str, nhs_number: str, careless: bool) -> None:
    held = holdings(ods, canaries=True)
    answer = await ask(create_app(ods, canaries=True, careless=careless), nhs_number=nhs_number, ods=ods)
    came = msgspec.json.encode([item.resource for item in answer.items]).decode() + repr(answer)
    assert [mark for mark in held.kept_back if mark in came] == []
    assert sum(mark in came for mark in held.canaries) >= 5
    for never in ("Key safe", "4471", "Yemi", "07700 900733", "Linh", "money has gone", "P204471", "MC-55120"):
        assert never not in came


async def test_a_facade_that_keeps_to_the_contract_is_not_even_sent_what_it_must_not_send() -> None:
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(create_app("709")), base_url=BASE) as http:
        whole = await http.get(f"{BASE}/Encounter?patient=LAS-304218")
        asked = await http.get(f"{BASE}/Encounter?patient=LAS-304218&_elements=status,type")
    assert b"money has gone" in whole.content
    assert b"money has gone" not in asked.content
    assert "text" not in asked.json()["entry"][0]["resource"]


async def test_what_was_left_out_is_named_and_counted() -> None:
    answer = await ask(create_app("709", careless=True))
    assert trace(answer, "Patient/LAS-304218").reason == (
        "left out, since the contract doesn't name it: contact (1), extension (1), identifier (1)"
    )
    assert trace(answer, "Encounter/LAS-161073").reason.endswith("text (1)")


# ---- ill facades ----


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (Mode.BROKEN, Unwell),
        (Mode.BUSY, Busy),
        (Mode.REFUSING, Refused),
        (Mode.REDIRECTING, WrongContent),
        (Mode.GARBAGE, WrongContent),
        (Mode.BOMB, TooMuch),
        (Mode.HUNG, SourceTimeout),
    ],
)
async def test_a_facade_that_is_ill_is_one_clear_error(mode: Mode, expected: type[SourceError]) -> None:
    sandbox = create_app("709", canaries=True)
    sandbox.switch.mode = mode
    with pytest.raises(expected) as caught:
        await ask(sandbox, seconds=0.3 if mode is Mode.HUNG else 10)
    assert not any(canary in str(caught.value) for canary in sandbox.canaries)


async def test_somebody_elses_record_is_left_to_the_guard_and_not_searched_further() -> None:
    sandbox = create_app("709")
    sandbox.switch.mode = Mode.LYING
    answer = await ask(sandbox)
    assert answer.gaps == dict.fromkeys(COUNCIL, Gap.IDENTITY_ALARM)
    assert GRACE not in msgspec.json.encode(answer.items[0].resource).decode()
    assert len(answer.items) == answer.calls == sandbox.state()["calls"]["total"] == 1


async def test_a_stranger_is_not_known_to_a_lying_facade_either() -> None:
    sandbox = create_app("703")
    sandbox.switch.mode = Mode.LYING
    with pytest.raises(NoRecord):
        await ask(sandbox, nhs_number=STRANGER, ods="703")


async def test_strays_are_handed_to_the_guard_as_they_came() -> None:
    sandbox = create_app("709")
    sandbox.switch.mode = Mode.LYING_QUIETLY
    answer = await ask(sandbox)
    assert answer.gaps == {Section.CONTACTS: Gap.IDENTITY_ALARM, Section.CARE_TEAM: Gap.IDENTITY_ALARM}
    strays = [item for item in answer.items if item.type in ("EpisodeOfCare", "Encounter") and item.section is None]
    assert {item.type for item in strays} == {"EpisodeOfCare", "Encounter"}
    for stray in strays:
        assert "Patient/LAS-304218" not in msgspec.json.encode(stray.resource).decode()


async def test_a_facade_at_its_cap_is_never_whole() -> None:
    cut = await ask(create_app("709", cap=3), cap=3)
    assert cut.gaps == {Section.CONTACTS: Gap.TOO_MUCH, Section.CARE_TEAM: Gap.TOO_MUCH}
    assert len(items(cut, "Encounter") + items(cut, "Appointment")) == 3
    lower = await ask(create_app("709", cap=2))
    assert lower.gaps == {Section.CONTACTS: Gap.HELD_BACK, Section.CARE_TEAM: Gap.HELD_BACK}
    assert "counted 4 and sent 2" in lower.detail


# ---- configuration ----


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "can't be read"),
        ("- a", "the table is not a mapping"),
        ("systems: {u: {A: {words: x, colour: red}}}", "unknown key systems.u.A.colour"),
        ("systems: {u: {A: {words: x, label: SECRET}}}", "systems.u.A.label"),
        ("systems: {u: {1: {words: x}}}", "is not text"),
        ("systems: {u: {A: {}}}", "words is missing"),
    ],
)
def test_a_table_of_codes_that_is_wrong_stops_start_up(tmp_path: Path, text: str | None, said: str) -> None:
    file = tmp_path / "codes.yaml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ConfigurationError, match=said):
        connect(organisation(codes_file=str(file)))


async def test_a_councils_own_table_goes_before_ours(tmp_path: Path) -> None:
    file = tmp_path / "codes.yaml"
    file.write_text(
        "systems:\n  https://709.sandbox.example/CodeSystem/contact-type:\n"
        "    TC01: {words: Call to the duty desk}\n    XX77: {words: Blue badge, label: MH}\n"
    )
    answer = await ask(create_app("709"), nhs_number=LEONARD, codes_file=str(file))
    assert items(answer, "Encounter")[0]["type"][0]["text"] == "Blue badge (Blue badge reassessment)"
    assert items(answer, "Encounter")[0]["meta"]["security"][0]["code"] == "MH"
    assert items(answer, "Encounter")[1]["type"][0]["text"] == "Safeguarding enquiry"


async def test_the_councils_own_number_comes_where_its_system_is_named() -> None:
    system = "https://709.sandbox.example/Id/local-number"
    answer = await ask(create_app("709"), person_number_system=system)
    assert {one["system"]: one["value"] for one in only(answer, "Patient")["identifier"]}[system] == "P204471"


@pytest.mark.parametrize("settings", [{"cap": 1}, {"cap": 1001}, {"unverified_number": "show"}, {"colour": "red"}])
def test_wrong_settings_stop_start_up(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="settings"):
        connect(organisation(**settings))


async def test_the_proof_and_who_looks_go_with_each_call(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("open sesame")
    seen: list[dict[str, str]] = []
    sandbox = create_app("709")

    async def overheard(scope: Any, receive: Any, send: Any) -> None:
        seen.append({name.decode(): value.decode() for name, value in scope["headers"]})
        await sandbox(scope, receive, send)

    auth = {"scheme": "header", "name": "X-Key", "value_file": str(tmp_path / "key")}
    async with council(overheard, auth=auth) as connector:
        await connector.ask(asking(GRACE, COUNCIL))
    assert len(seen) == 3
    for headers in seen:
        assert headers["x-key"] == "open sesame"
        assert headers["x-request-id"] == "4d1f0d0e-0000-4000-8000-000000000001"
        assert headers["connect-care-organisation"] == "G85005"
        assert (headers["connect-care-role"], headers["connect-care-purpose"]) == ("gp", "TREAT")


# ---- the sandbox ----


def test_the_sandbox_knows_two_councils_and_invented_people_alone() -> None:
    assert organisations() == ("703", "709")
    with pytest.raises(LookupError, match="no sandbox data for RJ2"):
        create_app("RJ2")
    for ods in organisations():
        for one in holdings(ods).of_type("Patient"):
            numbers = [i["value"] for i in one["identifier"] if "nhs-number" in i["system"]]
            assert all(is_nhs_number(number) and number.startswith("999") for number in numbers)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "AllergyIntolerance?patient=LAS-304218", 404),
        ("GET", "Patient?name=Adebayo", 400),
        ("GET", "Patient?identifier=9990000409", 400),
        ("GET", "Encounter", 400),
        ("GET", "Encounter?patient=LAS-304218&_count=ten", 400),
        ("POST", "Patient", 405),
        ("GET", "Encounter?patient=nobody", 200),
    ],
)
async def test_the_facade_refuses_what_it_does_not_do(method: str, path: str, status: int) -> None:
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(create_app("709"))) as http:
        answer = await http.request(method, f"{BASE}/{path}")
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/fhir+json"


async def test_the_facade_says_what_it_can_do() -> None:
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(create_app("703"))) as http:
        statement = (await http.get(f"{BASE}/metadata")).json()
    CapabilityStatement.model_validate(statement)
    assert load_manifest("social_care").sections == (Section.DEMOGRAPHICS, Section.CONTACTS, Section.CARE_TEAM)
