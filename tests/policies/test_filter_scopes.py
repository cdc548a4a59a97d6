"""A token's scopes narrow what the policy shows, item by item, by what is left of each item and by nothing else."""

from __future__ import annotations

from typing import Any

from connectors.sdk.model import Item
from gateway.caller.model import Role
from gateway.caller.scopes import read_scopes
from gateway.policy.decide import Policy
from gateway.policy.filter import SCOPE, Admits, Filtered
from tests.policies.build import ASTHMA, HIV, code, ids, item, ref, seen_by, shown

_CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"


def granted(*scopes: str) -> Admits:
    return read_scopes(frozenset(scopes)).admits


def observation(id_: str, category: str, **elements: Any) -> Item:
    return item("Observation", id_, category=[code(category, system=_CATEGORY)], **elements)


def test_what_is_left_out_goes_as_if_it_were_absent(policy: Policy) -> None:
    record = [
        observation(
            "lab", "laboratory", hasMember=[ref("Observation", "vital")], performer=[ref("Organization", "one")]
        ),
        observation("vital", "vital-signs", performer=[ref("Practitioner", "two")]),
        item("DiagnosticReport", "report", result=[ref("Observation", "lab"), ref("Observation", "vital")]),
        item("Organization", "one", name="Trust"),
        item("Practitioner", "two", name=[{"family": "Ahmed"}]),
    ]
    admits = granted("user/Observation.rs?category=laboratory", "user/DiagnosticReport.rs")
    filtered = seen_by(Role.GP, policy, record, admits=admits)
    assert ids(filtered) == {"lab", "report", "one"}
    assert "hasMember" not in shown(filtered, "lab")
    assert shown(filtered, "report")["result"] == [ref("Observation", "lab")]
    assert filtered.withheld == {SCOPE: 1}


def test_what_the_policy_withholds_stays_the_policys_to_tell(policy: Policy) -> None:
    record = [item("Condition", "hidden", code=code(HIV)), item("Condition", "plain", code=code(ASTHMA))]
    filtered = seen_by(Role.GP, policy, record, admits=granted("user/Condition.rs"))
    assert ids(filtered) == {"plain"}
    assert SCOPE not in filtered.withheld
    by_code = granted(f"user/Condition.rs?code={HIV}")
    assert seen_by(Role.GP, policy, record, admits=by_code).items == []


def prescription(policy: Policy, role: Role, scope: str) -> Filtered:
    request = item("MedicationRequest", "r", medicationCodeableConcept={"text": "Aspirin"}, authoredOn="2026-01-02")
    return seen_by(role, policy, [request], admits=granted(scope))


def test_what_an_outline_leaves_out_can_not_be_felt_for_by_a_scope(policy: Policy) -> None:
    assert ids(prescription(policy, Role.GP, "user/MedicationRequest.rs?authoredon=ge2026")) == {"r"}
    assert ids(prescription(policy, Role.SOCIAL_WORKER, "user/MedicationRequest.rs?status=active")) == {"r"}
    felt = prescription(policy, Role.SOCIAL_WORKER, "user/MedicationRequest.rs?authoredon=ge2026")
    assert (felt.items, felt.withheld) == ([], {SCOPE: 1})


def test_a_prescription_is_granted_by_the_medicine_that_it_refers_to(policy: Policy) -> None:
    def seen(medicine: str, target: str = "Medication") -> Filtered:
        request = item("MedicationRequest", "r", medicationReference=ref(target, "m"))
        admits = granted(f"user/MedicationRequest.rs?code={medicine}")
        return seen_by(Role.GP, policy, [request, item(target, "m", code=code(medicine))], admits=admits)

    assert ids(seen(ASTHMA)) == {"r", "m"}
    assert seen(ASTHMA, "Condition").items == []  # no medicine at all
    hidden = seen(HIV)
    assert hidden.items == []
    assert SCOPE not in hidden.withheld  # the policy's own, whatever the scope asks for


def test_what_is_contained_is_judged_by_its_own_type(policy: Policy) -> None:
    inner = {"resourceType": "Condition", "id": "c", "subject": {"reference": "#"}, "code": code(ASTHMA)}
    lab = observation("o", "laboratory", contained=[inner], focus=[{"reference": "#c"}])
    whole = seen_by(Role.GP, policy, [lab], admits=granted("user/*.rs"))
    assert [part["id"] for part in shown(whole, "o")["contained"]] == ["c"]
    narrowed = seen_by(Role.GP, policy, [lab], admits=granted("user/Observation.rs"))
    assert "contained" not in shown(narrowed, "o")
    assert "focus" not in shown(narrowed, "o")
