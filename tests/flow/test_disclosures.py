"""`POST /disclosures`: what the law requires goes out under a named policy, by a privacy officer, as a file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.composition import Composition

from connectors.sdk.model import SECTION_OF_TYPE
from gateway.audit.row import Kind, Row
from gateway.errors import AuditUnavailable
from gateway.fan_out import FanOut
from tests.flow.stack import GRACE, STRANGER, TOMASZ, Stack, running, told
from tests.flow.test_shadow import JOINING_LATER, calls, done, in_shadow

BIRTH = "1951-03-14"
OFFICER = "privacy-officer"


def claim(nhs_number: str = GRACE, **changes: Any) -> dict[str, Any]:
    return {
        "nhsNumber": nhs_number,
        "birthDate": BIRTH,
        "basis": "court-order",
        "reference": "Family Court at Bromley, ZE26C00001",
        "recipient": "The Family Court at Bromley",
        "policy": "whole-record",
        "reason": "Order of 2 March to produce the shared record; served on the Trust.",
        **changes,
    }


@pytest.fixture
async def born(stack: Stack) -> str:
    """Grace's birth date, as the sources hold it."""
    permission = await stack.agree(GRACE)
    patient = (await stack.get(f"/fhir/R4/Patient/{GRACE}")).json()
    await stack.client.delete(f"/permissions/{permission}", headers=stack.headers("gp"))
    return str(patient["birthDate"])


async def disclosed(stack: Stack, **changes: Any) -> httpx2.Response:
    return await stack.post("/disclosures", claim(**changes), OFFICER)


def of_type(bundle: Mapping[str, Any], kind: str) -> list[dict[str, Any]]:
    return [entry["resource"] for entry in bundle["entry"] if entry["resource"]["resourceType"] == kind]


def stated(cover: Mapping[str, Any]) -> dict[str, Any]:
    [extension] = cover["extension"]
    return {
        each["url"]: next(value for name, value in each.items() if name != "url") for each in extension["extension"]
    }


async def last_row(stack: Stack, kind: str, nhs_number: str = GRACE) -> dict[str, Any]:
    return [row for row in await stack.rows(nhs_number) if row["kind"] == kind][-1]


async def test_a_court_gets_the_whole_record_as_a_document_with_a_cover(stack: Stack, born: str) -> None:
    answer = await disclosed(stack, birthDate=born)
    assert answer.status_code == 200, answer.text
    bundle = answer.json()
    Bundle.model_validate(bundle)
    cover = bundle["entry"][0]["resource"]
    Composition.model_validate(cover)
    assert bundle["type"] == "document"
    assert answer.headers["content-disposition"] == f'attachment; filename="disclosure-{bundle["id"]}.json"'
    assert GRACE not in answer.headers["content-disposition"]
    said = stated(cover)
    assert said == {
        "basis": "court-order",
        "reference": "Family Court at Bromley, ZE26C00001",
        "recipient": "The Family Court at Bromley",
        "policy": "whole-record",
        "policyHash": stack.parts.policy.hash,
        "requestId": answer.headers["x-request-id"],
        "optedOut": False,
    }
    for words in ("The Family Court at Bromley", "ordered by a court", "ZE26C00001", answer.headers["x-request-id"]):
        assert words in cover["text"]["div"]
    assert "Order of 2 March" not in answer.text, "the reason is for the privacy officers"
    assert cover["subject"]["reference"] == f"Patient/{GRACE}"
    named = {reference["reference"] for section in cover["section"] for reference in section.get("entry", ())}
    urls = {entry["fullUrl"].rsplit("/R4/")[-1] for entry in bundle["entry"][1:]}
    assert named == urls, "whatever is in the document is reached from its cover, and nothing else"
    assert answer.headers["Connect-Care-Sources"]
    clinical = [entry["resource"]["resourceType"] for entry in bundle["entry"][1:]]
    assert len(set(clinical) & set(SECTION_OF_TYPE)) >= 6


