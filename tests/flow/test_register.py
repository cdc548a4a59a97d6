"""With a national register: one practice is asked, sensitive patients stay hidden, and numbers that are gone say so."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from connectors.sdk.errors import Invalidated, NoRecord, Refused, SourceTimeout, Superseded, Unreachable
from connectors.sdk.model import SECTION_OF_TYPE, Answer, Ask, Item, Outcome
from tests.flow.registers import (
    NADIA,
    NOBODYS_NUMBER,
    OLD_NUMBER,
    OLIVIA,
    REGISTER,
    YUSUF,
    Register,
    answer_with,
    asked,
    registered,
    with_register,
)
from tests.flow.stack import (
    AALIYAH,
    DANIEL,
    GRACE,
    RAJESH,
    SIOBHAN,
    STRANGER,
    TOMASZ,
    Stack,
    outcome,
    resources,
    running,
    told,
)
from tests.quick import every

PRACTICES = {"G85005", "G85004", "G83021"}
CLINICAL = ("gp", "hospital-doctor", "nurse", "district-nurse", "occupational-therapist", "social-worker")


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    async with with_register(tmp_path) as stack:
        yield stack


async def record(stack: Stack, number: str, who: str = "hospital-doctor") -> dict[str, Any]:
    """Everything that somebody sees of a patient who agreed."""
    await stack.agree(number, who)
    answer = await stack.everything(number, who)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def sources_of(bundle: dict[str, Any]) -> set[str]:
    return {r["meta"]["tag"][0]["code"] for r in resources(bundle) if r["resourceType"] != "Linkage"}


def codes(bundle: dict[str, Any]) -> dict[str, str]:
    """{ODS code: what its tag says}."""
    return dict(
        tag["code"].split("=", 1) for tag in bundle["meta"]["tag"] if tag["system"] == "urn:connect-care:sources"
    )


# --- Which practice --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "practice"), [(GRACE, "G85005"), (TOMASZ, "G85004"), (AALIYAH, "G83021"), (RAJESH, "G85005")]
)
async def test_of_the_practices_only_the_registered_one_is_asked(stack: Stack, number: str, practice: str) -> None:
    bundle = await record(stack, number)
    assert asked(stack) & PRACTICES == {practice}
    assert {"RJ2", "RPG", "709", "703", REGISTER} <= asked(stack)
    assert PRACTICES & codes(bundle).keys() == {practice}
    assert practice in sources_of(bundle)
    patient = next(r for r in resources(bundle, "Patient") if r["id"] == number)
    assert patient["meta"]["tag"][0]["code"] == REGISTER


async def test_the_others_do_not_wait_for_the_register_nor_the_deadline_for_the_practice(tmp_path: Path) -> None:
    """The register answers once the others were asked, and the practice has what is left of the one deadline."""
    ends: list[float] = []

    async def last(ask: Ask) -> Answer:
        ends.append(ask.deadline)
        async with asyncio.timeout(20):
            while not {"RJ2", "RPG", "709", "703"} <= asked(stack):  # noqa: ASYNC110 - sandboxes count, and tell nobody
                await asyncio.sleep(0.01)
        assert not asked(stack) & PRACTICES
        return answer_with(registered(GRACE, "G85005"))

    async def late(ask: Ask) -> Answer:
        ends.append(ask.deadline)
        raise SourceTimeout("hung")

    async with with_register(tmp_path, Register(last), instead={"G85005": Register(late)}) as stack:
        bundle = await record(stack, GRACE)
    assert codes(bundle)["G85005"].startswith("timed-out;missing=")
    assert len(ends) == 2
    assert ends[0] == ends[1]


@pytest.mark.parametrize(
    ("silence", "says"),
    [
        (Unreachable("x"), "could not be reached, so the GP practice could not be asked"),
        (SourceTimeout("x"), "so the GP practice could not be asked"),
        (Refused("x"), "so the GP practice could not be asked"),
        (ValueError("a fault"), "so the GP practice could not be asked"),
    ],
)
async def test_a_register_that_is_silent_is_a_gap_where_the_practice_would_be(
    tmp_path: Path, silence: Exception, says: str
) -> None:
    async with with_register(tmp_path, Register(silence)) as stack:
        bundle = await record(stack, TOMASZ)
    assert not asked(stack) & PRACTICES
    sentences = outcome(bundle)
    assert any(says in one and "allergies" in one and "results" in one for one in sentences), sentences
    assert any(
        one.startswith("Allergies unavailable: the allergies of the GP practice could not be read.")
        for one in sentences
    )
    assert "716186003" not in json.dumps(resources(bundle))  # no known allergy


ANOTHER = registered(TOMASZ, "G85005")
BOTH = registered(GRACE, "G85005")
BOTH["identifier"].append({"system": "https://fhir.nhs.uk/Id/nhs-number", "value": TOMASZ})


@pytest.mark.parametrize(("says", "was_asked"), [(ANOTHER, set()), (BOTH, {"G85005"})])
async def test_a_register_that_names_another_person_is_not_believed(
    tmp_path: Path, says: dict[str, Any], was_asked: set[str]
) -> None:
    """Its practice isn't asked; and where only the guard notices, what the practice sent is thrown away."""
    async with with_register(tmp_path, Register(says)) as stack:
        bundle = await record(stack, GRACE)
        alarms = [alarm for row in await stack.rows(GRACE) for alarm in row.get("alarms", [])]
    assert asked(stack) & PRACTICES == was_asked
    assert codes(bundle)[REGISTER].startswith("failed;missing=")
    assert not sources_of(bundle) & (PRACTICES | {REGISTER})
    assert not PRACTICES & codes(bundle).keys()
    assert [alarm["source"] for alarm in alarms] == [REGISTER]
    assert any("whereabouts are restricted could not be checked" in one for one in outcome(bundle))


