"""Staff find a patient and ask them: what is typed, what the patient says, and what none of it ever tells."""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.flow.registers import with_register
from tests.flow.stack import GRACE, HAROLD, RAJESH, TOMASZ, WINSTON, Stack
from tests.flow.visitor import Visitor, date_of, number_and_date, text_of, visiting

BORN = "1958-03-12"


@pytest.fixture(scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with with_register(tmp_path_factory.mktemp("find")) as made:
        yield made


@pytest.fixture
async def doctor(stack: Stack) -> AsyncIterator[Visitor]:
    async with visiting(stack, "hospital-doctor") as made:
        yield made


async def last_row(stack: Stack, kind: str) -> dict[str, Any]:
    answer = await stack.post("/audit/_search", {"kinds": [kind], "limit": 500}, "privacy-officer")
    return dict(answer.json()["rows"][-1])


@pytest.mark.parametrize("typed", ["9990000409", "999 000 0409", " 999-000-0409 ", "999\u00a0000\u00a00409"])
async def test_a_number_may_be_typed_as_people_write_it(doctor: Visitor, typed: str) -> None:
    answer = await doctor.find(typed, BORN)
    assert answer.status_code == 303
    assert "999000" not in doctor.page
    assert "0409" not in doctor.page


@pytest.mark.parametrize(
    ("number", "born", "told"),
    [
        ("999 000 0408", BORN, "its check digit is wrong"),
        ("99900", BORN, "has ten digits"),
        ("", BORN, "has ten digits"),
        (GRACE, "1958-02-30", "must be a real date"),
        (GRACE, "58-03-12", "all four digits of the year"),
        (GRACE, "2999-03-12", "must be in the past"),
        (GRACE, "1958-March-12", "in numbers"),
        (GRACE, "--", "Enter the date of birth"),
        (GRACE, "1958--12", "in numbers"),
    ],
)
async def test_what_is_wrong_is_said_beside_the_field_and_written_down(
    stack: Stack, doctor: Visitor, number: str, born: str, told: str
) -> None:
    page = await doctor.find(number, born)
    assert page.status_code == 400
    assert "There is a problem" in page.text
    assert page.text.count(told) == 2  # in the summary, and at the field
    assert "<title>Error: Find a patient" in page.text
    row = await last_row(stack, "refusal")
    assert (row["rule"], row["door"], row["who"]["role"]) == ("form.find", "POST /patients", "hospital-doctor")


async def test_everything_wrong_is_said_at_once_and_what_was_typed_stays(doctor: Visitor) -> None:
    page = await doctor.post("/patients", **number_and_date('12"><script>', "1-2-3"))
    assert 'href="#nhs-number"' in page.text
    assert 'href="#birthdate-day"' in page.text
    assert 'value="12&#34;&gt;&lt;script&gt;"' in page.text


async def test_a_wrong_birth_date_shows_nobody(stack: Stack, doctor: Visitor) -> None:
    await doctor.find(GRACE, "1958-03-13")
    await doctor.says("yes")
    page = await doctor.view()
    assert page.status_code == 404
    assert "No patient has both this NHS number and this birth date" in page.text
    assert "ADEBAYO" not in page.text


GRACE_IS = {"family": "adebayo", "given": "Grace", **date_of(BORN)}


async def test_who_has_no_number_at_hand_finds_one_person_or_nobody(stack: Stack, doctor: Visitor) -> None:
    page = await doctor.post("/patients/by-name", **GRACE_IS)
    assert "ADEBAYO, Grace" in page.text
    assert "999 000 0409" in page.text
    row = await last_row(stack, "person-answered")
    assert row["door"] == "POST /patients/by-name"
    assert row["sent"]
    (doctor.page,) = re.findall(r'href="(/patients/[\w-]{40,})"', page.text)
    assert "Ask the patient" in (await doctor.view()).text
    nobody = await doctor.post("/patients/by-name", **{**GRACE_IS, "given": "Nobody"})
    assert "does not mean that there is no such person" in nobody.text
    several = {"family": "Clarke", "given": "David", **date_of("1966-10-03")}
    many = await doctor.post("/patients/by-name", **several)
    assert "Nobody guesses which of them it is" in many.text
    assert "the gender and the postcode" in many.text
    one = await doctor.post("/patients/by-name", **several, **{"address-postalcode": "se64uu"})
    assert "Is this the patient?" in one.text


async def test_somebody_who_opted_out_is_nobody(stack: Stack, doctor: Visitor) -> None:
    nobody = await doctor.post("/patients/by-name", **{**GRACE_IS, "given": "Nobody"})
    await stack.choose(WINSTON, "opted-out")
    person = {"family": "Campbell", "given": "Winston", **date_of("1949-08-30")}
    page = await doctor.post("/patients/by-name", **person)
    assert "Is this the patient?" not in page.text
    told = [text[text.index("Nobody fits") :][:200] for text in (text_of(nobody.text), text_of(page.text))]
    assert told[0] == told[1]


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("family", "", "whole last name"),
        ("given", "G*", "whole first name"),
        ("birthdate[day]", "99", "must be a real date"),
        ("gender", "x", "Choose one of the genders"),
        ("address-postalcode", "SE", "Enter a whole postcode"),
    ],
)
async def test_a_name_is_whole_or_not_taken(doctor: Visitor, field: str, value: str, told: str) -> None:
    page = await doctor.post("/patients/by-name", **{**GRACE_IS, field: value})
    assert page.status_code == 400
    assert page.text.count(told) == 2


