"""Decisions put together of what single rules said are Cedar's own, in circumstances of every kind."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from connectors.sdk.model import Section
from connectors.sdk.organisations import OrganisationType
from gateway.caller.model import Role
from gateway.choice.model import Basis, Scope
from gateway.disclosure.model import LawfulBasis
from gateway.policy.decide import Policy, best_circumstances
from gateway.policy.model import Circumstances
from gateway.policy.tabled import TabledPolicy, canonical, classes, exchanged, mentioned, texts_in

_STRANGE = """@id("{id}") @title("t") @why("w") @owner("o")
{effect} (principal, action {action}, resource)
when {{ {when} }};
"""


def drawn(policy: Policy, count: int, seed: int = 4) -> list[Circumstances]:
    """Circumstances of every kind: words that no schema knows among them, and disclosures where there is none."""
    chance = random.Random(seed)
    labels = [*sorted(policy.labels.vocabulary), "NO-SUCH-LABEL"]
    terms = [None, None, *(named.terms for named in policy.disclosures.values())]
    return [
        Circumstances(
            role=chance.choice(list(Role)),
            organisation_type=chance.choice(list(OrganisationType)),
            purpose=chance.choice(["TREAT", "ETREAT", "HLEGAL", "HRESCH"]),
            basis=chance.choice([None, *Basis, *LawfulBasis]),
            scope=chance.choice(list(Scope)),
            own_practice=chance.random() < 0.5,
            section=chance.choice(list(Section)),
            source_type=chance.choice(list(OrganisationType)),
            labels=frozenset(chance.sample(labels, chance.choice([0, 0, 1, 2, 3]))),
            disclosure=chance.choice(terms),
        )
        for _ in range(count)
    ]


def differences(policy: Policy, tabled: TabledPolicy, count: int) -> list[Circumstances]:
    return [each for each in drawn(policy, count) if policy.decide(each) != tabled.decide(each)]


def with_rules(folder: Path, tmp_path: Path, *rules: dict[str, str]) -> Policy:
    """The shipped policies and these rules besides."""
    changed = tmp_path / "policies"
    shutil.copytree(folder, changed, ignore=shutil.ignore_patterns("cases"))
    manifest = changed / "rules.yaml"
    for rule in rules:
        (changed / "rules" / f"{rule['id']}.cedar").write_text(_STRANGE.format(**rule))
        manifest.write_text(manifest.read_text().replace("rules:\n", f"rules:\n  - {rule['id']}\n", 1))
    return Policy.load(changed)


def test_the_shipped_rules_decide_alike_either_way(policy: Policy) -> None:
    tabled = TabledPolicy(policy)
    assert differences(policy, tabled, 800) == []
    assert len({tabled.decide(each).rule for each in drawn(policy, 800)}) >= 15


@pytest.mark.slow
def test_the_shipped_rules_decide_alike_in_many_circumstances(policy: Policy) -> None:
    assert differences(policy, TabledPolicy(policy), 20_000) == []


STRANGE = {
    "zz.same-kind": ("permit", "principal.organisationType == context.sourceType"),
    "zz.whole-context": ("forbid", 'context has basis && context.labels == [Label::"HIV"]'),
    "zz.by-name": ("forbid", 'principal == Caller::"nurse@council"'),
    "zz.one-action": ("forbid", 'action == Action::"view-outline" && resource == Section::"problems"'),
    "zz.own-bases": (
        "permit",
        "context has disclosure && context has basis && context.disclosure.bases == [context.basis]",
    ),
}


@pytest.mark.slow
def test_rules_that_compare_are_not_taken_for_simpler_than_they_are(policies: Path, tmp_path: Path) -> None:
    """Two fields with each other, the whole caller, the action: no symmetry may be seen where there is none."""
    policy = with_rules(
        policies,
        tmp_path,
        *(
            {"id": id_, "effect": effect, "action": 'in Action::"see"', "when": when}
            for id_, (effect, when) in STRANGE.items()
        ),
    )
    tabled = TabledPolicy(policy)
    assert differences(policy, tabled, 1_200) == []
    assert set(STRANGE) <= set(tabled.bodies)
    by_name = best_circumstances(Role.NURSE, OrganisationType.COUNCIL, Section.ALLERGIES, OrganisationType.COUNCIL)
    assert tabled.decide(by_name).rule == "zz.by-name"


def test_what_two_policies_have_in_common_is_asked_once(policy: Policy) -> None:
    first = TabledPolicy(policy)
    second = TabledPolicy(policy, like=first)
    assert all(second.tables[key] is table for key, table in first.tables.items())
    assert differences(policy, second, 50) == []


def test_words_are_of_one_class_only_where_they_can_change_places(policy: Policy) -> None:
    bodies = list(TabledPolicy(policy).bodies.values())
    labels = classes(sorted(policy.labels.vocabulary), "Label", bodies)
    assert ["MH", "PSY"] in labels
    assert len(labels) == 2
    roles = classes([role.value for role in Role], "Role", bodies)
    assert ["hospital-doctor", "nurse", "district-nurse"] in roles
    assert ["gp"] in roles
    assert classes(["TREAT", "ETREAT", "HLEGAL"], "", bodies) == [["TREAT", "ETREAT"], ["HLEGAL"]]
    assert {"TREAT", "ETREAT", "HLEGAL"} <= texts_in(bodies)


def test_the_order_in_a_set_means_nothing_and_the_order_of_a_comparison_does() -> None:
    def body(*names: str) -> dict[str, Any]:
        return {"contains": {"left": {"Set": [{"Value": name} for name in names]}, "right": {"Value": "x"}}}

    assert canonical(body("a", "b")) == canonical(body("b", "a"))
    assert canonical(exchanged(body("a", "c"), "", "c", "x")) != canonical(body("a", "c"))


def test_a_rule_looks_at_what_it_mentions(policy: Policy) -> None:
    bodies = TabledPolicy(policy).bodies
    assert mentioned(bodies["section.allergies"]) == {"role", "section"}
    assert mentioned(bodies["purpose.direct-care"]) == {"purpose", "disclosure"}
    assert mentioned(bodies["commissioner.nothing"]) == {"role", "organisation_type"}
    assert "door.disclose" not in bodies