async def test_a_practice_that_does_not_take_part_is_named_as_a_gap(stack: Stack) -> None:
    bundle = await record(stack, OLIVIA)
    assert not asked(stack) & PRACTICES
    line = next(one for one in outcome(bundle) if one.startswith("Personal Demographics Service"))
    assert "that does not take part in Connect Care, so it was not asked" in line
    assert "allergies" in line
    assert any(one.startswith("Allergies unavailable") for one in outcome(bundle))
    assert "demographics" not in codes(bundle)[REGISTER]


async def test_a_patient_without_a_practice_has_no_gap(stack: Stack) -> None:
    bundle = await record(stack, YUSUF)
    assert codes(bundle)[REGISTER] == "answered"
    assert any("names no GP practice for this patient" in one for one in outcome(bundle))
    assert not any(one.startswith("Allergies unavailable") for one in outcome(bundle))


async def test_two_practices_are_one_too_many(tmp_path: Path) -> None:
    async with with_register(tmp_path, Register(registered(GRACE, "G85005", "G85004"))) as stack:
        bundle = await record(stack, GRACE)
    assert not asked(stack) & PRACTICES
    assert any("names more than one GP practice, so none was asked" in one for one in outcome(bundle))


async def test_a_registration_that_has_ended_is_none(tmp_path: Path) -> None:
    says = registered(GRACE, "G85005", "G85004")
    says["generalPractitioner"][1]["identifier"]["period"] = {"start": "2001", "end": "2020-02-03"}
    async with with_register(tmp_path, Register(says)) as stack:
        await record(stack, GRACE)
    assert asked(stack) & PRACTICES == {"G85005"}


@pytest.mark.parametrize(
    ("stage", "says"), [("suspended", "is suspended"), ("shadow", "is joining"), ("planned", "does not take part")]
)
async def test_a_registered_practice_that_is_not_live_is_a_gap(tmp_path: Path, stage: str, says: str) -> None:
    def change(text: str) -> str:
        head, found, rest = text.partition("  - ods: G85004\n")
        return head + found + rest.replace("stage: live", f"stage: {stage}", 1)

    async with with_register(tmp_path, change=change) as stack:
        bundle = await record(stack, TOMASZ)
        other = await record(stack, GRACE)
    assert any(says in one and "allergies" in one for one in outcome(bundle)), outcome(bundle)
    assert any(one.startswith("Allergies unavailable") for one in outcome(bundle))
    assert not any(says in one for one in outcome(other))


