"""Which decisions differ between two policies: about items, by disclosure, at doors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from connectors.sdk.organisations import OrganisationType
from gateway.caller.model import Role
from gateway.disclosure.model import LawfulBasis, NamedPolicy
from gateway.policy.decide import DOORS, Policy
from gateway.policy.model import Circumstances, Decision, Shown
from gateway.policy.tabled import TabledPolicy
from gateway.policy_changes.space import FIELDS, Point, Space

NO_SUCH_POLICY: Final = "disclosure.unknown-policy"
PLACES: Final = ("role", "organisation")
Said = tuple[Shown, str]
"""Outcome and rule."""


@dataclass(slots=True)
class Group:
    """Circumstances in which the same rule gave way to the same other one. `told` names them field by field; `count`
    says how many they are, of those that there can be."""

    before: Said
    after: Said
    told: list[tuple[str, ...]] = field(default_factory=list)
    count: int = 0

    @property
    def is_outcome(self) -> bool:
        """True where more or less is shown; False where only another rule says so."""
        return self.before[0] is not self.after[0]


@dataclass(slots=True)
class Part:
    """One part of the space: `name` as it is told, its fields, every value that each of them has, its changes."""

    name: str
    fields: tuple[str, ...]
    every: dict[str, set[str]] = field(default_factory=dict)
    groups: dict[tuple[Said, Said], Group] = field(default_factory=dict)
    asked: int = 0

    def add(self, case: Point | tuple[str, ...], before: Said, after: Said) -> None:
        """One case. Only what differs is kept."""
        told, count = (case.told, case.count) if isinstance(case, Point) else (case, 1)
        self.asked += count
        for name, value in zip(self.fields, told, strict=True):
            self.every.setdefault(name, set()).add(value)
        if before != after:
            group = self.groups.setdefault((before, after), Group(before, after))
            group.told.append(told)
            group.count += count

    def changes(self) -> list[Group]:
        """What shows more or less first, the largest first."""
        return sorted(self.groups.values(), key=lambda group: (not group.is_outcome, -group.count, group.before[1]))


def differing(old: TabledPolicy, new: TabledPolicy) -> list[Part]:
    """All that is decided otherwise, in parts; a part without changes is among them too."""
    space = Space(old, new)
    looks = Part("Looking at a record", FIELDS)
    for point in space.points():
        before, after = (_said(policy.decide(point.circumstances)) for policy in (old, new))
        looks.add(point, before, after)
    return [looks, *_disclosures(space, old, new), *_doors(old, new)]


def _said(decision: Decision) -> Said:
    return decision.shown, decision.rule


def _disclosures(space: Space, old: Policy, new: Policy) -> Iterable[Part]:
    for name in sorted({*old.disclosures, *new.disclosures}):
        before, after = old.disclosures.get(name), new.disclosures.get(name)
        part = Part(f"Disclosing under {name}", FIELDS)
        named = before or after
        points: Iterable[Point] = space.disclosures(named.terms, tuple(LawfulBasis)) if named else ()
        for point in points:
            at = point.circumstances
            part.add(point, _disclosed(before, old, at), _disclosed(after, new, at))
        yield part


def _disclosed(named: NamedPolicy | None, policy: Policy, at: Circumstances) -> Said:
    if named is None:
        return Shown.WITHHELD, NO_SUCH_POLICY
    return _said(policy.decide(replace(at, disclosure=named.terms)))


def _doors(old: Policy, new: Policy) -> Iterable[Part]:
    for action in DOORS:
        part = Part(f"The door {action}", PLACES)
        for role in Role:
            for type_ in OrganisationType:
                before, after = (_said(policy.may(action, role, type_)) for policy in (old, new))
                part.add((role.value, type_.value), before, after)
        yield part


def changed(parts: Sequence[Part]) -> bool:
    """Whether anything is decided otherwise."""
    return any(part.groups for part in parts)
