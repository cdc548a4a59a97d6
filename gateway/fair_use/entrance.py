"""The first step of whatever is asked: who asks, and whether they ask too much. Who may not ask is a row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.caller.refusals import CallerRefused

if TYPE_CHECKING:
    from gateway.audit.journal import Journal
    from gateway.caller.identify import Callers
    from gateway.caller.model import Caller, KnownCaller
    from gateway.caller.presented import Presented
    from gateway.errors import GatewayError
    from gateway.fair_use.count import Use
    from gateway.fair_use.use import FairUse


@dataclass(frozen=True, slots=True)
class Entrance:
    """Every request comes in here, whichever door it is for. `door` is the route's method and template."""

    callers: Callers
    fair_use: FairUse
    journal: Journal

    async def admit(self, presented: Presented, request_id: str, door: str, *uses: Use) -> Caller:
        """The caller, with one request of these uses counted. Raises as `identify` does, and TooMany."""
        caller = await self.identify(presented, request_id, door)
        await self.fair_use.demand(caller, request_id, door, *uses)
        return caller

    async def identify(self, presented: Presented, request_id: str, door: str) -> Caller:
        """Who it is, not counted yet. Somebody who is known and may not ask is a row as well.

        Raises as `Callers.identify` does; TooMany in the refusal's place where who may not ask goes on asking.
        """
        try:
            return await self.callers.identify(presented)
        except CallerRefused as error:
            await self.refuse(error, error.known, request_id, door)
            raise

    async def require_standing(self, presented: Presented) -> None:
        """That whoever came in is still signed in: nothing is shown to anybody who has left. Raises as
        `Callers.require_standing` does."""
        await self.callers.require_standing(presented)

    async def refuse(self, error: GatewayError, known: KnownCaller, request_id: str, door: str) -> None:
        """Journal what somebody was refused who may not ask in this role at all. It is counted before it is a row.

        Raises TooMany, journalled in its own way, where they go on asking; AuditUnavailable.
        """
        await self.fair_use.demand_of_refused(known, request_id, door)
        await self.journal.refuse(error, known, request_id, door)