async def test_a_suspended_register_is_one_that_does_not_answer(tmp_path: Path) -> None:
    def change(text: str) -> str:
        head, found, rest = text.partition(f"  - ods: {REGISTER}\n")
        return head + found + rest.replace("stage: live", "stage: suspended", 1)

    async with with_register(tmp_path, change=change) as stack:
        bundle = await record(stack, GRACE)
        search = await stack.get("/fhir/R4/Patient?family=Adebayo&given=Grace&birthdate=1958-03-12")
    assert not asked(stack) & PRACTICES
    assert any("is suspended" in one and "could not be asked" in one for one in outcome(bundle))
    assert search.status_code == 400


async def test_a_number_that_the_register_does_not_know_is_unknown_or_a_gap(tmp_path: Path) -> None:
    async with with_register(tmp_path, Register(NoRecord("x"))) as stack:
        await stack.agree(STRANGER)
        unknown = await stack.everything(STRANGER)
        bundle = await record(stack, GRACE)
    assert unknown.status_code == 404
    assert any("does not know this NHS number, so no GP practice could be asked" in one for one in outcome(bundle))
    assert any("could not be checked" in one for one in outcome(bundle))


async def test_a_practices_item_is_read_by_id(stack: Stack) -> None:
    bundle = await record(stack, GRACE)
    before = asked(stack)
    item = next(r for r in resources(bundle, "Observation") if r["meta"]["tag"][0]["code"] == "G85005")
    answer = await stack.get(f"/fhir/R4/Observation/{item['id']}", "hospital-doctor")
    assert answer.status_code == 200
    assert answer.json()["id"] == item["id"]
    assert before == asked(stack)
    assert set(answer.headers["Connect-Care-Sources"].replace("=answered", "").split(", ")) == {"G85005", REGISTER}


async def test_a_practice_that_the_patient_has_left_is_not_read(tmp_path: Path) -> None:
    async with with_register(tmp_path, register := Register(registered(GRACE, "G85005"))) as stack:
        bundle = await record(stack, GRACE)
        item = next(r for r in resources(bundle, "Observation") if r["meta"]["tag"][0]["code"] == "G85005")
        register.says = registered(GRACE, "G85004")
        moved = await stack.get(f"/fhir/R4/Observation/{item['id']}", "hospital-doctor")
        register.says = Unreachable("x")
        unknown = await stack.get(f"/fhir/R4/Observation/{item['id']}", "hospital-doctor")
    assert (moved.status_code, unknown.status_code) == (404, 503)


async def test_the_own_practice_is_the_registers_word(tmp_path: Path) -> None:
    """A GP sees sensitive items at the patient's own practice; which that is the register says, and nobody else."""
    async with with_register(tmp_path, register := Register(registered(DANIEL, "G83021"))) as stack:
        own = len(resources(await record(stack, DANIEL, "gp@G83021")))
        elsewhere = len(resources(await record(stack, DANIEL, "gp@G85005")))
        register.says = registered(DANIEL, "Y99999")
        moved = len(resources(await record(stack, DANIEL, "gp@G83021")))
    assert own > elsewhere
    assert moved < own


# --- Sensitive patients ----------------------------------------------------------------------------------------------

HOME = "17 Marigold Gardens"
SECRETS = (HOME, "SE13 9QQ", "SE139QQ", "02079460123", "G85005", "South Lewisham", "Jolyon Pemberton", "Lee High Road")


