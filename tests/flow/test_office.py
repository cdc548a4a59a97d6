"""The privacy officer's pages: calls, cases and the audit, each by the policy and the rows of its API door."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path
from typing import Any

import httpx2
import pytest

from connectors.sdk.errors import Invalidated, NoRecord, Superseded, Unreachable
from gateway.errors import AuditUnavailable
from gateway.policy.decide import Policy
from gateway.settings import Settings
from gateway.web.words import grouped
from tests.flow.policies import altered
from tests.flow.registers import REGISTER, Register, registered, with_register
from tests.flow.stack import AALIYAH, ELSIE, GRACE, HAROLD, MIA, RAJESH, TOMASZ, WINSTON, Stack, running
from tests.quick import every

_TAG = re.compile(r"<[^>]*>")
BORN = {"birthdate[day]": "12", "birthdate[month]": "3", "birthdate[year]": "1961"}
_HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)">')
OFFICER = "privacy-officer"
HOSTILE = "\"><script>alert(1)</script><img src=x onerror=alert(2)>'{{7*7}}"
SAID = {
    "choice": "opted-out", "statedBy": "patient", "channel": "phone", "identifiedBy": "called-back",
    "reason": "", "proxy": "",
}  # fmt: skip


@pytest.fixture(scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with running(tmp_path_factory.mktemp("office")) as made:
        yield made


@pytest.fixture
async def office(stack: Stack) -> AsyncIterator[httpx2.AsyncClient]:
    async with stack.signed_in(OFFICER) as browser:
        yield browser


def text_of(page: httpx2.Response) -> str:
    """What is read on the page, spaces aside."""
    return " ".join(unescape(_TAG.sub(" ", page.text)).split())


def hidden(page: httpx2.Response) -> dict[str, str]:
    """The hidden fields of a page's form."""
    return {name: unescape(value) for name, value in _HIDDEN.findall(page.text)}


async def called(browser: httpx2.AsyncClient, nhs_number: str, **more: str) -> httpx2.Response:
    """The answer to a form that says whom a call is about."""
    page = await browser.get("/office/calls")
    assert page.status_code == 200, page.text
    said = {"nhsNumber": nhs_number, **BORN}
    return await browser.post("/office/calls", data={**hidden(page), **said, **more})


async def person_page(browser: httpx2.AsyncClient, nhs_number: str) -> httpx2.Response:
    """The page of whoever a call is about."""
    answer = await called(browser, nhs_number)
    assert answer.status_code == 303, answer.text
    return await browser.get(answer.headers["location"])


async def said(browser: httpx2.AsyncClient, page: httpx2.Response, **more: str) -> httpx2.Response:
    """The answer to the form of a person's page."""
    return await browser.post(page.url.path, data={**hidden(page), **SAID, **more})


async def case_of(stack: Stack, kind: str, patient: str) -> str:
    """The id of the case that somebody's look opened."""
    found = await stack.post("/desk/_search", {"kinds": [kind], "nhsNumber": patient}, OFFICER)
    return str(found.json()["cases"][0]["id"])


async def looked(stack: Stack, patient: str) -> None:
    """A hospital doctor looks in the patient's best interests."""
    body = {
        "nhsNumber": patient,
        "basis": "best-interests",
        "reason": f"unconscious {HOSTILE}",
        "reasonCode": "emergency",
    }
    assert (await stack.post("/permissions", body, "hospital-doctor")).status_code == 201
    assert (await stack.everything(patient, "hospital-doctor")).status_code == 200