async def test_the_row_says_on_what_law_and_to_whom_and_keeps_the_reason_sealed(stack: Stack, born: str) -> None:
    answer = await disclosed(stack, birthDate=born)
    row = await last_row(stack, "disclosure")
    assert row["request_id"] == answer.headers["x-request-id"]
    lawful = row["lawful"]
    assert lawful["reason"].startswith("Order of 2 March"), "privacy officers read it"
    assert lawful | {"reason": "", "id": ""} == {
        "basis": "court-order",
        "reference": "Family Court at Bromley, ZE26C00001",
        "recipient": "The Family Court at Bromley",
        "policy": "whole-record",
        "id": "",
        "reason": "",
    }
    [kept] = await stack.parts.store.rows(kinds=frozenset({Kind.DISCLOSURE}))
    assert "Order" not in repr(kept.row), "the journal holds it sealed"
    assert (row.get("permission"), row["who"]["purpose"], row["status"]) == (None, "HLEGAL", 200)
    shown = [entry["resource"] for entry in answer.json()["entry"]]
    clinical = [each for each in shown if each["resourceType"] not in ("Composition", "OperationOutcome", "Linkage")]
    assert sum(row["seen"].values()) == sum(map(len, row["sent"].values())) == len(clinical)


@pytest.mark.parametrize(
    ("policy", "basis", "types"),
    [
        ("notifiable-disease", "statute", {"Patient", "Condition", "Observation", "DiagnosticReport", "Immunization"}),
        ("identity-and-contacts", "public-interest", {"Patient", "Encounter", "Appointment"}),
    ],
)
async def test_a_named_policy_lets_its_sections_out_and_no_other(
    stack: Stack, born: str, policy: str, basis: str, types: set[str]
) -> None:
    answer = await disclosed(stack, birthDate=born, policy=policy, basis=basis)
    assert answer.status_code == 200, answer.text
    bundle = answer.json()
    clinical = {entry["resource"]["resourceType"] for entry in bundle["entry"]} & set(SECTION_OF_TYPE)
    assert clinical
    assert clinical <= types
    assert "Not part of a disclosure under" in bundle["entry"][0]["resource"]["text"]["div"]
    row = await last_row(stack, "disclosure")
    assert set(row["sections"]) == {section.value for section in stack.parts.policy.disclosures[policy].terms.sections}


async def test_sensitive_items_go_out_only_under_a_policy_that_says_so(stack: Stack, born: str) -> None:
    whole = (await disclosed(stack, birthDate=born)).json()
    without = (await disclosed(stack, birthDate=born, policy="record-without-sensitive")).json()
    row = await last_row(stack, "disclosure")
    assert row["withheld"]["disclosure.sensitive"] > 0
    assert len(without["entry"]) < len(whole["entry"])
    assert "disclosure.sensitive" not in json.dumps(without)


async def test_an_opt_out_bars_no_court_and_is_said_on_the_cover_and_in_the_row(stack: Stack, born: str) -> None:
    await stack.choose(GRACE, "opted-out")
    answer = await disclosed(stack, birthDate=born)
    assert answer.status_code == 200, answer.text
    cover = answer.json()["entry"][0]["resource"]
    assert stated(cover)["optedOut"] is True
    assert "opted out" in cover["text"]["div"]
    assert (await last_row(stack, "disclosure"))["lawful"]["opted_out"] is True


async def test_an_opt_out_bars_what_is_in_the_public_interest_and_nobody_is_asked(stack: Stack, born: str) -> None:
    await stack.choose(GRACE, "opted-out")
    before = stack.calls()
    answer = await disclosed(stack, birthDate=born, basis="public-interest", policy="identity-and-contacts")
    assert answer.status_code == 403
    assert "public interest doesn't override" in told(answer)
    assert stack.calls() == before
    assert (await last_row(stack, "refusal"))["rule"] == "choice.opted-out"