def at_home(number: str, label: str = "U") -> list[dict[str, Any]]:
    """A hospital's record that tells in every way it can where the patient lives and is registered."""
    subject = {"reference": "Patient/p"}
    address = [{"line": [HOME, "Lewisham"], "postalCode": "SE13 9QQ"}]
    patient = registered(number, "G85005", label=label, id="p", address=address)
    patient |= {
        "name": [{"family": "Adebayo", "given": ["Grace"]}],
        "birthDate": "1958-03-12",
        "gender": "female",
        "text": {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{HOME}</div>'},
        "telecom": [{"system": "phone", "value": "020 7946 0123"}],
        "contact": [{"name": {"family": "Adebayo"}, "address": address[0], "telecom": [{"value": "020 7946 0123"}]}],
        "managingOrganization": {"reference": "Organization/gp", "display": "South Lewisham Group Practice"},
        "extension": [
            {"url": "http://hl7.org/fhir/StructureDefinition/patient-birthPlace", "valueAddress": address[0]}
        ],
    }
    patient["generalPractitioner"].append({"reference": "Practitioner/gp", "display": "Dr Jolyon Pemberton"})
    home = {"resourceType": "Location", "id": "home", "name": HOME, "address": address[0]}
    return [
        patient,
        home,
        {"resourceType": "Organization", "id": "gp", "name": "South Lewisham Group Practice", "address": address},
        {"resourceType": "Practitioner", "id": "gp", "name": [{"text": "Dr Jolyon Pemberton"}]},
        {
            "resourceType": "Encounter",
            "id": "visit",
            "status": "finished",
            "class": {"code": "HH"},
            "subject": subject,
            "location": [{"location": {"reference": "Location/home", "display": HOME}}],
            "serviceProvider": {"reference": "Organization/gp", "display": "South Lewisham Group Practice"},
            "participant": [{"individual": {"reference": "Practitioner/gp", "display": "Dr Jolyon Pemberton"}}],
            "hospitalization": {"destination": {"reference": "Location/home", "display": HOME}},
        },
        {
            "resourceType": "Appointment",
            "id": "next",
            "status": "booked",
            "start": "2027-01-01T10:00:00Z",
            "end": "2027-01-01T10:20:00Z",
            "comment": "Ring the bell twice, Lee High Road side",
            "participant": [
                {"actor": subject, "status": "accepted"},
                {"actor": {"reference": "#at"}, "status": "accepted"},
                {"actor": {"display": HOME}, "status": "accepted"},
            ],
            "contained": [{**home, "id": "at"}],
        },
        {
            "resourceType": "Observation",
            "id": "weight",
            "status": "final",
            "code": {"text": "Body weight"},
            "subject": subject,
            "performer": [{"display": "South Lewisham Group Practice"}],
            "note": [{"text": "Seen at 17, Marigold gardens"}, {"text": "Feels well"}, {"text": "Moved to SE6 4UU"}],
            "valueQuantity": {"value": 71, "unit": "kg"},
            "extension": [{"url": "https://x.example/where", "valueReference": {"reference": "Location/home"}}],
        },
        {
            "resourceType": "CareTeam",
            "id": "team",
            "subject": subject,
            "name": "South Lewisham neighbourhood team",
            "managingOrganization": [{"reference": "Organization/gp"}],
            "telecom": [{"system": "phone", "value": "020 7946 0123"}],
        },
    ]  # fmt: skip


class Hospital(Register):
    """RJ2 with that record."""

    def __init__(self, number: str, label: str = "U") -> None:
        async def says(ask: Ask) -> Answer:
            items = [
                Item("RJ2", body, SECTION_OF_TYPE.get(body["resourceType"]), body["id"])
                for body in json.loads(json.dumps(at_home(number, label)))
                if SECTION_OF_TYPE.get(body["resourceType"]) in {None, *ask.sections}
            ]
            return Answer("RJ2", Outcome.ANSWERED, items)

        super().__init__(says)


DOORS = (
    "Patient/{n}/$everything",
    "Patient?identifier=https://fhir.nhs.uk/Id/nhs-number|{n}",
    "Patient?_id={n}&_elements=address,generalPractitioner,telecom",
    "Patient/{n}",
    "Encounter?patient={n}",
    "Appointment?patient={n}",
    "Observation?patient={n}",
    "CareTeam?patient={n}",
)


def leaks(text: str) -> list[str]:
    return [secret for secret in (*SECRETS, "SE6 4UU", "Marigold") if secret.casefold() in text.casefold()]


async def looks(stack: Stack, number: str, who: str, doors: tuple[str, ...] = DOORS) -> list[str]:
    answers = [await stack.get(f"/fhir/R4/{door.format(n=number)}", who) for door in doors]
    assert {answer.status_code for answer in answers} == {200}, [answer.text for answer in answers]
    return [answer.text + json.dumps(dict(answer.headers)) for answer in answers]


async def test_the_hospitals_record_would_tell(tmp_path: Path) -> None:
    """The test can fail: unrestricted, all of it is shown."""
    async with with_register(
        tmp_path, Register(registered(GRACE, "G85005")), instead={"RJ2": Hospital(GRACE)}
    ) as stack:
        await stack.agree(GRACE, "nurse")
        everything = " ".join(await looks(stack, GRACE, "nurse"))
    assert {HOME, "SE13 9QQ", "G85005", "South Lewisham"} <= set(leaks(everything))


@pytest.mark.parametrize("who", every(3, [*CLINICAL, "gp@G85005"]))
@pytest.mark.parametrize("scope", ["standard", "including-sensitive"])
async def test_a_sensitive_patient_is_found_by_nobody(tmp_path: Path, who: str, scope: str) -> None:
    sensitive = registered(GRACE, label="R", birthDate="1958-03-12", name=[{"family": "Adebayo", "given": ["Grace"]}])
    async with with_register(tmp_path, Register(sensitive), instead={"RJ2": Hospital(GRACE)}) as stack:
        await stack.agree(GRACE, who, scope=scope)
        doors = DOORS if who not in ("occupational-therapist", "social-worker") else DOORS[:6]
        answers = await looks(stack, GRACE, who, doors)
        rows = [row for row in await stack.rows(GRACE) if row["kind"] == "release"]
    assert not asked(stack) & PRACTICES
    # The caller's own organisation stands in no answer.
    assert [leaks(answer) for answer in answers] == [[]] * len(answers)
    everything = json.loads(answers[0][: answers[0].rindex('{"')])
    sentences = outcome(everything)
    assert sum("details are restricted" in one for one in sentences) == 1
    assert any(one.startswith("Allergies unavailable") for one in sentences)
    assert {"Adebayo"} == {name["family"] for r in resources(everything, "Patient") for name in r["name"]}
    assert rows[0]["outlined"]["whereabouts.sensitive"] >= 4
    if who not in ("occupational-therapist", "social-worker"):
        assert "Feels well" in answers[0]


async def test_it_holds_in_best_interests_too(tmp_path: Path) -> None:
    async with with_register(
        tmp_path, Register(registered(GRACE, label="V")), instead={"RJ2": Hospital(GRACE)}
    ) as stack:
        body = {"nhsNumber": GRACE, "basis": "best-interests", "reasonCode": "emergency", "reason": "unconscious"}
        assert (await stack.post("/permissions", body, "hospital-doctor")).status_code == 201
        answers = await looks(stack, GRACE, "hospital-doctor")
    assert [leaks(answer) for answer in answers] == [[]] * len(answers)


async def test_any_sources_label_of_restriction_counts(tmp_path: Path) -> None:
    """The register says nothing of it, and the practice was asked: what it sent isn't shown, nor that it was asked."""
    async with with_register(
        tmp_path, Register(registered(GRACE, "G85005")), instead={"RJ2": Hospital(GRACE, label="R")}
    ) as stack:
        await stack.agree(GRACE, "gp", scope="including-sensitive")
        answers = await looks(stack, GRACE, "gp")
        row = next(row for row in await stack.rows(GRACE) if row["kind"] == "release")
    assert [leaks(answer) for answer in answers] == [[]] * len(answers)
    everything = json.loads(answers[0][: answers[0].rindex('{"')])
    assert any("no GP practice is asked or shown" in one and "allergies" in one for one in outcome(everything))
    assert not PRACTICES & sources_of(everything)
    assert row["sources"]["G85005"]["detail"] == "not shown"  # asking is an access: the journal holds it


async def test_a_label_counts_in_searches_for_what_its_source_does_not_offer(tmp_path: Path) -> None:
    """A council holds no results: it's asked who the patient is all the same, since the practice's have its name on."""

    async def says(ask: Ask) -> Answer:
        return answer_with(registered(GRACE, label="R"), source="709")

    searches = (
        "AllergyIntolerance?patient={n}",
        "Condition?patient={n}",
        "Immunization?patient={n}",
        "MedicationStatement?patient={n}",
        "Observation?patient={n}",
        "Observation?patient={n}&_summary=count",
    )
    async with with_register(tmp_path, instead={"709": Register(says)}) as stack:
        await stack.agree(GRACE, "nurse", scope="including-sensitive")
        answers = await looks(stack, GRACE, "nurse", searches)
    assert not [one for one in answers if "G85005" in one or "South Lewisham" in one]


async def test_the_state_of_the_sources_does_not_tell_which_practice_was_asked(tmp_path: Path) -> None:
    async with with_register(
        tmp_path, Register(registered(GRACE, "G85005")), instead={"RJ2": Hospital(GRACE, label="R")}
    ) as stack:
        await stack.agree(GRACE, "nurse")
        before = (await stack.get("/sources", "nurse")).json()
        await stack.everything(GRACE, "nurse")
        after = (await stack.get("/sources", "nurse")).json()
        closely = (await stack.get("/sources", "privacy-officer")).json()
    assert "G85005" in asked(stack)
    practices = [[line for line in told["sources"] if line["type"] == "gp-practice"] for told in (before, after)]
    assert practices[0] == practices[1]
    assert [line["ods"] for line in closely["sources"] if line["lastSuccess"] and line["ods"] in PRACTICES] == [
        "G85005"
    ]


async def test_until_the_register_answers_nobodys_whereabouts_are_shown(tmp_path: Path) -> None:
    async with with_register(tmp_path, Register(Unreachable("x")), instead={"RJ2": Hospital(GRACE)}) as stack:
        await stack.agree(GRACE, "nurse")
        answers = await looks(stack, GRACE, "nurse")
        rows = [row for row in await stack.rows(GRACE) if row["kind"] == "release"]
    assert [leaks(answer) for answer in answers] == [[]] * len(answers)
    everything = json.loads(answers[0][: answers[0].rindex('{"')])
    assert sum("whereabouts are restricted could not be checked" in one for one in outcome(everything)) == 1
    assert rows[0]["outlined"]["whereabouts.unchecked"] >= 4


async def test_the_registers_own_sensitive_patient(stack: Stack) -> None:
    await stack.agree(NADIA)
    answer = await stack.everything(NADIA)
    assert not asked(stack) & PRACTICES
    (patient,) = resources(answer.json(), "Patient")
    assert patient.keys() <= {"resourceType", "id", "meta", "identifier", "name", "gender", "birthDate"}


async def test_without_a_register_a_label_still_holds_the_whereabouts_back(tmp_path: Path) -> None:
    async with running(tmp_path, instead={"RJ2": Hospital(GRACE, label="R")}) as stack:
        await stack.agree(GRACE, "nurse", scope="including-sensitive")
        bundle = (await stack.everything(GRACE, "nurse")).json()
    text = json.dumps(resources(bundle))
    assert HOME not in text
    assert "generalPractitioner" not in text
    assert not [r for r in resources(bundle) if "address" in r]
    assert "G85005" in sources_of(bundle)  # all practices are asked, as always without a register


# --- Numbers that are gone -------------------------------------------------------------------------------------------


async def test_a_replaced_number_is_refused_with_the_current_one(stack: Stack) -> None:
    await stack.agree(OLD_NUMBER)
    answer = await stack.everything(OLD_NUMBER)
    assert answer.status_code == 409
    assert SIOBHAN in told(answer)
    assert "identifier=" in told(answer)
    assert "POST /permissions" in told(answer)
    rows = await stack.rows(OLD_NUMBER)
    assert [(row["kind"], row.get("rule")) for row in rows if row["kind"] != "permission-granted"] == [
        ("intent", None),
        ("refusal", "register.superseded"),
    ]
    assert SIOBHAN not in json.dumps(rows)
    assert not asked(stack) & PRACTICES


async def test_who_opted_out_under_the_current_number_is_not_disclosed_by_the_old_one(stack: Stack) -> None:
    await stack.choose(SIOBHAN, "opted-out")
    await stack.agree(OLD_NUMBER)
    answer = await stack.everything(OLD_NUMBER)
    assert answer.status_code == 403
    assert "opted out" in told(answer)
    assert SIOBHAN not in answer.text
    assert (await stack.rows(OLD_NUMBER))[-1]["rule"] == "choice.opted-out"


async def test_an_invalid_number_is_refused_in_words(stack: Stack) -> None:
    await stack.agree(NOBODYS_NUMBER)
    answer = await stack.everything(NOBODYS_NUMBER)
    assert answer.status_code == 404
    assert "no longer valid" in told(answer)
    assert (await stack.rows(NOBODYS_NUMBER))[-1]["rule"] == "register.invalidated"


@pytest.mark.parametrize("error", [Superseded(TOMASZ), Invalidated("x")])
async def test_what_others_hold_under_such_a_number_is_not_released(tmp_path: Path, error: Exception) -> None:
    async with with_register(tmp_path, Register(error)) as stack:
        await stack.agree(GRACE)
        answer = await stack.everything(GRACE)
    assert answer.status_code in (404, 409)
    assert "Adebayo" not in answer.text
    assert "CANARY" not in answer.text


async def test_only_the_register_may_say_so(tmp_path: Path) -> None:
    others: dict[str, Any] = {"RJ2": Register(Superseded(TOMASZ)), "RPG": Register(Invalidated("x"))}
    async with with_register(tmp_path, instead=others) as stack:
        bundle = await record(stack, GRACE)
    assert codes(bundle)["RPG"] == "no-record"
    assert codes(bundle)["RJ2"].startswith("failed;missing=")
    assert TOMASZ not in json.dumps(bundle)


async def test_a_number_that_is_none_is_not_shown(tmp_path: Path) -> None:
    async with with_register(tmp_path, Register(Superseded("1234567890"))) as stack:
        await stack.agree(GRACE)
        answer = await stack.everything(GRACE)
    assert answer.status_code == 409
    assert "1234567890" not in answer.text


# --- Who the sources think it is -------------------------------------------------------------------------------------


async def test_differences_from_the_registers_word_are_told(tmp_path: Path) -> None:
    says = registered(
        GRACE, "G85005", name=[{"use": "usual", "family": "ADEBAYO", "given": ["Gracie"]}], birthDate="1958-03-21"
    )
    async with with_register(tmp_path, Register(says)) as stack:
        await stack.agree(GRACE)
        everything = outcome((await stack.everything(GRACE)).json())
        records = outcome((await stack.post("/records", {"nhsNumber": GRACE})).json())
        results = outcome((await stack.get(f"/fhir/R4/Observation?patient={GRACE}")).json())
    for sentences in (everything, records):
        differing = [one for one in sentences if " differs: " in one]
        assert [one.partition(" differs")[0] for one in differing] == ["The given name", "The birth date"]
        assert differing[0].startswith("The given name differs: Personal Demographics Service has “Gracie”; ")
        assert "South Lewisham Group Practice has “Grace" in differing[0]
        assert "1958-03-21" in differing[1]
        assert "1958-03-12" in differing[1]
    assert not any(" differs: " in one for one in results)
