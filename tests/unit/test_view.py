"""What two ways of judging the same items have in common, told without judging them twice."""

from __future__ import annotations

import shutil
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from connectors.sdk.bundle import examine
from connectors.sdk.model import SECTION_OF_TYPE, Resource, Section
from connectors.sdk.organisations import OrganisationType
from gateway.caller.model import Caller, Role
from gateway.connector_commands.casting import permission
from gateway.locate import Look
from gateway.merge import Record, source_types
from gateway.policy.decide import Policy
from gateway.view import View
from tests.unit.pipeline import (
    NHS,
    PRACTICE,
    SNOMED,
    TAKING_PART,
    TRUST,
    answered,
    coded,
    merged,
    patient,
    resource,
)

POLICIES = Path(__file__).resolve().parents[2] / "policies"
HIV = coded((SNOMED, "86406008"))
OWN_ONLY = (".contains(principal.role)", ".contains(principal.role) && context.ownPractice")


@pytest.fixture(scope="module")
def shipped() -> View:
    return View(Policy.load(POLICIES), source_types(TAKING_PART))


@pytest.fixture(scope="module")
def own_only(tmp_path_factory: pytest.TempPathFactory) -> View:
    """Results are for the patient's own practice alone."""
    folder = tmp_path_factory.mktemp("policies") / "policies"
    shutil.copytree(POLICIES, folder, ignore=shutil.ignore_patterns("cases"))
    rule = folder / "rules/sections/section.results.cedar"
    rule.write_text(rule.read_text().replace(*OWN_ONLY))
    return View(Policy.load(folder), source_types(TAKING_PART))


def caller(role: Role = Role.GP) -> Caller:
    return Caller(
        issuer="https://issuer.test",
        user_id="555",
        name="Dr A",
        role_profile_id="555",
        job_role_code="R8000",
        role=role,
        organisation=PRACTICE,
        organisation_name="A practice",
        organisation_type=OrganisationType.GP_PRACTICE,
        client_id="test",
    )


def ways(view: View, who: Caller, *bodies: Resource) -> tuple[Record, Record]:
    """The record of a trust as it is and as if it were of the caller's own patient, labelled."""
    answer = answered(TRUST, patient(), *bodies)
    for item in answer.items:
        item.findings, _ = examine(item.resource)
    record = replace(merged(answer), registered_practice=None)
    shown_in(view, record, who)
    return record, replace(record, registered_practice=PRACTICE)


def shown_in(view: View, record: Record, who: Caller) -> dict[str, Resource]:
    judged = view.judged(record, who, permission(who))
    left = view.left(record, judged, who, Look(NHS, "test", "test", frozenset(Section)))
    return {item.key: item.resource for item in left.items}


def test_without_a_label_the_policy_that_ships_shows_the_own_practice_nothing_else(shipped: View) -> None:
    one, other = ways(shipped, caller(), *(resource(kind, "x") for kind in SECTION_OF_TYPE if kind != "Patient"))
    assert not shipped.may_differ(one, other, caller(), permission(caller()))
    assert shown_in(shipped, one, caller()) == shown_in(shipped, other, caller())


def test_where_an_item_has_a_label_it_may_differ(shipped: View) -> None:
    one, other = ways(shipped, caller(), resource("Condition", "c", code=HIV))
    assert shipped.may_differ(one, other, caller(), permission(caller()))


def test_where_a_decision_is_the_own_practices_it_may_differ(own_only: View) -> None:
    """Whatever the policy of another day says: also of a section that only a contained resource would be of."""
    one, other = ways(own_only, caller(), resource("Condition", "c"))
    assert own_only.may_differ(one, other, caller(), permission(caller()))


@pytest.mark.parametrize(("role", "code"), [*product((Role.GP, Role.SOCIAL_WORKER), (HIV, {"text": "Rash"}))])
def test_what_may_not_differ_does_not(shipped: View, own_only: View, role: Role, code: Resource) -> None:
    who = caller(role)
    for view in (shipped, own_only):
        one, other = ways(view, who, resource("Condition", "c", code=code), resource("Observation", "o"))
        if not view.may_differ(one, other, who, permission(who)):
            assert shown_in(view, one, who) == shown_in(view, other, who)
