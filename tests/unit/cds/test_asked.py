"""What a call must say of user and patient before anybody is believed to be there."""

from __future__ import annotations

import copy
import uuid
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.cds.asked import JOB_ROLE_SYSTEM, NotPrefetched, PatientViewCall
from gateway.errors import BadRequest
from tests.launcher import a_practitioner_role, an_ehr_patient

GOOD = "9990000409"
ELSEWHERE = [{"system": "urn:x", "value": "1"}]


def a_call(**more: Any) -> PatientViewCall:
    body = {
        "hook": "patient-view",
        "hookInstance": str(uuid.uuid4()),
        "context": {"userId": "PractitionerRole/role-1", "patientId": "p"},
        "prefetch": {"patient": an_ehr_patient("p", GOOD), "user": a_practitioner_role()},
        "fhirAuthorization": {"access_token": "ignored"},
        **more,
    }
    return PatientViewCall.model_validate(body)


def test_a_call_says_who_and_about_whom() -> None:
    call = a_call()
    assert call.nhs_number == GOOD
    user = call.user()
    assert user["nhsid_nrbac_roles"][0]["org_code"] == "G85005"
    assert user["selected_roleid"] == user["nhsid_nrbac_roles"][0]["person_roleid"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"hook": "order-sign"},
        {"hookInstance": "1"},
        {"context": {"userId": "x"}},
        {"context": {"userId": "x", "patientId": "../x"}},
        {"prefetch": []},
    ],
)
def test_another_shape_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        a_call(**wrong)


def test_what_was_not_prefetched_is_asked_for() -> None:
    """CDS Hooks 2.0: 412 where the service lacks data that it needs."""
    with pytest.raises(NotPrefetched):
        _ = a_call(prefetch={"user": a_practitioner_role()}).nhs_number
    with pytest.raises(NotPrefetched):
        a_call(prefetch={"patient": an_ehr_patient("p", GOOD)}).user()


def _of_use(use: Any) -> dict[str, Any]:
    patient = copy.deepcopy(an_ehr_patient("p", GOOD))
    for identifier in patient["identifier"]:
        identifier["use"] = use
    return patient


@pytest.mark.parametrize(
    "patient", [an_ehr_patient("q", GOOD), an_ehr_patient("p", GOOD, "03"), {}, "x", _of_use(["old"])]
)
def test_a_patient_who_is_not_certain_is_refused(patient: Any) -> None:
    with pytest.raises(BadRequest) as refused:
        _ = a_call(prefetch={"patient": patient, "user": a_practitioner_role()}).nhs_number
    assert GOOD not in refused.value.told + refused.value.detail


def _with(member: str, value: Any) -> dict[str, Any]:
    role = copy.deepcopy(a_practitioner_role())
    role[member] = value
    return role


@pytest.mark.parametrize(
    "role",
    [
        "x",
        _with("resourceType", "Practitioner"),
        _with("id", "role-2"),
        _with("active", False),
        _with("identifier", None),
        _with("identifier", ELSEWHERE),
        _with("identifier", a_practitioner_role()["identifier"] + a_practitioner_role("nurse")["identifier"]),
        _with("practitioner", None),
        _with("practitioner", {"reference": "Practitioner/1"}),
        _with("organization", {"identifier": ELSEWHERE[0]}),
        _with("code", None),
        _with("code", ["x", {"coding": ["x"]}]),
        _with("code", [{"coding": 5}]),
        _with("code", [{"coding": [{"system": JOB_ROLE_SYSTEM, "code": ["R8000"]}]}]),
        _with("code", [{"coding": [{"system": JOB_ROLE_SYSTEM, "code": 8000}]}]),
        _with("code", a_practitioner_role()["code"] + a_practitioner_role("nurse")["code"]),
    ],
)
def test_a_user_who_is_not_certain_is_nobody(role: Any) -> None:
    with pytest.raises(BadRequest):
        a_call(prefetch={"patient": an_ehr_patient("p", GOOD), "user": role}).user()
