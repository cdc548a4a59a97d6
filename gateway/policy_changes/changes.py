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
from gateway.policy.rules import ERROR_RULE
from gateway.policy.tabled import TabledPolicy
from gateway.policy_changes.space import FIELDS, Point, Space

NO_SUCH_POLICY: Final = "disclosure.unknown-policy"
PLACES: Final = ("role", "organisation")
_NOT_YET: Final = frozenset({NO_SUCH_POLICY, ERROR_RULE})
"""Where one of the policies doesn't know the door or the disclosure at all, only what it opens or shuts is told."""
Said = tuple[Shown, str]
"""Outcome and rule."""
_ALIKE: Final[Said] = (Shown.WITHHELD, "")
"""What stands for whatever both say."""


@dataclass(slots=True)
class Group:
    """Circumstances in which the same rule gave way to the same other one. `told` names them field by field; `count`
    says how many they are, of those that there can be."""

    before: Said
    after: Said
    told: list[tuple[str, ...]] = field(default_factory=list)
    count: int = 0


@dataclass(slots=True)
class Change:
    """What is told together: from one outcome to another, by these rules before and these after."""

    before: Shown
    after: Shown
    rules_before: tuple[str, ...]
    rules_after: tuple[str, ...]
    told: list[tuple[str, ...]]
    count: int

    @property
    def is_outcome(self) -> bool:
        """True where more or less is shown; False where only another rule says so."""
        return self.before is not self.after


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
        if before != after and not (before[0] is after[0] and {before[1], after[1]} & _NOT_YET):
            group = self.groups.setdefault((before, after), Group(before, after))
            group.told.append(told)
            group.count += count

    def changes(self) -> list[Change]:
        """What shows more or less first, the largest first. Where one rule took the place of many, or many that of one,
        it is told once."""
        kinds: dict[tuple[Shown, Shown], list[Group]] = {}
        for group in self.groups.values():
            kinds.setdefault((group.before[0], group.after[0]), []).append(group)
        found = [change for groups in kinds.values() for change in _together(groups)]
        return sorted(found, key=lambda change: (not change.is_outcome, -change.count, change.rules_before))


def _together(groups: Sequence[Group]) -> Iterable[Change]:
    """By the rule of which there are fewer, before or after."""
    fewer = min(("before", "after"), key=lambda side: len({getattr(group, side)[1] for group in groups}))
    alike: dict[str, list[Group]] = {}
    for group in groups:
        alike.setdefault(getattr(group, fewer)[1], []).append(group)
    for each in alike.values():
        yield Change(
            before=each[0].before[0],
            after=each[0].after[0],
            rules_before=tuple(sorted({group.before[1] for group in each})),
            rules_after=tuple(sorted({group.after[1] for group in each})),
            told=[told for group in each for told in group.told],
            count=sum(group.count for group in each),
        )


def differing(old: TabledPolicy, new: TabledPolicy) -> list[Part]:
    """All that is decided otherwise, in parts; a part without changes is among them too."""
    space = Space(old, new)
    looks = Part("Looking at a record", FIELDS)
    may_differ = old.may_differ(new)
    for point in space.points():
        if may_differ(point.circumstances):
            looks.add(point, _said(old.decide(point.circumstances)), _said(new.decide(point.circumstances)))
        else:
            looks.add(point, _ALIKE, _ALIKE)
    return [looks, *_disclosures(space, old, new), *_doors(old, new)]


def _said(decision: Decision) -> Said:
    return decision.shown, decision.rule


def _disclosures(space: Space, old: TabledPolicy, new: TabledPolicy) -> Iterable[Part]:
    may_differ = old.may_differ(new)
    for name in sorted({*old.disclosures, *new.disclosures}):
        before, after = old.disclosures.get(name), new.disclosures.get(name)
        part = Part(f"Disclosing under {name}", FIELDS)
        same_terms = before is not None and after is not None and before.terms == after.terms
        named = before or after
        for point in space.disclosures(named.terms, tuple(LawfulBasis)) if named else ():
            at = point.circumstances
            if same_terms and not may_differ(at):
                part.add(point, _ALIKE, _ALIKE)
            else:
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
