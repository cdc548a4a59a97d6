"""How many past decisions another policy would have made otherwise, as far as the journal can tell.

A row says who looked, on what, for what, and how many items of each section were shown; it doesn't say which labels
they had, nor whether it was the patient's own practice. So a look is held against every circumstance that its row
leaves open: where the outcome differs in all of them, it would certainly change; where it differs in some, it might.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import product

from connectors.sdk.model import Section
from gateway.audit.row import Kind, Row
from gateway.explain.circumstances import circumstances_of, place_of
from gateway.explain.doors import action_of
from gateway.policy.decide import DOORS, Policy
from gateway.policy.model import Circumstances, Shown
from gateway.policy.tabled import TabledPolicy
from gateway.policy_changes.space import Space
from gateway.store.interface import Store

KINDS = frozenset({Kind.RELEASE, Kind.DISCLOSURE, Kind.REFUSAL, Kind.PERMISSION_GRANTED, Kind.PERMISSION_EXTENDED,
                   Kind.SHARING_CHOICE, Kind.PERSON_ANSWERED})  # fmt: skip
_LOOKS = frozenset({Kind.RELEASE, Kind.DISCLOSURE})
_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Alike:
    """What past events have in common that are judged alike. `shown` are the sections of which something was shown,
    `asked` the others that were asked for."""

    action: str
    role: str
    organisation_type: str
    purpose: str = ""
    basis: str = ""
    scope: str = ""
    policy: str = ""
    shown: frozenset[str] = frozenset()
    asked: frozenset[str] = frozenset()


@dataclass(slots=True)
class Verdicts:
    """How many events there were, and of which kinds those are that would change, or might."""

    events: int = 0
    not_judged: int = 0
    certain: Counter[Alike] = field(default_factory=Counter)
    might: Counter[Alike] = field(default_factory=Counter)


async def past_changes(store: Store, old: TabledPolicy, new: TabledPolicy) -> Verdicts:
    """Every look and every door of the journal."""
    events: Counter[Alike] = Counter()
    rows: dict[Alike, Row] = {}
    verdicts = Verdicts()
    after = 0
    while page := await store.rows(kinds=KINDS, after=after, limit=_PAGE):
        after = page[-1].seq
        for kept in page:
            alike = _alike(kept.row)
            verdicts.events += 1
            if alike is None:
                verdicts.not_judged += 1
            else:
                events[alike] += 1
                rows.setdefault(alike, kept.row)
    open_ = _Open(old, new)
    for alike, count in events.items():
        open_.judge(alike, rows[alike], count, verdicts)
    return verdicts


def _alike(row: Row) -> Alike | None:
    """None where the row doesn't say by which door, or by whom."""
    action, place = action_of(row), place_of(row)
    if action is None or place is None or row.who is None:
        return None
    if row.kind not in _LOOKS:
        return Alike(action, place[0].value, place[1].value)
    shown = frozenset(row.seen) & frozenset(Section)
    return Alike(
        action=action,
        role=place[0].value,
        organisation_type=place[1].value,
        purpose=row.who.purpose,
        basis=row.lawful.basis if row.lawful else row.basis or "",
        scope=row.scope or "",
        policy=row.lawful.policy if row.lawful else "",
        shown=shown,
        asked=frozenset(row.sections) - shown,
    )


class _Open:
    """The circumstances that rows leave open, under two policies."""

    def __init__(self, old: TabledPolicy, new: TabledPolicy) -> None:
        self._old, self._new = old, new
        space = Space(old, new)
        self._own = [cell.value for cell in space.own_practice]
        self._sources = sorted({cell.value[1] for cell in space.places})
        self._labels = [cell.value for cell in space.labels]

    def judge(self, alike: Alike, row: Row, count: int, verdicts: Verdicts) -> None:
        """Add these events to what they come under."""
        certain, might = self._door(alike, row)
        if row.kind in _LOOKS and not certain:
            for section in alike.shown | alike.asked & frozenset(Section):
                differs = self._differs(row, Section(section), was_shown=section in alike.shown)
                certain = certain or (section in alike.shown and all(differs))
                might = might or any(differs)
        if certain:
            verdicts.certain[alike] += count
        elif might:
            verdicts.might[alike] += count

    def _door(self, alike: Alike, row: Row) -> tuple[bool, bool]:
        place = place_of(row)
        if alike.action not in DOORS or place is None:
            return False, False
        return self._old.may(alike.action, *place).shown is not self._new.may(alike.action, *place).shown, False

    def _differs(self, row: Row, section: Section, *, was_shown: bool) -> list[bool]:
        """For each circumstance that the row leaves open: whether the outcome differs. What was shown had circumstances
        in which something is shown, unless the old policy never shows it: then it wasn't in force, and all are open."""
        before, after = (list(self._said(policy, row, section)) for policy in (self._old, self._new))
        pairs = list(zip(before, after, strict=True))
        if was_shown and any(before):
            pairs = [(was, is_) for was, is_ in pairs if was]
        return [was is not is_ for was, is_ in pairs]

    def _said(self, policy: Policy, row: Row, section: Section) -> Iterator[Shown]:
        at = circumstances_of(row, policy)
        for each in self._each(at, section):
            yield policy.decide(each).shown if each is not None else Shown.WITHHELD

    def _each(self, at: Circumstances | None, section: Section) -> Iterable[Circumstances | None]:
        for own, source, labels in product(self._own, self._sources, self._labels):
            yield replace(at, section=section, own_practice=own, source_type=source, labels=labels) if at else None