@pytest.mark.parametrize("who", ["gp", "nurse", "social-worker", "commissioner"])
async def test_nobody_else_may_disclose_and_nobody_is_asked(stack: Stack, born: str, who: str) -> None:
    if who == "gp":
        await stack.agree(GRACE, who)
    before = stack.calls()
    answer = await stack.post("/disclosures", claim(birthDate=born), who)
    assert answer.status_code == 403, answer.text
    assert "Privacy officers disclose" in told(answer)
    assert stack.calls() == before


async def test_a_privacy_officer_sees_nothing_by_any_other_door(stack: Stack, born: str) -> None:
    assert (await disclosed(stack, birthDate=born)).status_code == 200
    for answer in (
        await stack.everything(GRACE, OFFICER),
        await stack.post("/records", {"nhsNumber": GRACE}, OFFICER),
        await stack.get(f"/fhir/R4/Patient/{GRACE}", OFFICER),
    ):
        assert answer.status_code == 403
        assert "whole-record" not in answer.text


@pytest.mark.parametrize(
    ("changes", "status", "rule"),
    [
        ({"reference": " "}, 400, "disclosure.reference-missing"),
        ({"reference": "\u202e\u200b.."}, 400, "disclosure.reference-missing"),
        ({"recipient": "-"}, 400, "disclosure.recipient-missing"),
        ({"reason": ""}, 400, "disclosure.reason-missing"),
        ({"reference": "x" * 201}, 400, "disclosure.reference-too-long"),
        ({"policy": "everything"}, 400, "disclosure.unknown-policy"),
        ({"policy": "whole-record", "basis": "public-interest"}, 400, "disclosure.basis-not-of-policy"),
        ({"basis": "patient-agreed"}, 400, "body.member"),
        ({"birthDate": "1900-01-01"}, 404, "patient.birth-date-differs"),
        ({"nhsNumber": "9990000410"}, 400, "nhs-number.invalid"),
        ({"nhsNumber": STRANGER, "birthDate": "1900-01-01"}, 404, "patient.unknown"),
    ],
)
async def test_what_is_not_claimed_as_it_must_be_is_refused_in_a_row(
    stack: Stack, born: str, changes: dict[str, Any], status: int, rule: str
) -> None:
    answer = await disclosed(stack, **({"birthDate": born} | changes))
    assert answer.status_code == status, answer.text
    assert answer.json()["resourceType"] == "OperationOutcome"
    found = await stack.post("/audit/_search", {"requestId": answer.headers["x-request-id"]}, OFFICER)
    assert [row["rule"] for row in found.json()["rows"] if row["kind"] == "refusal"] == [rule]


@pytest.mark.parametrize("missing", ["nhsNumber", "birthDate", "basis", "reference", "recipient", "policy", "reason"])
async def test_every_member_is_mandatory(stack: Stack, missing: str) -> None:
    body = {name: value for name, value in claim().items() if name != missing}
    answer = await stack.post("/disclosures", body, OFFICER)
    assert (answer.status_code, told(answer)) == (400, f"{missing} is missing. Add it.")


async def test_a_source_that_does_not_answer_is_a_gap_and_never_nothing_recorded(stack: Stack, born: str) -> None:
    stack.make("RJ2", "broken")
    answer = await disclosed(stack, birthDate=born)
    assert answer.status_code == 200, answer.text
    cover = answer.json()["entry"][0]["resource"]
    [results] = [section for section in cover["section"] if section["title"] == "Results"]
    assert "May be incomplete" in results["text"]["div"]
    if "entry" not in results:
        assert results["emptyReason"]["coding"][0]["code"] == "unavailable"
    [outcome] = of_type(answer.json(), "OperationOutcome")
    assert any(issue["severity"] == "warning" for issue in outcome["issue"])


async def test_html_in_what_was_claimed_is_text_on_the_cover(stack: Stack, born: str) -> None:
    answer = await disclosed(stack, birthDate=born, recipient='Court <script>alert("1")</script> & Sons')
    cover = answer.json()["entry"][0]["resource"]
    assert "<script" not in cover["text"]["div"]
    assert "Court &lt;script&gt;" in cover["text"]["div"]
    Composition.model_validate(cover)


