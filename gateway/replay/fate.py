"""What became of one item on its way to one caller: where it is shown, or which step left it out and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from connectors.sdk.model import SECTION_OF_TYPE, Gap, Item, Section
from gateway.allergies import is_no_known_allergy
from gateway.audit.scrub import scrub
from gateway.guard import TOLD_DROPPED, TOLD_QUARANTINED
from gateway.policy.decide import best_circumstances
from gateway.policy.filter import UNSHOWABLE
from gateway.policy.model import Circumstances, Decision
from gateway.policy.model import Shown as HowFar
from gateway.register.whereabouts import told as told_of_hold
from gateway.replay.passage import Passage
from gateway.same_as import told_by_statements


class Fate(StrEnum):
    """What became of one resource, the best first."""

    SHOWN = "shown"
    GROUPED = "grouped into"
    SUPPORTING = "supporting"
    NOT_SHOWN = "not shown"
    UNEXPLAINED = "unexplained"


@dataclass(frozen=True, slots=True)
class Told:
    """A fate with its reason. `rule` is the stable name of what decided (a policy rule's id, `guard.…`, `gap.…`,
    `connector`), `into` the references of the resources of the output."""

    fate: Fate
    why: str = ""
    rule: str = ""
    into: tuple[str, ...] = ()


FAULT: Final = "fault:"
"""How the fan-out marks what a connector itself got wrong (`Answer.detail`): that explains no resource's absence."""
_UNREFERRED: Final = "who or what nothing that is shown refers to"
_NO_KNOWN: Final = "no known allergy: never said where a source may hold allergies that it didn't send"
_NEWER: Final = "another version of it, changed later, stands in its place"
_UNTRUE: Final = "what may be shown of it would not be valid R4, or would not be true"
_OUTSIDE: Final = "the question, or the scopes of the application's token, are not about it"
_ORPHAN: Final = "contained in what is shown, where nothing that is shown refers to it"