async def test_yes_is_the_record_and_going_back_repeats_nothing(stack: Stack, doctor: Visitor) -> None:
    await doctor.find(TOMASZ, "1987-11-02")
    asked = await doctor.view()
    assert "Nobody has been asked yet" in asked.text
    answers = [await doctor.says("yes"), await doctor.says("yes")]
    assert {answer.headers["location"] for answer in answers} == {doctor.page}
    assert "KOWALSKI, Tomasz" in (await doctor.view()).text
    rows = [row["kind"] for row in await stack.rows(TOMASZ)]
    assert rows.count("permission-granted") == 1


async def test_no_is_the_end_of_it(stack: Stack, doctor: Visitor) -> None:
    await doctor.find(HAROLD, "1931-05-08")
    before = stack.calls()
    page = await doctor.says("no")
    assert "The patient said no" in page.text
    assert stack.calls() == before
    wrong = await doctor.says("perhaps")
    assert wrong.status_code == 400
    assert "Choose what the patient said" in wrong.text


async def test_a_no_is_a_row_that_the_patient_can_read_and_ends_an_earlier_yes(stack: Stack, doctor: Visitor) -> None:
    await doctor.find(RAJESH, "1971-12-24")
    await doctor.says("yes")
    await doctor.says("no")
    assert "Ask the patient" in (await doctor.view()).text
    rows = [row for row in await stack.rows(RAJESH) if row["kind"].startswith("permission-")]
    assert [row["kind"] for row in rows] == ["permission-granted", "permission-withdrawn", "permission-refused"]
    assert (rows[-1]["who"]["role"], rows[-1]["door"]) == ("hospital-doctor", "POST /patients/{name}/permission")
    async with stack.patient(RAJESH) as own:
        listed = text_of((await own.get("/my/looks")).text)
    assert "asked you if they may look. You said no. Nothing was shown." in listed
    forged = await doctor.here.post(f"{doctor.page}/permission", data={"answer": "no"})
    assert forged.status_code == 403
    assert [row["kind"] for row in await stack.rows(RAJESH)].count("permission-refused") == 1


async def test_who_cannot_answer_is_an_interruption_a_reason_and_one_case(stack: Stack, doctor: Visitor) -> None:
    await doctor.find(HAROLD, "1931-05-08")
    sent = await doctor.says("cannot")
    assert sent.headers["location"] == f"{doctor.page}/best-interests"
    page = await doctor.get(sent.headers["location"])
    text = text_of(page.text)
    assert "privacy officer is told, reads what you write here" in text
    assert "Self-claimed emergency" in text
    assert "Court order" not in text  # a reason of the law isn't a clinician's
    for fields, told in (
        ({}, "Choose the reason that fits"),
        ({"reason-code": "court-order", "reason": "Unconscious in resus"}, "Choose the reason that fits"),
        ({"reason-code": "emergency", "reason": "x"}, "Write why the patient can’t be asked"),
        ({"reason-code": "emergency", "reason": "very long " * 60}, "Write why the patient can’t be asked"),
    ):
        wrong = await doctor.post(f"{doctor.page}/best-interests", **fields)
        assert wrong.status_code == 400
        assert wrong.text.count(told) == 2
    reason = {"reason-code": "emergency", "reason": "Unconscious in resus"}
    for _ in range(2):
        answer = await doctor.post(f"{doctor.page}/best-interests", **reason)
        assert answer.headers["location"] == doctor.page
    record = await doctor.view()
    assert "BENNETT, Harold" in record.text
    granted = [row for row in await stack.rows(HAROLD) if row["kind"] == "permission-granted"]
    assert [(row["basis"], len(row["cases"])) for row in granted] == [("best-interests", 1)]


async def test_who_may_not_act_in_best_interests_is_not_offered_it(stack: Stack) -> None:
    async with visiting(stack, "social-worker") as visitor:
        await visitor.find(TOMASZ, "1987-11-02")
        page = await visitor.view()
        assert "can’t answer, ask the doctor or nurse" in text_of(page.text)
        assert 'value="cannot"' not in page.text
        assert (await visitor.get(f"{visitor.page}/best-interests")).status_code == 403
        act = {"reason-code": "emergency", "reason": "Unconscious in resus"}
        assert (await visitor.post(f"{visitor.page}/best-interests", **act)).status_code == 403


