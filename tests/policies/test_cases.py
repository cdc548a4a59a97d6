"""Every example in `policies/cases` holds, by outcome and rule; they cover the policy; each rule matters."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from connectors.sdk.model import Section
from gateway.caller.model import Role
from gateway.policy.decide import DOORS, Policy
from gateway.policy.files import PolicyProblem
from gateway.policy.model import Shown
from tests.policies.cases import Case, read_cases
from tests.policies.conftest import POLICIES
from tests.quick import every

ALLOW = read_cases(POLICIES / "cases" / "ALLOW")
DENY = read_cases(POLICIES / "cases" / "DENY")
RULE_FILES = sorted((POLICIES / "rules").rglob("*.cedar"))
MENTAL_HEALTH = {"PSY", "MH"}


@pytest.mark.parametrize("sentence", sorted({case.sentence for case in ALLOW + DENY}))
def test_the_case_holds(policy: Policy, sentence: str) -> None:
    for case in ALLOW + DENY:
        if case.sentence == sentence:
            decision = case.decided_by(policy)
            assert (decision.shown, decision.rule) == (case.shown, case.rule), case


def test_the_folders_say_what_they_hold() -> None:
    assert all(case.shown for case in ALLOW)
    assert not any(case.shown for case in DENY)


def _label_class(case: Case) -> str:
    assert case.circumstances is not None
    labels = case.circumstances.labels
    if not labels:
        return "unlabelled"
    return "mental health" if labels <= MENTAL_HEALTH else "sensitive"


def test_every_role_section_and_class_of_label_has_a_case() -> None:
    covered = {
        (case.role, case.circumstances.section, _label_class(case)) for case in ALLOW + DENY if case.circumstances
    }
    wanted = {(r, s, c) for r in Role for s in Section for c in ("unlabelled", "sensitive", "mental health")}
    assert wanted <= covered


def test_every_label_has_a_case(policy: Policy) -> None:
    cased = {label for case in ALLOW + DENY if case.circumstances for label in case.circumstances.labels}
    assert policy.labels.vocabulary <= cased


def test_every_door_has_a_case_for_every_role() -> None:
    assert {(role, door) for role in Role for door in DOORS} <= {(case.role, case.door) for case in ALLOW + DENY}


def test_every_rule_is_asserted_by_a_case(policy: Policy) -> None:
    assert set(policy.rules) == {case.rule for case in ALLOW + DENY}


def test_a_rule_lives_in_the_file_of_its_name(policy: Policy) -> None:
    assert {f"{rule_id}.cedar" for rule_id in policy.rules if not rule_id.startswith("policy.")} == {
        path.name for path in RULE_FILES
    }


CARELESS = '@id("careless") @title("t") @why("w") @owner("o") permit (principal, action, resource);'


def _relist(folder: Path, old: str, new: str) -> None:
    """Change the list of the rules that must be there, as whoever changes the rules has to."""
    manifest = folder / "rules.yaml"
    text = manifest.read_text()
    assert text.count(old) == 1
    manifest.write_text(text.replace(old, new))


def _copy(tmp_path: Path, without: Path | None = None, careless: bool = False) -> Policy:
    changed = tmp_path / f"policies-{without.stem if without else 'whole'}-{careless}"
    shutil.copytree(POLICIES, changed, ignore=shutil.ignore_patterns("cases"))
    if without is not None:
        (changed / without.relative_to(POLICIES)).unlink()
        _relist(changed, f"  - {without.stem}\n", "")
    if careless:
        (changed / "rules" / "careless.cedar").write_text(CARELESS)
        _relist(changed, "rules:\n", "rules:\n  - careless\n")
    return Policy.load(changed)


@pytest.mark.parametrize("rule_file", every(16, RULE_FILES), ids=lambda path: path.stem)
def test_without_the_rule_a_case_breaks(rule_file: Path, tmp_path: Path) -> None:
    """By outcome, not only by the name of the rule. A rule that only guards against a later, careless rule is put to
    that test: with such a rule beside it, what it forbids stays shut, and opens without it."""
    without = _copy(tmp_path, rule_file)
    if any(case.decided_by(without).shown is not case.shown for case in ALLOW + DENY):
        return
    forbidden = [case for case in DENY if case.rule == rule_file.stem]
    assert forbidden
    guarded, unguarded = _copy(tmp_path, careless=True), _copy(tmp_path, rule_file, careless=True)
    assert not any(case.decided_by(guarded).shown for case in forbidden)
    assert any(case.decided_by(unguarded).shown for case in forbidden), rule_file.stem


@pytest.mark.parametrize("folder", ["always", "labels"])
def test_a_forbid_beats_a_careless_permit(folder: str, tmp_path: Path) -> None:
    careless = _copy(tmp_path, careless=True)
    forbids = {path.stem for path in RULE_FILES if path.parent.name == folder}
    cases = [case for case in DENY if case.rule in forbids]
    assert cases
    assert [case for case in cases if not case.holds(careless)] == []


def test_without_any_rule_the_gateway_does_not_start(tmp_path: Path) -> None:
    changed = tmp_path / "policies"
    shutil.copytree(POLICIES, changed)
    shutil.rmtree(changed / "rules")
    with pytest.raises(PolicyProblem, match="no rules in it"):
        Policy.load(changed)


def test_a_case_that_expects_otherwise_fails(policy: Policy) -> None:
    """The runner can fail: the same case with another outcome doesn't hold."""
    case = ALLOW[0]
    other = Shown.OUTLINE if case.shown is Shown.WHOLE else Shown.WHOLE
    wrong = Case(case.sentence, case.role, case.at, case.door, case.circumstances, other, case.rule)
    assert case.holds(policy)
    assert not wrong.holds(policy)
