"""What differs between the tables of two policies: they decide nothing, and what is decided turns on them.

A code that gets a label, an element that an outline keeps, a job role that means another role.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from ruamel.yaml import YAML

from gateway.policy.decide import Policy
from gateway.policy.files import ArchivedFile

_TOLD: Final = {"doors.yaml": "what is said at doors", "rules.yaml": "the list of rules"}
_DECIDED: Final = ("rules/", "schema.cedarschema", "rules.yaml", "disclosures.yaml", "labels/", "outlines.yaml")
"""Files whose changes are told in other words."""


def table_changes(old: Policy, new: Policy) -> list[str]:
    """In sentences."""
    return [*_labels(old, new), *_outlines(old, new), *_job_roles(old, new), *_others(old, new)]


def _labels(old: Policy, new: Policy) -> Iterator[str]:
    before, after = old.labels.given(), new.labels.given()
    gained, lost = Counter[str](), Counter[str]()
    for key in before.keys() | after.keys():
        gained.update(after.get(key, frozenset()) - before.get(key, frozenset()))
        lost.update(before.get(key, frozenset()) - after.get(key, frozenset()))
    for label in sorted(gained | lost):
        yield f"Label {label}: {gained[label]} codes, sources or security labels gain it, {lost[label]} lose it."


def _outlines(old: Policy, new: Policy) -> Iterator[str]:
    before, after = (_yaml(policy, "outlines.yaml").get("types", {}) for policy in (old, new))
    for kind in sorted(before.keys() | after.keys()):
        was, is_ = set(before.get(kind, ())), set(after.get(kind, ()))
        if was != is_:
            yield f"The outline of {kind}: keeps also {_list(is_ - was)}; no longer keeps {_list(was - is_)}."


def _job_roles(old: Policy, new: Policy) -> Iterator[str]:
    before, after = (_codes(_yaml(policy, "job-roles.yaml")) for policy in (old, new))
    for code in sorted(before.keys() | after.keys()):
        if before.get(code) != after.get(code):
            yield f"Job role {code}: {before.get(code, 'no role')} before, {after.get(code, 'no role')} now."


def _codes(node: Mapping[str, Any]) -> dict[str, str]:
    """Each job-role code with the roles and places in which it acts, as text."""
    found: dict[str, list[str]] = {}
    for role, entry in node.get("roles", {}).items():
        listed = entry.get("job-roles", [])
        for one in [{"code": "any"}] if listed == "any" else listed:
            where = one.get("acts-in", entry.get("acts-in", []))
            found.setdefault(str(one.get("code")), []).append(f"{role} in {', '.join(sorted(map(str, where)))}")
    return {code: "; ".join(sorted(said)) for code, said in found.items()}


def _others(old: Policy, new: Policy) -> Iterator[str]:
    before, after = ({file.name: file.content for file in _files(policy)} for policy in (old, new))
    told = (*_DECIDED, "job-roles.yaml")
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name) and not name.startswith(told):
            yield f"The file {name} differs{f': {_TOLD[name]}' if name in _TOLD else ''}."


def _files(policy: Policy) -> list[ArchivedFile]:
    return msgspec.json.decode(policy.archive, type=list[ArchivedFile])


def _yaml(policy: Policy, name: str) -> Mapping[str, Any]:
    text = next((file.content.decode() for file in _files(policy) if file.name == name and not file.extra), "")
    node = YAML(typ="safe", pure=True).load(text) if text else None
    return node if isinstance(node, dict) else {}


def _list(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"
