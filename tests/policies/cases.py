"""Reads `policies/cases`: each file is a sentence, and stands for every combination of the lists in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from connectors.sdk.model import Section
from connectors.sdk.organisations import OrganisationType
from gateway.caller.model import Role
from gateway.choice.model import Basis, Scope
from gateway.disclosure.model import LawfulBasis, Terms
from gateway.policy.decide import Policy
from gateway.policy.matrix import USUAL_PLACE
from gateway.policy.model import Circumstances, Decision, Shown

_KEYS = {
    "roles",
    "at",
    "sections",
    "labels",
    "basis",
    "scope",
    "own-practice",
    "purpose",
    "doors",
    "expect",
    "disclosure",
}


@dataclass(frozen=True)
class Case:
    """One combination: what is asked, and what must come of it."""

    sentence: str
    role: Role
    at: OrganisationType
    door: str | None
    circumstances: Circumstances | None
    shown: Shown
    rule: str

    def decided_by(self, policy: Policy) -> Decision:
        if self.circumstances is not None:
            return policy.decide(self.circumstances)
        assert self.door is not None
        return policy.may(self.door, self.role, self.at)

    def holds(self, policy: Policy) -> bool:
        decision = self.decided_by(policy)
        return (decision.shown, decision.rule) == (self.shown, self.rule)


def read_cases(folder: Path) -> list[Case]:
    files = sorted(folder.glob("*.yaml"))
    assert files, f"no cases in {folder}: an empty folder proves nothing"
    return [case for path in files for case in _expand(path)]


def _expand(path: Path) -> Iterator[Case]:
    node = YAML(typ="safe", pure=True).load(path.read_text())
    assert set(node) <= _KEYS, f"{path}: unknown keys {set(node) - _KEYS}"
    assert ("doors" in node) != ("sections" in node), f"{path}: either sections or doors"
    found = 0
    for role in map(Role, node["roles"]):
        for at in map(OrganisationType, node.get("at", [USUAL_PLACE[role]])):
            for door, circumstances in _asked(node, role, at):
                found += 1
                expected = node["expect"]
                section = circumstances.section if circumstances else ""
                yield Case(
                    path.stem.replace("-", " "),
                    role,
                    at,
                    door,
                    circumstances,
                    Shown[expected["shown"].upper()],
                    expected["rule"].format(section=section),
                )
    assert found, f"{path}: stands for nothing"


def _asked(
    node: Mapping[str, Any], role: Role, at: OrganisationType
) -> Iterator[tuple[str | None, Circumstances | None]]:
    yield from ((door, None) for door in node.get("doors", ()))
    for section, labels, basis, scope in product(
        node.get("sections", ()),
        node.get("labels", [[]]),
        node.get("basis", [Basis.PATIENT_AGREED]),
        node.get("scope", [Scope.STANDARD]),
    ):
        yield (
            None,
            Circumstances(
                role=role,
                organisation_type=at,
                purpose=node.get("purpose", "TREAT"),
                basis=_basis(basis),
                scope=Scope(scope),
                own_practice=node.get("own-practice", False),
                section=Section(section),
                source_type=OrganisationType.ACUTE_TRUST,
                labels=frozenset(labels),
                disclosure=_terms(node.get("disclosure")),
            ),
        )


def _basis(said: str) -> Basis | LawfulBasis | None:
    if said == "none":
        return None
    return LawfulBasis(said) if said in list(LawfulBasis) else Basis(said)


def _terms(node: Mapping[str, Any] | None) -> Terms | None:
    if node is None:
        return None
    sections = frozenset(Section(section) for section in node.get("sections", Section))
    return Terms(sections, node["sensitive"], frozenset(map(LawfulBasis, node.get("bases", LawfulBasis))))