@pytest.mark.parametrize("who", ["commissioner", "privacy-officer"])
async def test_who_opens_no_records_finds_nobody(stack: Stack, who: str) -> None:
    async with visiting(stack, who) as visitor:
        assert 'href="/patients"' not in (await visitor.get("/")).text
        for path in ("/patients", "/patients/by-name"):
            refused = await visitor.get(path)
            assert refused.status_code == 403
            assert (await last_row(stack, "refusal"))["who"]["role"] == who


async def test_who_opted_out_has_no_record_and_that_is_said(stack: Stack, doctor: Visitor) -> None:
    await stack.choose(WINSTON, "opted-out")
    await doctor.find(WINSTON, "1949-08-30")
    before = stack.calls()
    for page in (await doctor.view(), await doctor.says("yes")):
        assert page.status_code == 403
        assert "This patient has opted out" in page.text
        assert "/sharing-choices" not in page.text
    assert stack.calls() == before


async def test_an_address_is_worth_nothing_in_another_session(stack: Stack, doctor: Visitor) -> None:
    await doctor.find(GRACE, BORN)
    async with visiting(stack, "gp") as other:
        for path in (doctor.page, f"{doctor.page}/permission", f"{doctor.page}/best-interests", f"{doctor.page}x"):
            page = await other.get(path)
            assert page.status_code == 403
            assert "999 000" not in page.text
        row = await last_row(stack, "refusal")
        assert row["rule"] == "viewer.another-sign-in"
        assert row["door"] == "GET /patients/{name}"


async def test_a_page_is_nobody_s_who_is_signed_out(stack: Stack, doctor: Visitor) -> None:
    await doctor.find(GRACE, BORN)
    async with stack.browser() as nobody:
        for path in ("/patients", "/patients/by-name", doctor.page):
            page = await nobody.get(path)
            assert page.status_code == 401
            assert 'href="/sign-in"' in page.text


async def test_forms_of_other_sites_do_nothing(stack: Stack, doctor: Visitor) -> None:
    await doctor.find(TOMASZ, "1987-11-02")
    for path in ("/patients", "/patients/by-name", f"{doctor.page}/permission", f"{doctor.page}/best-interests"):
        assert (await doctor.here.post(path, data={"answer": "yes"})).status_code == 403
        foreign = await doctor.here.post(
            path, data={"csrf": doctor.csrf, "answer": "yes"}, headers={"Origin": "https://elsewhere.example"}
        )
        assert foreign.status_code == 403


@pytest.mark.parametrize(
    "header", [{"Sec-Purpose": "prefetch;prerender"}, {"Sec-Fetch-Dest": "iframe"}, {"Sec-Fetch-Dest": "empty"}]
)
async def test_a_browser_that_fetches_ahead_looks_at_nobody(
    stack: Stack, doctor: Visitor, header: dict[str, str]
) -> None:
    await doctor.find(GRACE, BORN)
    before = stack.calls()
    assert (await doctor.here.get(doctor.page, headers=header)).status_code == 403
    assert stack.calls() == before


async def test_no_address_takes_a_parameter(doctor: Visitor) -> None:
    await doctor.find(GRACE, BORN)
    for path in ("/patients", "/patients/by-name", doctor.page):
        page = await doctor.get(f"{path}?nhs={GRACE}")
        assert page.status_code == 400
        assert "takes no parameters" in html.unescape(page.text)


async def test_two_patients_in_two_tabs_stay_two(stack: Stack, doctor: Visitor) -> None:
    pages = []
    for number, born in ((GRACE, BORN), (TOMASZ, "1987-11-02")):
        await doctor.find(number, born)
        await doctor.says("yes")
        pages.append(doctor.page)
    answers = await asyncio.gather(*map(doctor.get, pages))
    (grace, tomasz) = (answer.text for answer in answers)
    assert ("ADEBAYO" in grace, "KOWALSKI" in grace) == (True, False)
    assert ("ADEBAYO" in tomasz, "KOWALSKI" in tomasz) == (False, True)


@pytest.mark.parametrize("page", ["/patients", "/patients/by-name"])
async def test_a_form_that_is_not_ours_is_written_down(stack: Stack, doctor: Visitor, page: str) -> None:
    forged = await doctor.here.post(page, data={"csrf": "x"})
    assert forged.status_code == 403
    row = await last_row(stack, "refusal")
    assert (row["rule"], row["door"]) == ("session.csrf", f"POST {page}")


async def test_so_is_one_about_a_patient(stack: Stack, doctor: Visitor) -> None:
    await doctor.find(GRACE, BORN)
    for page in ("permission", "best-interests"):
        assert (await doctor.here.post(f"{doctor.page}/{page}", data={"csrf": "x"})).status_code == 403
        row = await last_row(stack, "refusal")
        assert (row["rule"], row["door"]) == ("session.csrf", f"POST /patients/{{name}}/{page}")