class TestCalls:
    async def test_an_opt_out_is_taken_and_in_force(self, stack: Stack, office: httpx2.AsyncClient) -> None:
        page = await person_page(office, "999 000 0409")
        assert "No choice was ever recorded" in text_of(page)
        sent = await said(office, page, reason="doesn't want it")
        assert sent.status_code == 303, sent.text
        done = await office.get(sent.headers["location"])
        assert "Recorded: opted out of Connect Care" in text_of(done)
        assert "Every permission to look has ended" in text_of(done)
        refused = await stack.post("/permissions", {"nhsNumber": GRACE, "basis": "patient-agreed"}, "gp")
        assert refused.status_code == 403
        again = await office.get(page.url.path)
        for words in (
            "In force now: opted out",
            "by calling back",
            "Recorded by ELLERY Graham Mr",
            "Reason: doesn't want it",
        ):
            assert words in text_of(again)
        row = next(row for row in await stack.rows(GRACE) if row["kind"] == "sharing-choice")
        assert row["door"] == "POST /office/calls/{sealed}"
        assert row["detail"] == "opted-out, stated by patient, by phone, identified by called-back"

    async def test_a_form_that_failed_does_not_look_recorded_when_it_is_sent_again(
        self, stack: Stack, office: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def broken(*_: object) -> None:
            raise AuditUnavailable("the disk is full")

        page = await person_page(office, ELSIE)
        with monkeypatch.context() as patch:
            patch.setattr(stack.parts.store, "record_choice", broken)
            assert (await said(office, page)).status_code == 503
        again = await said(office, page)
        assert again.status_code == 409
        assert "may have failed" in text_of(again)

    async def test_a_double_click_records_once(self, stack: Stack, office: httpx2.AsyncClient) -> None:
        page = await person_page(office, AALIYAH)
        assert (await said(office, page)).status_code == 303
        second = await said(office, page)
        assert second.status_code == 409
        assert "was sent already" in text_of(second)
        recorded = [row for row in await stack.rows(AALIYAH) if row["kind"] == "sharing-choice"]
        assert len(recorded) == 1

    async def test_whoever_speaks_for_the_patient_is_named(self, stack: Stack, office: httpx2.AsyncClient) -> None:
        page = await person_page(office, WINSTON)
        missing = await said(office, page, statedBy="representative-of-deceased")
        assert missing.status_code == 400
        assert "Write who speaks for the patient" in text_of(missing)
        needless = await said(office, missing, proxy="Ama Mensah")
        assert needless.status_code == 400
        assert 'value="Ama Mensah"' in needless.text
        sent = await said(office, needless, statedBy="proxy", proxy=HOSTILE)
        assert sent.status_code == 303
        shown = await office.get(page.url.path)
        assert HOSTILE in text_of(shown)
        assert "<script>alert" not in shown.text

    @pytest.mark.parametrize("field", ["choice", "statedBy", "channel", "identifiedBy"])
    @pytest.mark.parametrize("value", ["", "not-said", "online", "signed-in"])
    async def test_what_the_form_does_not_offer_is_not_recorded(
        self, stack: Stack, office: httpx2.AsyncClient, field: str, value: str
    ) -> None:
        page = await person_page(office, ELSIE)
        sent = await said(office, page, **{field: value})
        assert sent.status_code == 400
        assert f'href="#{field}"' in sent.text
        assert [row for row in await stack.rows(ELSIE) if row["kind"] == "sharing-choice"] == []

    @pytest.mark.parametrize(
        ("fields", "words"),
        [
            ({"nhsNumber": ""}, "Enter the NHS number"),
            ({"nhsNumber": "9990000408"}, "check"),
            ({"nhsNumber": HOSTILE}, "10 digits"),
            ({"birthdate[day]": "", "birthdate[month]": "", "birthdate[year]": ""}, "Enter the date of birth"),
            ({"birthdate[day]": ""}, "a day, a month and a year in numbers"),
            ({"birthdate[month]": "13"}, "must be a real date"),
            ({"birthdate[day]": "x"}, "in numbers"),
            ({"birthdate[year]": "61"}, "four digits"),
            ({"birthdate[year]": "2999"}, "must be in the past"),
        ],
    )
    async def test_a_slip_is_told_at_its_field(
        self, office: httpx2.AsyncClient, fields: dict[str, str], words: str
    ) -> None:
        answer = await called(office, **({"nhs_number": GRACE} | {k: v for k, v in fields.items() if k != "nhsNumber"}))
        if "nhsNumber" in fields:
            answer = await called(office, fields["nhsNumber"])
        assert answer.status_code == 400
        assert words in text_of(answer)
        assert "There is a problem" in text_of(answer)
        assert "<script>alert" not in answer.text

    async def test_no_address_names_a_patient(self, office: httpx2.AsyncClient) -> None:
        page = await person_page(office, HAROLD)
        assert HAROLD not in str(page.url)
        assert "1961" not in str(page.url)

    async def test_an_address_opens_in_its_own_session_alone(self, stack: Stack, office: httpx2.AsyncClient) -> None:
        page = await person_page(office, HAROLD)
        async with stack.signed_in(OFFICER) as other:
            assert (await other.get(page.url.path)).status_code == 404
        assert (await office.get(page.url.path[:-2])).status_code == 404

    async def test_a_practice_takes_calls_and_a_hospital_does_not(self, stack: Stack) -> None:
        async with stack.signed_in("gp") as browser:
            assert "In force now" in text_of(await person_page(browser, HAROLD))
            assert (await browser.get("/office")).headers["location"] == "/office/calls"
        async with stack.signed_in("hospital-doctor") as browser:
            refused = await browser.get("/office/calls")
            assert refused.status_code == 403
            assert "record sharing choices" in text_of(refused)
            assert (await browser.get("/office")).headers["location"] == "/"

    @pytest.mark.parametrize("forged", [{"csrf": "x"}, {"csrf": ""}])
    async def test_a_form_of_another_site_records_nothing(
        self, stack: Stack, office: httpx2.AsyncClient, forged: dict[str, str]
    ) -> None:
        page = await person_page(office, RAJESH)
        assert (await said(office, page, **forged)).status_code == 403
        elsewhere = {"Origin": "https://elsewhere.example"}
        sent = await office.post(page.url.path, data={**hidden(page), **SAID}, headers=elsewhere)
        assert sent.status_code == 403
        assert (await said(office, page, once="x")).status_code == 400
        assert [row for row in await stack.rows(RAJESH) if row["kind"] == "sharing-choice"] == []

    async def test_nobody_is_shown_anything_who_is_not_signed_in(self, stack: Stack) -> None:
        async with stack.browser() as nobody:
            for path in ("/office", "/office/calls", "/office/cases", "/office/audit", "/office/cases/x"):
                assert (await nobody.get(path)).status_code == 401


class TestCases:
    async def test_a_case_is_judged_and_stays_so(self, stack: Stack, office: httpx2.AsyncClient) -> None:
        await looked(stack, TOMASZ)
        queue = await office.get("/office/cases")
        assert "Look in the patient's best interests" in text_of(queue)
        path = f"/office/cases/{await case_of(stack, 'best-interests', TOMASZ)}"
        page = await office.get(path)
        assert "THORNBURY Kwame Dr" in text_of(page)
        assert f"unconscious {HOSTILE}" in text_of(page)
        assert "<script>alert" not in page.text
        bare = await office.post(path, data={**hidden(page), "to": "questioned", "note": ""})
        assert bare.status_code == 400
        assert 'href="#note"' in bare.text
        asked = await office.post(path, data={**hidden(page), "to": "questioned", "note": f"Asked him {HOSTILE}"})
        assert asked.status_code == 303
        page = await office.get(path)
        assert "Questioned" in text_of(page)
        assert f"Asked him {HOSTILE}" in text_of(page)
        assert 'value="questioned"' not in page.text
        done = await office.post(path, data={**hidden(page), "to": "justified", "note": "He was on call."})
        assert done.status_code == 303
        page = await office.get(path)
        assert "This case was judged, and stays so" in text_of(page)
        assert (await office.post(path, data={**hidden(page), "note": "Seen again."})).status_code == 303
        moved = [row["door"] for row in await stack.rows(TOMASZ) if row["kind"] == "case-moved"]
        assert moved == ["POST /office/cases/{case_id}"] * 3

    async def test_what_somebody_else_wrote_since_is_read_first(self, stack: Stack, office: httpx2.AsyncClient) -> None:
        await looked(stack, MIA)
        case = await case_of(stack, "best-interests", MIA)
        page = await office.get(f"/office/cases/{case}")
        assert (await stack.post(f"/desk/{case}/_note", {"note": "I know of this."}, OFFICER)).status_code == 200
        mine = {"to": "justified", "note": "My own words"}
        sent = await office.post(f"/office/cases/{case}", data={**hidden(page), **mine})
        assert sent.status_code == 409
        for words in ("Something was written", "I know of this.", "My own words"):
            assert words in sent.text
        assert (await office.post(f"/office/cases/{case}", data={**hidden(sent), **mine})).status_code == 303

    async def test_the_queue_is_narrowed(self, stack: Stack, office: httpx2.AsyncClient) -> None:
        await looked(stack, RAJESH)
        case = await case_of(stack, "best-interests", RAJESH)
        for query, is_there in (
            ("?status=open&kind=best-interests", True),
            ("?kind=own-record", False),
            ("?status=justified", False),
            ("?overdue=yes", False),
            ("?after=999999", False),
        ):
            assert (case in (await office.get(f"/office/cases{query}")).text) is is_there, query
        for query in ("?status=x", "?kind=x", "?nhsNumber=9990000409", "?after=x", f"?after={'9' * 30}"):
            assert (await office.get(f"/office/cases{query}")).status_code == 400

    async def test_a_long_queue_is_turned_over(self, stack: Stack, office: httpx2.AsyncClient) -> None:
        seen: list[str] = []
        following = "/office/cases?status=open&status=questioned&status=justified&status=not-justified"
        while following:
            page = await office.get(following)
            seen += re.findall(r'href="/office/cases/([0-9a-f-]{36})"', page.text)
            found = re.search(r'href="([^"]*after=[^"]*)"', page.text)
            following = found[1].replace("&amp;", "&") if found else ""
        assert len(seen) == len(set(seen))

    async def test_who_may_not_and_what_is_not_there(self, stack: Stack, office: httpx2.AsyncClient) -> None:
        assert (await office.get("/office/cases/00000000-0000-4000-8000-000000000000")).status_code == 404
        async with stack.signed_in("gp") as browser:
            for path in ("/office/cases", "/office/audit"):
                refused = await browser.get(path)
                assert refused.status_code == 403
                assert "Ask your organisation's privacy officer" in text_of(refused)
        rows = await stack.post("/audit/_search", {"kinds": ["refusal"], "limit": 500}, OFFICER)
        assert "GET /office/cases" in [row["door"] for row in rows.json()["rows"]]


class TestAudit:
    async def search(self, browser: httpx2.AsyncClient, **fields: str) -> httpx2.Response:
        page = await browser.get("/office/audit")
        answer = await browser.post("/office/audit", data={**hidden(page), "kind": "", **fields})
        return await browser.get(answer.headers["location"]) if answer.status_code == 303 else answer

    async def test_a_patients_rows_are_told_in_words_and_explained(
        self, stack: Stack, office: httpx2.AsyncClient
    ) -> None:
        await stack.agree(HAROLD, "gp")
        assert (await stack.everything(HAROLD, "gp")).status_code == 200
        assert (await stack.everything(HAROLD, "social-worker")).status_code == 403
        page = await self.search(office, nhsNumber=HAROLD)
        words = text_of(page)
        for told in ("Was given permission to look: the patient agreed", "Looked, and was shown", "Was refused: "):
            assert told in words
        assert HAROLD not in str(page.url)
        links = re.findall(r'href="(/office/explained/[^"#]+)#row', page.text)
        whole = " ".join([text_of(await office.get(link)) for link in dict.fromkeys(links)])
        for told in (
            "Let in by",
            "This role sees it",
            "What would have made it possible",
            "The patient agreed",
        ):
            assert told in whole

    async def test_a_member_of_staffs_rows_are_turned_over(self, stack: Stack, office: httpx2.AsyncClient) -> None:
        for _ in range(51):
            rows = await stack.rows(GRACE, kinds=["audit-read"])
        officer = rows[-1]["who"]["user_id"]
        page = await self.search(office, userId=officer, kind="readings")
        seen = re.findall(r'id="row-(\d+)"', page.text)
        assert len(seen) == 50
        following = re.search(r'href="(/office/audit/[^"]+)">Next rows', page.text)
        assert following is not None
        more = re.findall(r'id="row-(\d+)"', (await office.get(following[1])).text)
        assert more
        assert not set(more) & set(seen)

    @pytest.mark.parametrize(
        ("fields", "words"),
        [
            ({}, "Enter an NHS number"),
            ({"nhsNumber": "123"}, "There is a problem"),
            ({"userId": "x" * 101}, "at most 100"),
            ({"nhsNumber": GRACE, "kind": "x"}, "Choose what to show"),
            ({"nhsNumber": GRACE, "since": "23/11/2026"}, "Write the day"),
            ({"nhsNumber": GRACE, "since": "2026-11-23", "until": "2026-11-01"}, "before the first"),
        ],
    )
    async def test_a_slip_is_told(self, office: httpx2.AsyncClient, fields: dict[str, str], words: str) -> None:
        answer = await self.search(office, **fields)
        assert answer.status_code == 400
        assert words in text_of(answer)

    async def test_a_time_is_of_the_days_in_london(self, office: httpx2.AsyncClient) -> None:
        page = await self.search(office, nhsNumber=GRACE, since="2020-01-01", until="2020-01-02")
        assert "There are no such rows" in text_of(page)
        page = await self.search(office, nhsNumber=GRACE, since="2020-01-01", until="2999-01-02")
        assert "There are no such rows" not in text_of(page)


class TestReports:
    async def test_a_report_comes_as_a_file_in_each_form(self, stack: Stack, office: httpx2.AsyncClient) -> None:
        page = await office.get("/office/reports")
        for form, begins in (("html", "<!DOCTYPE html>"), ("json", "{"), ("csv", '"'), ("csv", "")):
            said = {**hidden(page), "nhsNumber": "999 000 0409", "format": form, "since": "2020-01-01", "until": ""}
            report = await office.post("/office/reports", data=said)
            assert report.status_code == 200, report.text
            assert report.headers["content-disposition"] == f'attachment; filename="access-report.{form}"'
            assert report.text.lstrip("\ufeff").startswith(begins) or form == "csv"
        doors = [row["door"] for row in await stack.rows(GRACE) if row["kind"] == "audit-read"]
        assert doors.count("POST /office/reports") == 4

    @pytest.mark.parametrize(
        ("fields", "words"),
        [
            ({"nhsNumber": ""}, "There is a problem"),
            ({"nhsNumber": GRACE}, "Choose a form"),
            ({"nhsNumber": GRACE, "format": "pdf"}, "Choose a form"),
            ({"nhsNumber": GRACE, "format": "csv", "since": "0001-01-01"}, "a day of our time"),
        ],
    )
    async def test_a_slip_is_told(self, office: httpx2.AsyncClient, fields: dict[str, str], words: str) -> None:
        page = await office.get("/office/reports")
        answer = await office.post("/office/reports", data={**hidden(page), **fields})
        assert answer.status_code == 400
        assert words in text_of(answer)

    async def test_the_audits_page_offers_it(self, office: httpx2.AsyncClient) -> None:
        page = await TestAudit().search(office, nhsNumber=GRACE)
        report = await office.post("/office/reports", data=hidden(page))
        assert report.headers["content-type"].startswith("text/html")
        assert "attachment" in report.headers["content-disposition"]


class TestPolicy:
    async def test_who_sees_what_is_the_policys_own_word(self, office: httpx2.AsyncClient) -> None:
        page = text_of(await office.get("/office/policy"))
        assert "results Whole Whole Whole Whole No No No No" in page
        assert "HIV No, Whole¹, Whole² No, Whole²" in page
        assert "door.read-policy" in page

    async def test_one_policy_is_no_other(self, stack: Stack, office: httpx2.AsyncClient) -> None:
        page = await office.get("/office/policy/changes")
        same = dict.fromkeys(("before", "after"), stack.parts.policy.hash)
        answer = await office.post("/office/policy/changes", data={**hidden(page), **same})
        assert "No decision changes" in text_of(answer)

    @pytest.mark.slow
    async def test_two_policies_are_held_against_each_other(
        self, stack: Stack, office: httpx2.AsyncClient, tmp_path: Path
    ) -> None:
        page = await office.get("/office/policy/changes")
        assert "one policy only" in text_of(page)
        changed = Policy.load(altered(Settings.model_fields["policies_dir"].default, tmp_path / "old"))
        await stack.parts.store.keep_policy(changed.hash, changed.archive)
        page = await office.get("/office/policy/changes")
        assert changed.hash[:12] in text_of(page)
        sent = {**hidden(page), "before": changed.hash, "after": stack.parts.policy.hash}
        told = text_of(await office.post("/office/policy/changes", data=sent))
        assert "whole by section.results" in told

    async def test_a_policy_that_is_not_kept(self, office: httpx2.AsyncClient) -> None:
        page = await office.get("/office/policy/changes")
        answer = await office.post("/office/policy/changes", data={**hidden(page), "before": HOSTILE, "after": "x"})
        assert answer.status_code == 400
        assert "doesn't keep that policy" in text_of(answer)

    async def test_it_is_for_privacy_officers(self, stack: Stack) -> None:
        async with stack.signed_in("gp") as browser:
            for path in ("/office/policy", "/office/policy/changes", "/office/reports"):
                assert (await browser.get(path)).status_code == 403


class TestTheRegister:
    """A wrong number would shut somebody else's record."""

    @pytest.mark.parametrize(
        ("says", "status", "words"),
        every(
            3,
            [
                ({"birthDate": "1961-03-12"}, 303, ""),
                ({"birthDate": "1958-03-12"}, 400, "another date of birth"),
                ({"birthDate": None}, 303, ""),
                (NoRecord("none"), 400, "knows nobody with this NHS number"),
                (Superseded(TOMASZ), 409, f"The current one is {grouped(TOMASZ)}"),
                (Superseded("x"), 409, "Check it with them"),
                (Invalidated("gone"), 404, "no longer valid"),
                (Unreachable("down"), 303, ""),
            ],
        ),
    )
    async def test_number_and_birth_date_must_go_together(
        self, tmp_path: Path, says: Any, status: int, words: str
    ) -> None:
        said = says if isinstance(says, Exception) else registered(GRACE, "G85005", **says)
        async with with_register(tmp_path, Register(said)) as stack, stack.signed_in(OFFICER) as office:
            answer = await called(office, GRACE)
            assert answer.status_code == status, answer.text
            assert words in text_of(answer)
            begun = [row for row in await stack.rows(GRACE) if row["kind"] == "intent"]
            assert [row["door"] for row in begun] == ["POST /office/calls"]
            if status == 303:
                page = text_of(await office.get(answer.headers["location"]))
                checked = says == {"birthDate": "1961-03-12"}
                assert ("Nobody has checked this number" in page) is not checked
            else:
                refused = [row for row in await stack.rows(GRACE) if row["kind"] == "refusal"]
                assert len(refused) == 1

    async def test_somebody_elses_patient_proves_nothing(self, tmp_path: Path) -> None:
        stranger = registered(TOMASZ, "G85005", birthDate="1961-03-12")
        async with with_register(tmp_path, Register(stranger)) as stack, stack.signed_in(OFFICER) as office:
            page = await person_page(office, GRACE)
            assert "Nobody has checked this number" in text_of(page)
            told = (await stack.get("/sources", OFFICER)).json()["sources"]
            assert [one["ods"] for one in told if one["lastQuarantine"]] == [REGISTER]


class TestSources:
    async def test_each_organisation_with_each_section_and_how_it_is(self, tmp_path: Path) -> None:
        async with running(tmp_path) as stack, stack.signed_in(OFFICER) as office:
            assert "Ready" in text_of(await office.get("/status"))
            await stack.agree(GRACE, "gp")
            await stack.everything(GRACE, "gp")
            well = text_of(await office.get("/status"))
            assert "Answering" in well
            assert "Records may lack something now" not in well
            assert "London Borough of Lewisham 709 Answering Demographics Yes Allergies – Not shared" in well
            assert "cases passed" in well
            stack.make("RJ2", "broken")
            for _ in range(6):
                await stack.everything(GRACE, "gp")
            down = text_of(await office.get("/status"))
            assert "Records may lack something now" in down
            assert "Lewisham and Greenwich NHS Trust: not answering" in down
            assert "RJ2 Not answering Demographics Not now Allergies Not now" in down
            assert "Open: it is left alone for now" in down

    async def test_care_staff_see_no_more_than_the_api_tells_them(self, stack: Stack) -> None:
        async with stack.signed_in("hospital-doctor") as browser:
            page = text_of(await browser.get("/status"))
            assert "South Lewisham Group Practice G85005 Ready" in page
            assert (await browser.get("/status?x=1")).status_code == 400
        async with stack.signed_in("commissioner") as browser:
            assert (await browser.get("/status")).status_code == 403
