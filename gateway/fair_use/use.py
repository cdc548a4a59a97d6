"""Fair use, decided as soon as the caller is known and before anything else happens on their behalf."""

from __future__ import annotations

from typing import Final, Protocol

from gateway.caller.model import Caller, KnownCaller, Role
from gateway.errors import TooMany
from gateway.fair_use.count import Counts, Exceeded, Scope, Use
from gateway.fair_use.storms import Storms

_WHAT: Final = {
    Use.REQUEST: "requests",
    Use.PERSON_SEARCH: "searches for a person by name",
    Use.BEST_INTERESTS: "permissions in a patient's best interests",
}
_WHO: Final = {
    Scope.PERSON: "You have made",
    Scope.CLIENT_IN_ORGANISATION: "Those in your organisation who use this application have made",
    Scope.CLIENT: "Those who use this application have made",
    Scope.ORGANISATION: "Those who work in your organisation have made",
}


class Alarm(Protocol):
    """Tells a privacy officer of somebody who asks too much."""

    def exceeded(self, caller: Caller, request_id: str, detail: str) -> None:
        """Returns at once."""
        ...


class FairUse:
    """Counts, refuses, journals the refusal, and tells the privacy officer of a person who goes on and on."""

    def __init__(self, counts: Counts, storms: Storms, alarm: Alarm) -> None:
        self._counts = counts
        self._storms = storms
        self._alarm = alarm

    async def demand(self, caller: Caller, request_id: str, door: str, *uses: Use) -> None:
        """Count one request of these uses. Raises TooMany where it would go over a limit, and AuditUnavailable where
        that refusal can't be journalled. A refused request isn't counted: who stops asking is heard again."""
        exceeded = self._counts.take(caller, uses)
        if exceeded is None:
            return
        error = _too_many(exceeded)
        if exceeded.scope is Scope.PERSON and caller.role is not Role.PATIENT:  # a patient is nobody's staff
            self._alarm.exceeded(caller, request_id, f"over fair use: {error.detail}")
        await self._storms.refused(error, caller, request_id, door)
        raise error

    async def demand_of_refused(self, known: KnownCaller, request_id: str, door: str) -> None:
        """Count one request of somebody who is known and may not ask, before that refusal is a row of its own: without
        a limit, a good token of somebody without a role could fill the journal.

        Raises as `demand` does. No privacy officer is told: such a person is shown nothing, however often they ask.
        """
        exceeded = self._counts.take_of_refused(known)
        if exceeded is not None:
            error = _too_many(exceeded)
            await self._storms.refused(error, known, request_id, door)
            raise error

    async def aclose(self) -> None:
        """Journal the refusals that were only counted until now."""
        await self._storms.aclose()


def _too_many(exceeded: Exceeded) -> TooMany:
    what, seconds = _WHAT[exceeded.use], exceeded.seconds
    return TooMany(
        f"{_WHO[exceeded.scope]} more {what} than fair use allows, so nothing was done. Try again in {seconds} "
        f"second{'' if seconds == 1 else 's'}.",
        rule=f"fair-use.{exceeded.scope.replace('_', '-')}",
        detail=f"{what}: {exceeded.limit}",
        retry_after=seconds,
    )
