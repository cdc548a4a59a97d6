"""An explanation in plain text, for whoever has to answer "why could they see that?"."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.disclosure.model import BASIS_NAMES, LawfulBasis
from gateway.explain.model import Event, Explanation, Refused, Rule, SectionSaid


def as_text(explanation: Explanation) -> str:
    """All of it, a block for each row."""
    blocks = ["\n".join(_event(event)) for event in explanation.events]
    return "\n\n".join([f"Request {explanation.request_id}", *blocks])


def _event(event: Event) -> Iterator[str]:
    yield f"Row {event.seq}: {event.kind} at {event.at.isoformat()}, {event.door}" + (
        f", answered {event.status}" if event.status else ""
    )
    yield from map("  {}".format, _lines(event))


def _lines(event: Event) -> Iterator[str]:
    yield _who(event)
    if event.nhs_number:
        yield f"Patient: NHS number {event.nhs_number}"
    yield _policy(event)
    if event.opened_by is not None:
        yield f"Door: opened by {_rule(event.opened_by)}"
    yield from _authority(event)
    if event.refused is not None:
        yield from _refused(event.refused)
    yield from _shown(event)
    for source, line in event.sources.items():
        gaps = "; ".join(f"{section}: {why}" for section, why in line.gaps.items())
        said = f"Source {source}: {line.outcome}" + (f" ({line.stage})" if line.stage else "")
        yield said + (f", missing {gaps}" if gaps else "") + (f" [{line.detail}]" if line.detail else "")
    for alarm in event.alarms:
        yield f"Alarm: {alarm}"
    if event.ended is not None:
        ended = f"it ended in row {event.ended}" if event.ended else "no row says how it ended: nothing was shown"
        yield f"This is the intent, written before anybody was asked; {ended}."


def _who(event: Event) -> str:
    who = event.who
    if who is None:
        return "Who: nobody who is known"
    name = who.name or "a person without a name"
    role = f"{who.role or 'no role'} (job role {who.job_role_code}, role profile {who.role_profile_id})"
    where = f"{who.organisation_name} ({who.organisation}, {who.organisation_type})"
    return f"Who: {name}, user {who.user_id}, as {role} at {where}, through {who.client_id}, for {who.purpose}"


def _policy(event: Event) -> str:
    if not event.policy_hash:
        return "Policy: no policy decided"
    if event.policy_found:
        return f"Policy: {event.policy_hash}, loaded from the archive of that day"
    return (
        f"Policy: {event.policy_hash}, which isn't in this store's archive. Rules are named by their ids alone; find "
        "the folder of policies with this hash to read them."
    )


def _authority(event: Event) -> Iterator[str]:
    if event.choice is not None:
        since = f", recorded {event.choice.recorded_at.isoformat()}" if event.choice.recorded_at else " (none recorded)"
        stated = f", stated by the {event.choice.stated_by}" if event.choice.stated_by else ""
        yield f"Sharing choice: {event.choice.choice}{since}{stated}"
    if event.permission is not None:
        granted = event.permission
        span = (
            f", from {granted.granted_at.isoformat()} to {granted.expires_at.isoformat()}"
            if granted.granted_at and granted.expires_at
            else ", which this store doesn't hold any more"
        )
        ended = f", withdrawn {granted.withdrawn_at.isoformat()}" if granted.withdrawn_at else ""
        yield f"Permission: {granted.basis}, {granted.scope}{span}{ended} ({granted.id})"
        if granted.reason_code or granted.reason:
            yield f"Reason given: {' '.join(filter(None, (granted.reason_code, granted.reason)))}"
    if event.lawful is not None:
        lawful = event.lawful
        basis = BASIS_NAMES[LawfulBasis(lawful.basis)] if lawful.basis in list(LawfulBasis) else lawful.basis
        yield f"Authority: {basis}: {lawful.reference}; to {lawful.recipient}; under the policy {lawful.policy}"
        if event.lawful_reason:
            yield f"Reason given: {event.lawful_reason}"
        if lawful.opted_out:
            yield "The patient had opted out, which doesn't bar what the law requires."
    if event.relationship:
        yield f"Evidence of a care relationship: {event.relationship}"
    if event.cases:
        yield f"Cases opened or moved at the privacy officer's desk: {', '.join(event.cases)}"


def _refused(refused: Refused) -> Iterator[str]:
    yield f"Refused by {_rule(refused.rule)}"
    if refused.detail:
        yield f"In detail: {refused.detail}"
    if refused.possible:
        yield f"What would have made it possible: {refused.possible}"
    if refused.open_to:
        yield f"The door is open to: {', '.join(refused.open_to)}"


def _shown(event: Event) -> Iterator[str]:
    yield from map(_section, event.sections)
    if event.supporting:
        yield f"Shown besides, since the others refer to it: {event.supporting}"
    if event.total is not None:
        yield f"Number of matches that was told: {event.total}"
    for rule in event.held_back:
        yield f"Held back, {rule.count}: {_rule(rule)}"
    for rule in event.outlined:
        yield f"Shown in outline only, {rule.count}: {_rule(rule)}"
    if event.never:
        yield f"What the answer said of itself: {' '.join(event.never)}"


def _section(said: SectionSaid) -> str:
    parts = [f"{said.shown} shown" if said.asked else "not asked for"]
    if said.level and said.rule is not None:
        own = f", at the patient's own practice {said.at_own_practice}" if said.at_own_practice else ""
        parts.append(f"unlabelled items {said.level}{own} by {said.rule.id}")
    if said.missing_from:
        parts.append(f"not whole from {', '.join(said.missing_from)}")
    return f"Section {said.section}: {'; '.join(parts)}"


def _rule(rule: Rule) -> str:
    title = f" ({rule.title})" if rule.title else ""
    return f"{rule.id}{title}" + (f": {rule.why}" if rule.why else "")
