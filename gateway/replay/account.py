"""Where is it? What became of every resource that a source sent, from the payload to what one caller is shown.

The resources are read from the payload itself (`gateway.sent`), so nothing that a connector loses goes unseen. Each has
exactly one fate; where it isn't shown, the reason is that of whoever decided: the connector, the guard, the merge, a
policy rule. What nobody has a reason for is unexplained, and that is a fault.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from connectors.sdk.model import (
    SECTION_OF_TYPE,
    SUPPORTING_TYPES,
    Gap,
    Item,
    Outcome,
    Resource,
    Section,
    Traced,
)
from gateway.audit.scrub import scrub
from gateway.patient_names import carries
from gateway.replay.fate import Fate, Fates, Told, reference_of
from gateway.replay.passage import Passage
from gateway.replay.sent import Sent, is_broken, traces

CONNECTOR: Final = "connector"
NEVER_ASKED_FOR: Final = "never-asked-for"
NO_SECTION: Final = "no-section"
_MESSAGE_TYPE: Final = "OperationOutcome"
_ORDER: Final = {fate: place for place, fate in enumerate(Fate)}
_BROKEN_SEARCHES: Final = frozenset({Gap.FAILED, Gap.TIMED_OUT, Gap.TOO_MUCH, Gap.REFUSED, Gap.IDENTITY_ALARM})
"""Gaps of a search that ended before all that it brought was used: they account for what is missing of it."""
_UNHOLDABLE: Final = "a kind of resource that no section of the shared record holds"
_MESSAGE: Final = "a message about the answer, not about the patient"
_OTHER_PATIENT: Final = "another Patient than the one with this NHS number: no question is about them"
_UNBROUGHT: Final = "nothing that is asked for brings it along"
_LOST: Final = "it came, became nothing, and nobody says why"


@dataclass(frozen=True, slots=True)
class Line:
    """The account of one resource: `told` says its fate, why, and where in the output it is. `times`: how often it was
    sent, the same each time."""

    key: str
    type: str
    section: Section | None
    told: Told
    times: int = 1


def account(sent: Sequence[Sent], passage: Passage, delivered: Container[str] | None = None) -> list[Line]:
    """One line for each of `sent`, in their order; and one for whatever is shown that came of none of them.

    `delivered` are the keys of what the connector was given in answer to its calls; None where that was everything.
    """
    return list(_Account(sent, passage, delivered).lines())


def counted(lines: Iterable[Line]) -> Counter[Fate]:
    """How many resources have each fate."""
    counts: Counter[Fate] = Counter()
    for line in lines:
        counts[line.told.fate] += line.times
    return counts


class _Account:
    def __init__(self, sent: Sequence[Sent], passage: Passage, delivered: Container[str] | None) -> None:
        self._sent = sent
        self._passage = passage
        self._delivered = delivered
        self._traces = traces(sent, passage.answer.traced)
        self._owner = _owners([(one, self._traces.get(place)) for place, one in enumerate(sent)])
        self._came: dict[str, list[Item]] = defaultdict(list)
        for item in passage.came:
            self._came[item.key].append(item)
        self._fates = Fates(passage)
        self._told: dict[str, Told] = {}

    @property
    def _is_traced(self) -> bool:
        """True where the connector accounts for each resource itself: then what it leaves out has no other excuse."""
        return bool(self._passage.answer.traced)

    def lines(self) -> Iterator[Line]:
        """See `account`."""
        covered: set[str] = set()
        for place, one in enumerate(self._sent):
            told = self._of(one, self._traces.get(place))
            self._told.setdefault(one.key, told)
            covered.update(told.into)
            yield Line(one.key, one.type, self._section(one, self._traces.get(place)), told, one.times)
        for key, item in self._fates.shown.items():
            if (reference := reference_of(item)) not in covered:
                told = Told(Fate.UNEXPLAINED, "it is shown, and came of nothing that was sent", into=(reference,))
                yield Line(key, item.type, item.section, told)

    def _section(self, one: Sent, trace: Traced | None) -> Section | None:
        """That of its type; of what it became, for types that only the source knows."""
        items = (self._came[key][0] for key in (trace.became if trace else ()) if key in self._came)
        return SECTION_OF_TYPE.get(one.type) or next((item.section for item in items), None)

    def _of(self, one: Sent, trace: Traced | None) -> Told:
        if trace is not None:
            return self._carried(one, trace) if trace.became else self._left_out(one, trace.reason)
        if one.holder:
            return self._contained(one)
        if not self._is_traced and one.key in self._came:
            return self._fates.of(_version(one, self._came[one.key]))
        return self._absent(one)

    def _carried(self, one: Sent, trace: Traced) -> Told:
        """What became of the items that carry what it said; the best of their fates is its own."""
        items = [_version(one, self._came[key]) for key in trace.became if key in self._came]
        if not items:
            said = f"it is said to have become {', '.join(trace.became)}, and no such item came"
            return Told(Fate.UNEXPLAINED, said, CONNECTOR)
        found = sorted((self._as_part_of(one, item) for item in items), key=lambda told: _ORDER[told.fate])
        into = tuple(dict.fromkeys(reference for told in found for reference in told.into))
        return replace(found[0], into=into, why="; ".join(filter(None, (found[0].why.rstrip("."), trace.reason))))

    def _as_part_of(self, one: Sent, item: Item) -> Told:
        owner = self._owner.get(item.key, one.key)
        if one.holder and owner == one.holder:
            return self._fates.within(item, one.local_id)
        told = self._fates.of(item)
        if told.fate is Fate.SHOWN and owner != one.key:
            return replace(told, fate=Fate.GROUPED, why=f"told by what became of {owner}", rule=CONNECTOR)
        return told

    def _left_out(self, one: Sent, reason: str) -> Told:
        """The connector's reason; where its section was not asked for, that of whoever decided so."""
        section = SECTION_OF_TYPE.get(one.type)
        if section is not None and not self._is_asked(section):
            return self._fates.unasked(section)
        if not reason:
            why = "the connector says neither what it became nor why it became nothing"
            return Told(Fate.UNEXPLAINED, why, CONNECTOR)
        return Told(Fate.NOT_SHOWN, reason, CONNECTOR)

    def _contained(self, one: Sent) -> Told:
        """A contained resource of which the connector says nothing: it shares the fate of what contains it."""
        holder = self._told[one.holder]
        if not holder.into:
            return holder
        if self._is_traced or one.holder not in self._came:
            return Told(Fate.UNEXPLAINED, _LOST)
        item = self._came[one.holder][0]
        if one.local_id.startswith("?") or one.local_id in self._passage.contained.get(id(item), ()):
            return self._fates.within(item, one.local_id)
        return Told(Fate.UNEXPLAINED, "the connector took it out of what contains it, and doesn't say why", CONNECTOR)

    def _absent(self, one: Sent) -> Told:
        """A resource that became no item, and of which the connector says nothing."""
        section = SECTION_OF_TYPE.get(one.type)
        if one.type == _MESSAGE_TYPE and not self._is_traced:
            return Told(Fate.NOT_SHOWN, _MESSAGE, NO_SECTION)
        if not self._passage.came and self._passage.outcome not in (Outcome.ANSWERED, Outcome.PARTIAL):
            return self._fates.unanswered()
        if section is not None and not self._is_asked(section):
            return self._fates.unasked(section)
        if self._delivered is not None and one.has_id and one.key not in self._delivered:
            return self._never_came(one, section)
        if self._is_traced:
            return self._gap(section) or Told(Fate.UNEXPLAINED, _LOST)
        if section is None and one.type not in SUPPORTING_TYPES:
            return Told(Fate.NOT_SHOWN, _UNHOLDABLE, NO_SECTION)
        if Gap.HELD_BACK in self._passage.gaps.values() and is_broken(one.resource):
            return Told(Fate.NOT_SHOWN, "its shape isn't R4's, so it is held back", f"gap.{Gap.HELD_BACK}")
        return self._gap(section) or Told(Fate.UNEXPLAINED, _LOST)

    def _never_came(self, one: Sent, section: Section | None) -> Told:
        """No call of the connector was answered with it."""
        if section is None:
            why = _UNBROUGHT if one.type in SUPPORTING_TYPES else _UNHOLDABLE
            return Told(Fate.NOT_SHOWN, why, NEVER_ASKED_FOR)
        if one.type == "Patient" and not _is_of(one.resource, self._passage.ask.nhs_number):
            return Told(Fate.NOT_SHOWN, _OTHER_PATIENT, NEVER_ASKED_FOR)
        why = "its section was asked for, and no call of the connector brings it"
        return self._gap(section) or Told(Fate.UNEXPLAINED, why)

    def _gap(self, section: Section | None) -> Told | None:
        """The gap that accounts for what is missing. Where the type doesn't tell the section, any section's may."""
        gaps = self._passage.gaps
        for short in gaps if section is None else {section} & gaps.keys():
            if gaps[short] in _BROKEN_SEARCHES:
                detail = f" ({scrub(self._passage.answer.detail)})" if self._passage.answer.detail else ""
                why = f"{short} can't be read as complete: {gaps[short]}{detail}"
                return Told(Fate.NOT_SHOWN, why, f"gap.{gaps[short]}")
        return None

    def _is_asked(self, section: Section) -> bool:
        return section in self._passage.ask.sections or section is Section.DEMOGRAPHICS


def _owners(sent: Sequence[tuple[Sent, Traced | None]]) -> dict[str, str]:
    """By item, the one resource that it is of: that of the same key, else the first that became it, and of contained
    ones only where there is no other."""
    became = [(one, key) for one, trace in sent for key in (trace.became if trace else ())]
    ranked = sorted(became, key=lambda pair: (pair[0].key != pair[1], bool(pair[0].holder)))
    owners: dict[str, str] = {}
    for one, key in ranked:
        owners.setdefault(key, one.key)
    return owners


def _version(one: Sent, items: Sequence[Item]) -> Item:
    """Of several items under one key, the one that this version became: it says when it was changed."""
    same = [item for item in items if _changed(item.resource) == _changed(one.resource)]
    return same[0] if len(same) == 1 else items[min(one.version, len(items) - 1)]


def _changed(resource: Resource) -> Any:
    meta = resource.get("meta")
    return meta.get("lastUpdated") if isinstance(meta, dict) else None


def _is_of(patient: Resource, nhs_number: str) -> bool:
    try:
        return carries(patient, nhs_number)
    except (AttributeError, TypeError):
        return False
