"""Explains each row of a request by the rules of that day: the policy is loaded from its archive by the row's hash."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from connectors.sdk.model import Section
from gateway.audit.row import Kind, Row
from gateway.choice.model import Choice
from gateway.disclosure.told import left_out
from gateway.explain.circumstances import circumstances_of, place_of
from gateway.explain.doors import action_of
from gateway.explain.model import ChoiceThen, Event, Explanation, Granted, Refused, Rule, SectionSaid
from gateway.explain.sentences import said_of
from gateway.policy.archive import open_archive
from gateway.policy.decide import DOORS, Policy
from gateway.policy.matrix import open_to
from gateway.policy.model import Circumstances, Shown
from gateway.policy.rules import DEFAULT_RULE
from gateway.policy.told import never_shown_in
from gateway.release import SUPPORTING
from gateway.sealed import Sealer, Unsealable
from gateway.store.interface import Kept, Store

LEVELS: Final = {Shown.WHOLE: "whole", Shown.OUTLINE: "in outline", Shown.WITHHELD: "withheld"}
_LOOKS: Final = frozenset({Kind.RELEASE, Kind.DISCLOSURE})
_ENDS: Final = frozenset({Kind.RELEASE, Kind.DISCLOSURE, Kind.REFUSAL, Kind.PERSON_ANSWERED})
_BEGINS: Final = frozenset({Kind.INTENT, Kind.PERSON_SOUGHT})


class Explainer:
    """Reads a store and explains. With the master key (`sealer`) it names the patient, and reads the reasons. `known`
    is a policy that is loaded already."""

    def __init__(self, store: Store, sealer: Sealer | None = None, known: Policy | None = None) -> None:
        self._store = store
        self._sealer = sealer
        self._policies: dict[str, Policy | None] = {known.hash: known} if known is not None else {}

    async def explain(self, request_id: str, rows: Sequence[Kept]) -> Explanation:
        """`rows` are those of the request, in order."""
        ends = {each.row.intent: each.seq for each in rows if each.row.kind in _ENDS and each.row.intent}
        return Explanation(request_id=request_id, events=[await self._event(each, ends) for each in rows])

    async def _event(self, kept: Kept, ends: Mapping[int, int]) -> Event:
        row = kept.row
        policy = await self._policy(row.policy_hash)
        return Event(
            seq=kept.seq,
            kind=row.kind.value,
            at=row.at,
            door=row.door,
            status=row.status,
            policy_hash=row.policy_hash,
            policy_found=policy is not None,
            who=row.who,
            nhs_number=self._patient(row),
            opened_by=_opened_by(row, policy),
            choice=await self._choice(row),
            permission=await self._permission(row),
            lawful=row.lawful,
            lawful_reason=self._text(row.lawful.reason, row.lawful.id) if row.lawful else "",
            relationship=row.relationship,
            reason_code=row.reason_code,
            cases=row.cases,
            sections=_sections(row, policy) if row.kind in _LOOKS else [],
            supporting=row.seen.get(SUPPORTING, 0),
            total=row.total,
            held_back=[_rule(rule, policy, count) for rule, count in sorted(row.withheld.items())],
            outlined=[_rule(rule, policy, count) for rule, count in sorted(row.outlined.items())],
            never=_never(row, policy) if row.kind in _LOOKS else [],
            sources=row.sources,
            alarms=[f"{alarm.source}: {alarm.kind} ({alarm.count})" for alarm in row.alarms],
            refused=_refused(row, policy) if row.kind is Kind.REFUSAL else None,
            ended=ends.get(kept.seq, 0) if row.kind in _BEGINS else None,
        )

    async def _policy(self, policy_hash: str) -> Policy | None:
        """As it was. None where nobody kept it. Raises PolicyProblem where what was kept is something else."""
        if policy_hash not in self._policies:
            content = await self._store.policy(policy_hash)
            opened = asyncio.to_thread(open_archive, content, policy_hash) if content is not None else None
            self._policies[policy_hash] = await opened if opened is not None else None
        return self._policies[policy_hash]

    def _patient(self, row: Row) -> str:
        if self._sealer is None or row.sealed_patient is None:
            return ""
        return self._sealer.open_patient(row.sealed_patient)

    def _text(self, sealed: str, bound_to: str) -> str:
        """What a person wrote, for whoever has the key; "" also for what can't be opened any more."""
        try:
            return self._sealer.open_text(sealed, bound_to) if self._sealer else ""
        except Unsealable:
            return ""

    async def _choice(self, row: Row) -> ChoiceThen | None:
        """The newest that was recorded by then."""
        if row.patient is None:
            return None
        before = [each for each in await self._store.choices(row.patient) if each.recorded_at <= row.at]
        if not before:
            return ChoiceThen(choice=Choice.OPTED_IN.value)
        newest = before[-1]
        return ChoiceThen(choice=newest.choice.value, recorded_at=newest.recorded_at, stated_by=newest.stated_by.value)

    async def _permission(self, row: Row) -> Granted | None:
        if row.permission is None:
            return None
        found = await self._store.permission(row.permission)
        if found is None:
            return Granted(id=row.permission, basis=row.basis or "", scope=row.scope or "")
        return Granted(
            id=found.id,
            basis=found.basis.value,
            scope=found.scope.value,
            granted_at=found.granted_at,
            expires_at=found.expires_at,
            withdrawn_at=found.withdrawn_at,
            reason_code=found.reason_code,
            reason=self._text(found.reason, found.id),
        )


