"""Bad input: a clear OperationOutcome, the right status, a row where a person was known, and no outbound call."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.flow.stack import GRACE, Stack, told

PATIENT_AND = f"/fhir/R4/Observation?patient={GRACE}"
WRONG_CHECK_DIGIT = GRACE[:9] + str((int(GRACE[9]) + 1) % 10)

BAD_REQUESTS = [
    (f"/fhir/R4/Patient/{WRONG_CHECK_DIGIT}/$everything", 400),
    (f"/fhir/R4/Observation?patient={WRONG_CHECK_DIGIT}", 400),
    ("/fhir/R4/Observation?patient=12345", 400),
    ("/fhir/R4/Observation", 400),
    (f"{PATIENT_AND}&nonsense=1", 400),
    (f"{PATIENT_AND}&code=1&code=2", 400),
    (f"{PATIENT_AND}&patient={GRACE}", 400),
    (f"{PATIENT_AND}&code:not=1", 400),
    (f"{PATIENT_AND}&code:in=1", 400),
    (f"{PATIENT_AND}&encounter.type=1", 400),
    (f"{PATIENT_AND}&_has:Condition:patient:code=1", 400),
    (f"{PATIENT_AND}&_include=Observation:encounter", 400),
    (f"{PATIENT_AND}&_revinclude=Condition:encounter", 400),
    (f"{PATIENT_AND}&date=yesterday", 400),
    (f"{PATIENT_AND}&_count=-1", 400),
    (f"{PATIENT_AND}&_count=10000", 400),
    (f"{PATIENT_AND}&_sort=value", 400),
    (f"{PATIENT_AND}&_cursor=made-up", 400),
    (f"{PATIENT_AND}&_format=xml", 406),
    ("/fhir/R4/Patient?name=Adebayo", 400),
    ("/fhir/R4/Patient", 400),
    ("/fhir/R4/Claim?patient=" + GRACE, 404),
    ("/fhir/R4/observation?patient=" + GRACE, 404),
    (f"/fhir/R4/Patient/{GRACE}/$match", 404),
    ("/fhir/R4/Observation/not-a-sealed-id", 404),
    ("/fhir/R4/Observation/" + "a" * 39 + "." + "b" * 14, 404),
    ("/fhir/R4/", 405),
    ("/nothing/here", 404),
]


@pytest.mark.parametrize(("path", "status"), BAD_REQUESTS)
async def test_a_wrong_question_is_refused_before_anybody_is_asked(stack: Stack, path: str, status: int) -> None:
    await stack.agree(GRACE)
    answer = await stack.get(path)
    assert answer.status_code == status, answer.text
    assert len(told(answer)) > 10
    assert answer.headers["content-type"].startswith("application/fhir+json")
    assert stack.calls() == 0
    rows = await stack.post(
        "/audit/_search", {"kinds": ["refusal"], "requestId": answer.headers["X-Request-ID"]}, "privacy-officer"
    )
    assert [row["status"] for row in rows.json()["rows"]] == [status], rows.text


@pytest.mark.parametrize(
    ("path", "asked"), [("/audit/_search", "after"), ("/audit/_search", "before"), ("/desk/_search", "after")]
)
@pytest.mark.parametrize("number", [2**53 + 1, 2**63, 10**40])
async def test_a_row_number_that_no_store_counts_to_is_refused(
    stack: Stack, path: str, asked: str, number: int
) -> None:
    answer = await stack.post(path, {asked: number}, "privacy-officer")
    assert answer.status_code == 400, answer.text
    assert asked in told(answer)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
async def test_writing_is_405(stack: Stack, method: str) -> None:
    answer = await stack.client.request(method, f"/fhir/R4/Patient/{GRACE}", headers=stack.headers("gp"))
    assert answer.status_code == 405
    assert told(answer)
    assert "GET" in answer.headers["allow"]


def tokens(stack: Stack) -> dict[str, str]:
    """Tokens that must not be accepted."""
    true = stack.token("gp")
    head, body, _ = true.split(".")
    return {
        "expired": stack.demo.mint("gp", claims={"exp": 1}),
        "forged": f"{head}.{body}.{'A' * 86}",
        "other audience": stack.demo.mint("gp", claims={"aud": "somebody-else"}),
        "other issuer": stack.demo.mint("gp", claims={"iss": "https://elsewhere.example"}),
        "wrong type": stack.demo.mint("gp", header={"typ": "JWT"}),
        "no expiry": stack.demo.mint("gp", without=["exp"]),
        "not a token": "abc",
    }


async def test_no_token_and_bad_tokens_are_401(stack: Stack) -> None:
    path = f"/fhir/R4/Patient/{GRACE}/$everything"
    answer = await stack.client.get(path)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert told(answer)
    for name, token in tokens(stack).items():
        answer = await stack.client.get(path, headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 401, name
        assert told(answer)
    assert stack.calls() == 0


def _role(code: str, organisation: str) -> dict[str, Any]:
    return {
        "selected_roleid": "555000000001",
        "nhsid_nrbac_roles": [
            {"person_roleid": "555000000001", "org_code": organisation, "role_code": code, "role_name": "a role"}
        ],
    }


@pytest.mark.parametrize(
    ("claims", "rule"),
    [
        (_role("S0030:G0100:R9999", "G85005"), "caller.unknown-role"),
        (_role("S8000:G8000:R0260", "709"), "caller.role-in-wrong-organisation"),
        (_role("S8000:G8000:R0260", "X99"), "caller.organisation-not-taking-part"),
    ],
)
async def test_a_role_that_may_not_ask_is_403_and_a_row(stack: Stack, claims: dict[str, Any], rule: str) -> None:
    token = stack.demo.mint("gp", claims=claims)
    path = f"/fhir/R4/Patient/{GRACE}/$everything"
    answer = await stack.client.get(path, headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 403
    assert told(answer)
    assert stack.calls() == 0
    found = await stack.post("/audit/_search", {"requestId": answer.headers["X-Request-ID"]}, "privacy-officer")
    assert [row["rule"] for row in found.json()["rows"]] == [rule]


async def test_a_system_without_a_person_is_refused(stack: Stack) -> None:
    token = stack.demo.mint(
        "gp",
        claims={"sub": "a-system", "client_id": "a-system"},
        without=["nhsid_useruid", "nhsid_nrbac_roles", "name"],
    )
    answer = await stack.client.get(
        f"/fhir/R4/Patient/{GRACE}/$everything", headers={"Authorization": f"Bearer {token}"}
    )
    assert answer.status_code == 403
    assert told(answer)
    assert stack.calls() == 0


BODIES: list[tuple[str, str, Any, int]] = [
    ("/permissions", "application/json", "{", 400),
    ("/permissions", "application/json", "[]", 400),
    ("/permissions", "application/json", "null", 400),
    ("/permissions", "application/json", {"basis": "patient-agreed"}, 400),
    ("/permissions", "application/json", {"nhsNumber": WRONG_CHECK_DIGIT, "basis": "patient-agreed"}, 400),
    ("/permissions", "application/json", {"nhsNumber": GRACE, "basis": "because"}, 400),
    ("/permissions", "application/json", {"nhsNumber": GRACE, "basis": "best-interests"}, 400),
    (
        "/permissions",
        "application/json",
        {"nhsNumber": GRACE, "basis": "best-interests", "reasonCode": "emergency"},
        400,
    ),
    ("/permissions", "application/json", {"nhsNumber": GRACE, "basis": "best-interests", "reason": "in resus"}, 400),
    ("/permissions/_withdraw", "application/json", {"nhsNumber": GRACE, "statedBy": "me", "channel": "phone"}, 400),
    ("/permissions/no-such-id/extend", "application/json", {"patientAsked": "yes"}, 400),
    ("/permissions", "application/json", {"nhsNumber": GRACE, "basis": "patient-agreed", "more": 1}, 400),
    (
        "/permissions",
        "application/json",
        {
            "nhsNumber": GRACE,
            "basis": "best-interests",
            "reasonCode": "emergency",
            "reason": "unconscious in resus, no next of kin",
            "scope": "including-sensitive",
        },
        400,
    ),
    (
        "/permissions",
        "application/json",
        f'{{"nhsNumber":"{GRACE}","nhsNumber":"{GRACE}","basis":"patient-agreed"}}',
        400,
    ),
    ("/permissions", "text/plain", "hello", 415),
    ("/permissions", "application/json", '{"nhsNumber":"' + "9" * 100_000 + '"}', 413),
    ("/sharing-choices", "application/json", {"nhsNumber": GRACE, "choice": "maybe"}, 400),
    ("/records", "application/json", {"nhsNumber": GRACE, "birthDate": "12/03/1958"}, 400),
    ("/records", "application/xml", "<a/>", 415),
    ("/fhir/R4/Observation/_search", "application/json", {"patient": GRACE}, 415),
    ("/fhir/R4/Observation/_search", "application/x-www-form-urlencoded", f"patient={GRACE}&patient={GRACE}", 400),
    ("/fhir/R4/Observation/_search", "application/x-www-form-urlencoded", "patient=" + "9" * 100_000, 413),
]


@pytest.mark.parametrize(("path", "kind", "body", "status"), BODIES)
async def test_a_wrong_body_is_told_what_is_wrong(stack: Stack, path: str, kind: str, body: Any, status: int) -> None:
    content = body if isinstance(body, str) else json.dumps(body)
    answer = await stack.client.post(path, content=content, headers=stack.headers("gp") | {"Content-Type": kind})
    assert answer.status_code == status, answer.text
    assert told(answer)
    assert GRACE not in answer.text
    assert stack.calls() == 0
    found = await stack.post("/audit/_search", {"requestId": answer.headers["X-Request-ID"]}, "privacy-officer")
    assert [row["kind"] for row in found.json()["rows"]] == ["refusal"]


async def test_request_ids_are_echoed_or_minted(stack: Stack) -> None:
    answer = await stack.client.get("/livez", headers={"X-Request-ID": "abc-123", "X-Correlation-ID": "trail-9"})
    assert answer.headers["X-Request-ID"] == "abc-123"
    assert answer.headers["X-Correlation-ID"] == "trail-9"
    assert answer.headers["Cache-Control"] == "no-store"
    odd = await stack.client.get("/livez", headers={"X-Request-ID": "a b<script>"})
    assert len(odd.headers["X-Request-ID"]) == 36


async def test_metadata_needs_no_token_and_is_valid(stack: Stack) -> None:
    from fhir.resources.R4B.capabilitystatement import CapabilityStatement

    answer = await stack.client.get("/fhir/R4/metadata")
    assert answer.status_code == 200
    statement = CapabilityStatement.model_validate_json(answer.content)
    assert statement.fhirVersion == "4.0.1"
    assert (await stack.client.get("/fhir/R4/metadata", headers={"Accept": "application/fhir+xml"})).status_code == 406