async def test_an_nhs_number_in_what_was_claimed_is_kept_nowhere(stack: Stack, born: str) -> None:
    answer = await disclosed(stack, birthDate=born, reference=f"Order about {TOMASZ[:3]} {TOMASZ[3:6]} {TOMASZ[6:]}")
    assert stated(answer.json()["entry"][0]["resource"])["reference"] == "Order about [nhs-number]"


async def test_the_journal_says_that_it_is_no_care(stack: Stack, born: str) -> None:
    await disclosed(stack, birthDate=born)
    rows = await stack.rows(GRACE)
    intent, disclosure = [row for row in rows if row["kind"] in ("intent", "disclosure")][-2:]
    assert intent["who"]["purpose"] == disclosure["who"]["purpose"] == "HLEGAL"


@pytest.mark.parametrize("scope", ["user/Patient.rs", "user/Observation.read user/Patient.read"])
async def test_an_application_that_may_not_read_all_of_it_gets_no_file(stack: Stack, born: str, scope: str) -> None:
    token = stack.demo.mint(OFFICER, claims={"scope": scope})
    before = stack.calls()
    answer = await stack.client.post(
        "/disclosures", json=claim(birthDate=born), headers={"Authorization": f"Bearer {token}"}
    )
    assert answer.status_code == 403
    assert "would not be whole" in told(answer)
    assert stack.calls() == before
    whole = stack.demo.mint(OFFICER, claims={"scope": "openid user/*.rs"})
    answer = await stack.client.post(
        "/disclosures", json=claim(birthDate=born), headers={"Authorization": f"Bearer {whole}"}
    )
    assert answer.status_code == 200, answer.text


async def test_organisations_in_shadow_are_not_asked(tmp_path: Path) -> None:
    async with running(tmp_path, organisations_file=in_shadow(tmp_path)) as stack:
        await stack.agree(GRACE)
        date_of_birth = (await stack.get(f"/fhir/R4/Patient/{GRACE}")).json()["birthDate"]
        await done(stack)
        before = calls(stack, *JOINING_LATER)
        answer = await disclosed(stack, birthDate=date_of_birth)
        assert answer.status_code == 200, answer.text
        await done(stack)
        assert calls(stack, *JOINING_LATER) == before


async def test_nothing_leaves_where_the_row_can_not_be_written(stack: Stack, born: str, monkeypatch: Any) -> None:
    async def full(row: Row, cases: object = ()) -> int:
        raise AuditUnavailable("disk full")

    monkeypatch.setattr(stack.parts.records.store, "release", full)
    answer = await disclosed(stack, birthDate=born)
    assert (answer.status_code, answer.json()["resourceType"]) == (503, "OperationOutcome")
    assert "CANARY" not in answer.text


@pytest.mark.parametrize(("basis", "policy", "status"), [
    ("court-order", "whole-record", 200),
    ("public-interest", "identity-and-contacts", 403),
])  # fmt: skip
async def test_an_opt_out_that_comes_meanwhile_counts_at_the_release(
    stack: Stack, born: str, monkeypatch: Any, basis: str, policy: str, status: int
) -> None:
    ask = stack.parts.fan_out.ask

    async def asked_while_opting_out(*given: Any, **more: Any) -> Any:
        answers = await ask(*given, **more)
        await stack.choose(GRACE, "opted-out")
        return answers

    monkeypatch.setattr(FanOut, "ask", lambda _, *given, **more: asked_while_opting_out(*given, **more))
    answer = await disclosed(stack, birthDate=born, basis=basis, policy=policy)
    assert answer.status_code == status, answer.text
    if status == 200:
        assert (await last_row(stack, "disclosure"))["lawful"]["opted_out"] is True
    else:
        refusal = await last_row(stack, "refusal")
        assert (refusal["rule"], refusal.get("sent", {}), refusal.get("seen", {})) == ("choice.opted-out", {}, {})