class Fates:
    """The fates of the items of one passage."""

    def __init__(self, passage: Passage) -> None:
        self._passage = passage
        self._policy = passage.steps.view.policy
        self._passed = {id(item) for item in passage.passed}
        self._merged = {id(item) for item in passage.merged}
        self._kept = {id(item) for item in passage.record.items} if passage.record else set()
        shown = passage.shown
        self.shown = {item.key: item for item in shown.items} if shown else {}
        """What is shown, by the source's own key."""
        self._medicines = told_by_statements(shown.items) if shown else {}
        self._groups = {
            reference_of(member): group.reason for group in (shown.groups if shown else ()) for member in group.members
        }
        self._judged = (
            passage.steps.view.judged(passage.record, passage.steps.caller, passage.steps.permission)
            if passage.record
            else None
        )

    def of(self, item: Item) -> Told:
        """What became of an item that the connector handed over."""
        shown = self.shown.get(item.key) if id(item) in self._merged else None
        if shown is None:
            return self._lost(item)
        reference = reference_of(shown)
        into = (reference,)
        if shown.section is None:
            return Told(Fate.SUPPORTING, into=into)
        if reference in self._medicines:
            return Told(Fate.GROUPED, f"one medicine with {self._medicines[reference]}", "medicine", into)
        if reference in self._groups:
            return Told(Fate.GROUPED, self._groups[reference], "same-as", into)
        decision = self._policy.decide(self._circumstances(item))
        if decision.shown is HowFar.OUTLINE:
            return Told(Fate.SHOWN, f"in outline: {decision.why}", decision.rule, into)
        return Told(Fate.SHOWN, into=into)

    def within(self, holder: Item, local_id: str) -> Told:
        """What became of a contained resource of an item: it is in the item's resource, or left out of it."""
        told = self.of(holder)
        if not told.into:
            return told
        parts = [part for part in self.shown[holder.key].resource.get("contained", ()) if isinstance(part, dict)]
        named = not local_id.startswith("?")
        if any(part.get("id") == local_id or not named for part in parts):
            return Told(Fate.GROUPED, "contained in it", "contained", told.into)
        return self._left_out_of(holder, local_id)

    def unasked(self, section: Section) -> Told:
        """Why a section was not asked for: the role never sees it, or the organisation doesn't offer it."""
        caller, view = self._passage.steps.caller, self._passage.steps.view
        if section in view.sections_for(caller):
            return Told(Fate.NOT_SHOWN, f"{section} is not among the sections that the organisation offers", "sections")
        source_type = view.source_types[self._passage.answer.source]
        return _withheld(
            self._policy.decide(best_circumstances(caller.role, caller.organisation_type, section, source_type))
        )

    def unanswered(self) -> Told:
        """Why nothing of the answer is used."""
        answer = self._passage.answer
        detail = f" ({scrub(answer.detail)})" if answer.detail else ""
        if answer.detail.startswith(FAULT):
            return Told(Fate.UNEXPLAINED, f"the connector itself broke{detail}", "fault")
        return Told(
            Fate.NOT_SHOWN,
            f"nothing of the answer is used: the source {answer.told}{detail}",
            f"answer.{answer.outcome}",
        )

    def _lost(self, item: Item) -> Told:
        """At which step an item that isn't shown was left out."""
        passage = self._passage
        if id(item) not in self._passed:
            return self._guarded()
        if id(item) not in self._merged and any(other.key == item.key for other in passage.merged):
            return Told(Fate.NOT_SHOWN, _NEWER, "merge.newest")
        if id(item) not in self._merged and item.section is Section.ALLERGIES and is_no_known_allergy(item):
            return Told(Fate.NOT_SHOWN, _NO_KNOWN, "merge.no-known-allergy")
        if passage.hold is not None and id(item) not in self._kept:
            return Told(Fate.NOT_SHOWN, told_of_hold(passage.hold), passage.hold.value)
        if passage.refused is not None:
            return Told(Fate.NOT_SHOWN, passage.refused.told, passage.refused.rule)
        if id(item) not in self._kept:
            return Told(Fate.UNEXPLAINED, "it passed the guard, and isn't in the record")
        return self._unreferred(item) if item.section is None else self._withheld(item)

    def _guarded(self) -> Told:
        alarms = [alarm.kind for alarm in self._passage.alarms]
        told = TOLD_DROPPED if self._passage.passed else TOLD_QUARANTINED
        return Told(Fate.NOT_SHOWN, f"the source {told}", f"guard.{alarms[0] if alarms else Gap.HELD_BACK}")

    def _withheld(self, item: Item) -> Told:
        decision = self._policy.decide(self._circumstances(item))
        if decision.shown is HowFar.WITHHELD:
            return _withheld(decision)
        look, grants = self._passage.shown and self._passage.shown.look, self._passage.steps.caller.grants
        if (look and item.section not in look.sections) or not grants.lets_read_whole(item.type):
            return Told(Fate.NOT_SHOWN, _OUTSIDE, "question")
        return Told(Fate.NOT_SHOWN, _UNTRUE, UNSHOWABLE)

    def _unreferred(self, item: Item) -> Told:
        """A supporting item: its own labels withhold it beside what refers to it, or nothing that is shown does."""
        for referrer in self._referrers(item):
            circumstances = self._circumstances(referrer)
            decision = self._policy.decide(replace(circumstances, labels=circumstances.labels | item.labels))
            if decision.shown is HowFar.WITHHELD:
                return _withheld(decision)
        return Told(Fate.NOT_SHOWN, _UNREFERRED, "supporting")

    def _referrers(self, target: Item) -> Iterator[Item]:
        """The items with a section that are shown and refer to it."""
        reference = reference_of(target)
        for item in self._passage.merged:
            references = item.findings.references if item.findings else ()
            is_shown = item.section is not None and item.key in self.shown
            if is_shown and any(one.get("reference") == reference for one in references):
                yield item

    def _left_out_of(self, holder: Item, local_id: str) -> Told:
        circumstances = self._circumstances(holder)
        parts: list[Any] = holder.resource.get("contained", [])
        kind = next((str(part.get("resourceType")) for part in parts if part.get("id") == local_id), "")
        section = SECTION_OF_TYPE.get(kind, circumstances.section)
        for decision in map(self._policy.decide, (circumstances, replace(circumstances, section=section))):
            if decision.shown is HowFar.OUTLINE:
                return Told(Fate.NOT_SHOWN, f"left out of the outline: {decision.why}", decision.rule)
            if decision.shown is HowFar.WITHHELD:
                return _withheld(decision)
        return Told(Fate.NOT_SHOWN, _ORPHAN, "contained")

    def _circumstances(self, item: Item) -> Circumstances:
        if self._judged is None:
            raise AssertionError("nothing is judged before it is in a record")
        return self._judged(item.section or Section.DEMOGRAPHICS, item.source, item.labels)


def reference_of(item: Item) -> str:
    """How the output refers to it."""
    return f"{item.type}/{item.sealed_id}"


def _withheld(decision: Decision) -> Told:
    return Told(Fate.NOT_SHOWN, decision.why, decision.rule)