def _rule(rule_id: str, policy: Policy | None, count: int = 0) -> Rule:
    """In the words of that day's policy; in the gateway's own for what is no policy."""
    if policy is not None and rule_id in policy.rules:
        rule = policy.rules[rule_id]
        return Rule(id=rule_id, title=rule.title, why=rule.why, count=count)
    said = said_of(rule_id)
    return Rule(id=rule_id, why=said[0] if said else "", count=count)


def _opened_by(row: Row, policy: Policy | None) -> Rule | None:
    """The rule that opened the door."""
    action, place = action_of(row), place_of(row)
    if policy is None or action is None or place is None or row.kind is Kind.REFUSAL:
        return None
    decision = policy.may(action, *place)
    return _rule(decision.rule, policy) if decision.shown is Shown.WHOLE else None


def _sections(row: Row, policy: Policy | None) -> list[SectionSaid]:
    at = circumstances_of(row, policy) if policy is not None else None
    return [_section(row, policy, at, section) for section in Section]


def _section(row: Row, policy: Policy | None, at: Circumstances | None, section: Section) -> SectionSaid:
    level, rule, at_own = "", None, ""
    if policy is not None and at is not None:
        decision = policy.decide(replace(at, section=section))
        own = policy.decide(replace(at, section=section, own_practice=True))
        level, rule = LEVELS[decision.shown], _rule(decision.rule, policy)
        at_own = LEVELS[own.shown] if own.shown is not decision.shown else ""
    return SectionSaid(
        section=section.value,
        asked=section.value in row.sections,
        shown=row.seen.get(section.value, 0),
        level=level,
        rule=rule,
        at_own_practice=at_own,
        missing_from=[source for source, line in row.sources.items() if section.value in line.gaps],
    )


def _never(row: Row, policy: Policy | None) -> list[str]:
    """What this role and authority are never shown, in the words in which the answer said it."""
    if policy is None:
        return []
    if row.lawful is not None:
        named = policy.disclosures.get(row.lawful.policy)
        return left_out(policy, named) if named else []
    at = circumstances_of(row, policy)
    return never_shown_in(policy, at) if at is not None else []


def _refused(row: Row, policy: Policy | None) -> Refused:
    action, place = action_of(row), place_of(row)
    if policy is not None and action in DOORS and place is not None:
        decision = policy.may(action, *place)
        rule = _rule(row.rule, policy)
        possible = policy.remedies.get(action, "")
        if decision.rule == row.rule or row.rule == DEFAULT_RULE:
            return Refused(rule=rule, possible=possible, detail=row.detail, open_to=open_to(policy, action))
    said = said_of(row.rule)
    return Refused(rule=_rule(row.rule, policy), possible=said[1] if said else "", detail=row.detail)
