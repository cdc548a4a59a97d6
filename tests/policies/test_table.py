"""The table "Who sees what, by default", read again by hand as plain data, against Cedar on every tuple."""

from __future__ import annotations

from itertools import product

import pytest

from connectors.sdk.model import Section
from connectors.sdk.organisations import OrganisationType
from gateway.caller.model import Role
from gateway.choice.model import Basis, Scope
from gateway.policy.decide import Policy
from gateway.policy.model import Circumstances, Shown
from tests.quick import every

ROLES = ("gp", "hospital-doctor", "nurse", "district-nurse", "occupational-therapist", "social-worker")
TABLE = {
    #                 gp  hd  n   dn  ot  sw
    "demographics": "  F   F   F   F   F   F",
    "care-team": "     F   F   F   F   F   F",
    "contacts": "      F   F   F   F   F   O",
    "medicines": "     F   F   F   F   O   O",
    "allergies": "     F   F   F   F   F   F",
    "results": "       F   F   F   F   -   -",
    "problems": "      F   F   F   F   O   -",
    "immunisations": " F   F   F   F   -   -",
}
MENTAL_HEALTH = "      F   F   F   F   O   O"
LEVELS = {"F": Shown.WHOLE, "O": Shown.OUTLINE, "-": Shown.WITHHELD}
SENSITIVE = ("HIV", "STD", "SEX", "GDIS", "ASSISTED-FERTILISATION", "TERMINATION", "SUD", "SDV", "RESTRICTED")
LABEL_SETS = (
    frozenset[str](),
    frozenset({"PSY"}),
    frozenset({"MH"}),
    frozenset({"MH", "PSY"}),
    frozenset({"HIV"}),
    frozenset({"RESTRICTED", "MH"}),
)


def _cell(row: str, role: Role) -> Shown:
    return LEVELS[row.split()[ROLES.index(role)]]


def _sensitive_level(c: Circumstances) -> Shown:
    if c.role == "gp" and c.organisation_type == "gp-practice" and c.own_practice:
        return Shown.WHOLE
    agreed_to_just_that = c.scope == "including-sensitive" and c.basis == "patient-agreed"
    if ROLES.index(c.role) < ROLES.index("occupational-therapist") and agreed_to_just_that:
        return Shown.WHOLE
    # Identity is needed to be sure who the patient is: of demographics the outline stays.
    return Shown.OUTLINE if c.section == "demographics" else Shown.WITHHELD


def by_hand(c: Circumstances) -> Shown:
    if c.role not in ROLES or c.organisation_type == "commissioner" or c.basis is None or c.purpose != "TREAT":
        return Shown.WITHHELD
    levels = [_cell(TABLE[c.section], c.role)]
    if c.labels & {"PSY", "MH"} and c.section != "demographics":
        levels.append(_cell(MENTAL_HEALTH, c.role))
    if c.labels & set(SENSITIVE):
        levels.append(_sensitive_level(c))
    return min(levels)


def _tuples(labels: tuple[frozenset[str], ...], places: tuple[OrganisationType, ...]) -> list[Circumstances]:
    return [
        Circumstances(role, place, "TREAT", basis, scope, own, section, OrganisationType.ACUTE_TRUST, found)
        for role, place, basis, scope, own, section, found in product(
            Role, places, (None, *Basis), Scope, (False, True), Section, labels
        )
    ]


# Every kind of organisation with one set of labels, the kinds that rules speak of (and one that none does) with all.
SPOKEN_OF = (OrganisationType.GP_PRACTICE, OrganisationType.COMMISSIONER, OrganisationType.COUNCIL)
ALL = _tuples(LABEL_SETS, SPOKEN_OF)
EVERYWHERE = _tuples((frozenset({"HIV"}),), tuple(OrganisationType))
EACH_LABEL = _tuples(tuple(frozenset({label}) for label in SENSITIVE), (OrganisationType.GP_PRACTICE,))


@pytest.mark.parametrize("role", every(3, Role))
def test_cedar_agrees_with_the_table_on_every_tuple(policy: Policy, role: Role) -> None:
    asked = [c for c in ALL + EVERYWHERE + EACH_LABEL if c.role is role]
    assert len(asked) > 2_500
    assert [c for c in asked if policy.decide(c).shown is not by_hand(c)] == []


@pytest.mark.slow
def test_best_interests_never_shows_more_than_the_ordinary_agreement(policy: Policy) -> None:
    """Whatever its scope says."""
    asked = [c for c in ALL if c.basis is Basis.BEST_INTERESTS]
    agreed = {
        (c.role, c.organisation_type, c.own_practice, c.section, c.labels): policy.decide(c).shown
        for c in ALL
        if c.basis is Basis.PATIENT_AGREED and c.scope is Scope.STANDARD
    }
    for c in asked:
        ordinary = agreed[c.role, c.organisation_type, c.own_practice, c.section, c.labels]
        assert policy.decide(c).shown <= ordinary, c


@pytest.mark.slow
def test_a_label_never_shows_more(policy: Policy) -> None:
    plain = {(c.role, c.organisation_type, c.basis, c.scope, c.own_practice, c.section): c for c in ALL if not c.labels}
    for c in ALL:
        unlabelled = plain[c.role, c.organisation_type, c.basis, c.scope, c.own_practice, c.section]
        assert policy.decide(c).shown <= policy.decide(unlabelled).shown


@pytest.mark.parametrize("source_type", every(4, OrganisationType))
def test_the_kind_of_source_changes_no_decision_by_itself(policy: Policy, source_type: OrganisationType) -> None:
    """It gives labels (policies/source-labels.yaml); the rules that ship look at the labels only."""
    for role, section, labels in product(Role, Section, LABEL_SETS):
        at = OrganisationType.ACUTE_TRUST
        c = Circumstances(role, at, "TREAT", Basis.PATIENT_AGREED, Scope.STANDARD, False, section, source_type, labels)
        assert policy.decide(c).shown is by_hand(c)


@pytest.mark.parametrize(
    ("role", "never"),
    [
        (Role.GP, set()),
        (Role.OCCUPATIONAL_THERAPIST, {Section.RESULTS, Section.IMMUNISATIONS}),
        (Role.SOCIAL_WORKER, {Section.RESULTS, Section.IMMUNISATIONS, Section.PROBLEMS}),
        (Role.PRIVACY_OFFICER, set(Section)),
        (Role.COMMISSIONER, set(Section)),
    ],
)
def test_what_a_role_never_sees_is_never_asked_for(policy: Policy, role: Role, never: set[Section]) -> None:
    assert policy.sections_for(role, OrganisationType.ACUTE_TRUST) == set(Section) - never
