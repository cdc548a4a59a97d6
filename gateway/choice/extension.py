"""Prolonging a permission: somebody is asked again, and it never lasts for ever."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

from gateway.choice.asked import Asked
from gateway.choice.model import Basis, Permission
from gateway.choice.reasons import ReasonCode
from gateway.choice.refusals import permission_not_extendable, permission_replaced
from gateway.errors import BadRequest, Refusal

DEFAULT_LONGEST: Final[Mapping[Basis, timedelta]] = MappingProxyType(
    {Basis.PATIENT_AGREED: timedelta(hours=24), Basis.BEST_INTERESTS: timedelta(hours=4)}
)
"""In all, from the first yes. After a day the patient is asked the whole question again; after four hours somebody can
be asked, or another clinician judges anew."""


@dataclass(frozen=True, slots=True)
class Extension:
    """What happened since: the patient was asked again, or why they still can't be."""

    patient_asked: bool = False
    reason: str = ""
    reason_code: ReasonCode | None = None

    def of(self, before: Permission, reason_before: str) -> Asked:
        """The permission that this asks for. Raises BadRequest where nobody was asked, or nothing new is said."""
        if before.basis is Basis.PATIENT_AGREED:
            if not self.patient_asked:
                raise _nobody_asked()
            return Asked(before.basis, before.scope, self.reason, self.reason_code)
        if self.patient_asked:
            raise _could_be_asked()
        if _words(self.reason) == _words(reason_before):
            raise _nothing_new()
        return Asked(before.basis, before.scope, self.reason, self.reason_code or _code(before))


def check_newest(before: Permission, newest: Permission | None) -> None:
    """Raises Refusal where another permission has taken its place, or none holds: what was asked last counts."""
    if newest is None:
        raise permission_not_extendable()
    if newest.id != before.id:
        raise permission_replaced()


def begun_at(permission: Permission, about: Iterable[Permission]) -> datetime:
    """When the first of the chain was granted. Raises Refusal where one of the chain isn't among those `about` the
    patient: without its beginning nobody can say how long it has lasted."""
    by_id = {each.id: each for each in about}
    first = permission
    while first.extends is not None:
        found = by_id.pop(first.extends, None)  # each link once: a chain that bites its tail ends here
        if found is None or found.caller != permission.caller:
            raise permission_not_extendable()
        first = found
    return first.granted_at


def prolonged_until(before: Permission, until: datetime, begun: datetime, longest: timedelta) -> datetime:
    """`until`, but no later than `longest` after it was `begun`. Raises Refusal where that time is used up."""
    ceiling = begun + longest
    if before.expires_at >= ceiling:
        hours = longest.total_seconds() / 3600
        raise Refusal(
            f"This permission already lasts as long as one may in all ({hours:g} hours). Ask the patient anew, and get "
            "a new one with POST /permissions.",
            rule="permission.longest",
        )
    return min(max(until, before.expires_at), ceiling)


def _code(before: Permission) -> ReasonCode | None:
    return ReasonCode(before.reason_code) if before.reason_code else None


def _words(text: str) -> list[str]:
    return text.casefold().split()


def _nobody_asked() -> BadRequest:
    return BadRequest(
        'Ask the patient again, and say so: "patientAsked": true. Where they can\'t answer any more, a doctor or nurse '
        'may act in their best interests: POST /permissions with "basis": "best-interests".',
        rule="permission.not-asked-again",
        expression="patientAsked",
    )


def _could_be_asked() -> BadRequest:
    return BadRequest(
        "Where the patient can be asked again, their word counts: POST /permissions with "
        '"basis": "patient-agreed". Best-interests access is prolonged with a new reason alone.',
        rule="permission.patient-can-answer",
        expression="patientAsked",
    )


def _nothing_new() -> BadRequest:
    return BadRequest(
        "Best-interests access is prolonged for a new reason: why the patient still can't be asked, and what it is "
        "needed for now. A privacy officer will read it.",
        rule="permission.reason-not-new",
        expression="reason",
    )
