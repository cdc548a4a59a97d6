"""What is said to readers and governance: the standing sentences, the matrix, the explanation."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connectors.sdk.model import Section
from connectors.sdk.organisations import OrganisationType
from gateway.caller.model import Caller, Role
from gateway.choice.model import Basis, Permission, Scope
from gateway.policy.decide import Policy, best_circumstances
from gateway.policy.matrix import USUAL_PLACE, explain, matrix
from gateway.policy.told import ABSENCE, never_shown

PAGE = Path(__file__).resolve().parents[2] / "docs" / "policy-matrix.md"


def caller(role: Role) -> Caller:
    return Caller("iss", "u", "A Person", "rp", "R8000", role, "RJ2", "Trust", USUAL_PLACE[role], "client")


def permission(basis: Basis, scope: Scope) -> Permission:
    now = datetime.now(UTC)
    return Permission(
        id="p",
        patient="t",
        sealed_patient="s",
        caller="c",
        organisation="RJ2",
        basis=basis,
        scope=scope,
        reason="r",
        granted_at=now,
        expires_at=now + timedelta(hours=8),
    )


def told(policy: Policy, role: Role, basis: Basis = Basis.PATIENT_AGREED, scope: Scope = Scope.STANDARD) -> str:
    return "\n".join(never_shown(policy, caller(role), permission(basis, scope)))


def test_a_doctor_is_told_how_to_ask_for_sensitive_items(policy: Policy) -> None:
    text = told(policy, Role.HOSPITAL_DOCTOR)
    assert "Shown to a hospital doctor only where the patient agreed to just that: items labelled" in text
    assert "HIV; " in text
    assert '"scope": "including-sensitive"' in text
    assert "Mental health" not in text
    assert "own practice" not in text
    assert text == "\n".join(never_shown(policy, caller(Role.HOSPITAL_DOCTOR), None))


def test_best_interests_reads_as_the_ordinary_agreement(policy: Policy) -> None:
    for scope in Scope:
        assert told(policy, Role.NURSE, Basis.BEST_INTERESTS, scope) == told(policy, Role.NURSE)


def test_with_the_agreement_nothing_is_left_to_ask_for(policy: Policy) -> None:
    assert told(policy, Role.NURSE, scope=Scope.INCLUDING_SENSITIVE) == ABSENCE


def test_a_gp_is_told_of_the_patients_own_practice(policy: Policy) -> None:
    assert "or at the patient's own practice" in told(policy, Role.GP)


def test_a_social_worker_is_told_each_section_and_kind(policy: Policy) -> None:
    text = told(policy, Role.SOCIAL_WORKER)
    assert "Never shown to a social worker: results, problems and immunisations." in text
    assert "in outline only: medicines (name and status)." in text
    assert "in outline only: contacts (when, where and what kind)." in text
    assert "in outline only: items labelled Mental health; Psychiatric conditions and treatment." in text
    assert "Never shown to a social worker: items labelled Assisted fertilisation;" in text
    assert "including-sensitive" not in text
    assert ABSENCE in text


@pytest.mark.parametrize("role", [Role.PRIVACY_OFFICER, Role.COMMISSIONER])
def test_who_never_sees_a_record_is_told_so(policy: Policy, role: Role) -> None:
    text = told(policy, role)
    assert "demographics, allergies, medicines, contacts, results, problems, immunisations and care team." in text


def test_the_page_is_current(policy: Policy) -> None:
    """Mend it by `connectcare policy matrix`: the page is that table under its heading."""
    heading, _, table = PAGE.read_text().partition("## Who sees what")
    assert heading.startswith("# ")
    assert f"## Who sees what{table}" == matrix(policy)


def test_the_matrix_has_every_section_label_door_and_rule(policy: Policy) -> None:
    text = matrix(policy)
    assert "| results | F | F | F | F | – | – | – | – |" in text
    assert "| medicines | F | F | F | F | O | O | – | – |" in text
    assert "| labelled HIV: HIV | –, F¹, F² | –, F² | –, F² | –, F² | – | – | – | – |" in text
    assert "| record-sharing-choice | in a gp-practice | – | in a gp-practice | – | – | – | yes | – |" in text
    assert all(f"`{rule_id}`" in text for rule_id in policy.rules)
    assert all(f"labelled {label}" in text for label in policy.labels.vocabulary)


def test_an_explanation_names_outcome_rule_owner_and_reason(policy: Policy) -> None:
    seen = best_circumstances(
        Role.OCCUPATIONAL_THERAPIST, OrganisationType.COUNCIL, Section.ALLERGIES, OrganisationType.ACUTE_TRUST
    )
    text = explain(policy, replace(seen, labels=frozenset({"PSY"})))
    assert text.splitlines()[0] == "allergies for occupational-therapist in council: in outline"
    assert "decided by label.mental-health.outline" in text
    assert "Information governance group" in text
    assert "view: no (forbid label.mental-health.outline)" in text
    assert "view-outline: yes (permit section.allergies)" in text
    hidden = explain(policy, replace(seen, section=Section.RESULTS))
    assert "policy.default-deny" in hidden
    assert "view: no (no rule)" in hidden
