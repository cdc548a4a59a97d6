"""Do an NHS number and a birth date go together? For whoever records what a caller on the phone chooses.

A wrong number may be somebody else's, and their record would be shut. So the national register is asked before anything
is recorded. Nothing that it says is shown or kept but yes or no: the officer has both already, and gets
neither name nor address. That it was asked is a row before it is, about the patient, as every look is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from connectors.sdk.model import Answer, Ask, Outcome, Section
from gateway import guard
from gateway.audit.row import Kind
from gateway.choice.may import RECORD_CHOICE, May, demand
from gateway.errors import BadRequest
from gateway.locate import asked_by
from gateway.register.standing import require_number_in_force

if TYPE_CHECKING:
    from connectors.sdk.organisations import Organisation
    from gateway.audit.journal import Journal
    from gateway.caller.model import Caller
    from gateway.fan_out import FanOut


@dataclass(frozen=True, slots=True)
class Identities:
    """Asks the register. `register` is None where none takes part; `address_of` is as the guard needs it."""

    journal: Journal
    may: May
    register: Organisation | None
    fan_out: FanOut
    address_of: Callable[[str], str]
    deadline: float

    async def go_together(
        self, caller: Caller, nhs_number: str, birth_date: str, request_id: str, *, door: str
    ) -> bool:
        """True where the register says so; False where no register takes part, or it doesn't answer.

        Raises Refusal, BadRequest where the register has another birth date for this number or knows nobody by it, and
        NumberReplaced or NotFound for a number that is gone. Each is a row before it is an answer.
        """
        async with self.journal.refusals(caller, request_id, door, nhs_number=nhs_number):
            demand(self.may, RECORD_CHOICE, caller)
            if self.register is None:
                return False
            await self._announce(caller, nhs_number, request_id, door)
            answer = await self._ask(self.register, caller, nhs_number, request_id)
            require_number_in_force(answer, nhs_number)
            return _agrees(answer, birth_date)

    async def _announce(self, caller: Caller, nhs_number: str, request_id: str, door: str) -> None:
        row = self.journal.row(
            Kind.INTENT, caller, request_id, door, nhs_number=nhs_number, sections=[Section.DEMOGRAPHICS]
        )
        await self.journal.append(msgspec.structs.replace(row, detail="whether number and birth date go together"))

    async def _ask(self, register: Organisation, caller: Caller, nhs_number: str, request_id: str) -> Answer:
        """What the guard leaves of the register's Answer."""
        ask = Ask(
            nhs_number=nhs_number,
            sections=frozenset({Section.DEMOGRAPHICS}),
            asked_by=asked_by(caller),
            deadline=asyncio.get_running_loop().time() + min(self.deadline, register.budget),
            request_id=request_id,
        )
        asks = {register.ods: ask}
        guarded = guard.guard(await self.fan_out.ask(asks), asks, self.address_of)
        self.fan_out.note_alarms(guarded.alarms)
        return guarded.answers[0]


def _agrees(answer: Answer, birth_date: str) -> bool:
    if answer.outcome is Outcome.NO_RECORD:
        raise BadRequest(
            "The national register knows nobody with this NHS number. Ask them to read it again.",
            rule="patient.unknown",
            expression="nhsNumber",
        )
    held = {item.resource.get("birthDate") for item in answer.items if item.type == "Patient"} - {None}
    if not held:
        return False
    if held != {birth_date}:
        raise BadRequest(
            "The national register has another date of birth for this NHS number. Ask them to read both again.",
            rule="patient.birth-date-differs",
            expression="birthDate",
        )
    return True
