"""A permission that holds, in plain words: who may look, since when and until when, and on whose word."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gateway.audit.report.moments import when
from gateway.audit.report.told import person
from gateway.audit.report.words import SOMEBODY, clean
from gateway.choice.held import Given
from gateway.choice.model import Basis, Scope


@dataclass(frozen=True, slots=True)
class ToldGiven:
    """`who` is a name, or that it isn't known; `job` and `place` are "" where they aren't."""

    id: str
    who: str
    job: str
    place: str
    since: str
    until: str
    on_word: str
    is_best_interests: bool


def told_given(given: Given, place_of: Callable[[str], str]) -> ToldGiven:
    """`place_of` names an organisation by its ODS code, where the row doesn't."""
    permission, holder = given.permission, person(given.who)
    return ToldGiven(
        id=permission.id,
        who=(holder.name if holder else "") or SOMEBODY.capitalize(),
        job=holder.role if holder else "",
        place=(holder.organisation if holder else "") or clean(place_of(permission.organisation)),
        since=when(permission.granted_at),
        until=when(permission.expires_at),
        on_word=_on_word(permission.basis, permission.scope),
        is_best_interests=permission.basis is Basis.BEST_INTERESTS,
    )


def _on_word(basis: Basis, scope: Scope) -> str:
    if basis is Basis.BEST_INTERESTS:
        return "They thought that it was best for you. A privacy officer checks this."
    if scope is Scope.INCLUDING_SENSITIVE:
        return "You said yes, and to very private things too."
    return "You said yes."
