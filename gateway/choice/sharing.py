"""The standing sharing choice: opted in unless the patient says otherwise, with its whole history."""

from __future__ import annotations

import uuid
from typing import Final

import msgspec

from gateway.audit.bound import bound_to
from gateway.audit.journal import Journal
from gateway.audit.row import Kind
from gateway.audit.scrub import scrub
from gateway.caller.model import Caller
from gateway.choice.asked import check_length
from gateway.choice.may import READ_CHOICES, RECORD_CHOICE, May, demand_about
from gateway.choice.model import Channel, Choice, IdentifiedBy, SharingChoice, StatedBy
from gateway.choice.number import nhs_number_of
from gateway.choice.refusals import opted_out
from gateway.errors import BadRequest
from gateway.sealed import Sealer
from gateway.store.interface import Store
from gateway.store.moments import Clock

LONGEST_PROXY: Final = 200
SHORTEST_PROXY: Final = 3


class SharingChoices:
    """Records and reads what patients chose. `record` and `history` write their row, refusals too."""

    def __init__(self, store: Store, sealer: Sealer, journal: Journal, may: May, clock: Clock) -> None:
        self._store = store
        self._sealer = sealer
        self._journal = journal
        self._may = may
        self._clock = clock

    async def record(
        self,
        caller: Caller,
        nhs_number: str,
        choice: Choice,
        stated_by: StatedBy,
        channel: Channel,
        request_id: str,
        *,
        reason: str = "",
        proxy: str = "",
        identified_by: IdentifiedBy = IdentifiedBy.NOT_SAID,
        door: str = "POST /sharing-choices",
    ) -> SharingChoice:
        """Durable and in force everywhere when this returns: no release is committed after an opt-out, and whatever
        permission anybody had ends with it, so that who opts back in is asked anew.

        To state the same choice again is a new statement. `proxy` says who spoke for the patient, where somebody did;
        `identified_by` how the caller made sure who was speaking.
        Raises Refusal where policy says that this caller may not record one, BadRequest for a wrong NHS number or a
        proxy whom nobody names.
        """
        async with self._journal.refusals(caller, request_id, door, nhs_number=nhs_number):
            patient = demand_about(self._may, RECORD_CHOICE, caller, nhs_number)
            check_length(reason, "choice.reason-too-long")
            _check_proxy(stated_by, proxy)
        choice_id = str(uuid.uuid4())
        stated = SharingChoice(
            id=choice_id,
            patient=self._sealer.patient_tag(patient),
            sealed_patient=self._sealer.seal_patient(patient),
            choice=choice,
            stated_by=stated_by,
            channel=channel,
            recorded_by=caller.user_id,
            recorded_by_name=caller.name,
            organisation=caller.organisation,
            recorded_at=self._clock(),
            reason=self._sealer.seal_text(scrub(reason.strip()), choice_id),
            proxy=self._sealer.seal_text(scrub(proxy.strip()), proxy_of(choice_id)),
            identified_by=identified_by,
        )
        row = self._journal.row(
            Kind.SHARING_CHOICE,
            caller,
            request_id,
            door,
            nhs_number=patient,
            detail=stated.detail,
            subject=stated.id,
        )
        await self._store.record_choice(stated, msgspec.structs.replace(row, bound=bound_to(stated)))
        return stated

    async def history(
        self, caller: Caller, nhs_number: str, request_id: str, *, door: str = "GET /sharing-choices"
    ) -> list[SharingChoice]:
        """Oldest first. That it was read is on the disk before anything is returned."""
        async with self._journal.refusals(caller, request_id, door, nhs_number=nhs_number):
            patient = demand_about(self._may, READ_CHOICES, caller, nhs_number)
        await self._journal.append(
            self._journal.row(Kind.AUDIT_READ, caller, request_id, door, nhs_number=patient, subject="sharing choices")
        )
        return await self._store.choices(self._sealer.patient_tag(patient))

    async def require_opted_in(self, nhs_number: str) -> None:
        """Raises OptedOut. The pipeline calls it before anyone is asked, and writes the refusal's row."""
        if await self.current(nhs_number) is not Choice.OPTED_IN:
            raise opted_out()

    async def current(self, nhs_number: str) -> Choice:
        """What holds now, for parts that act on it: no row says that somebody read it."""
        newest = await self._store.current_choice(self._sealer.patient_tag(nhs_number_of(nhs_number)))
        return newest.choice if newest is not None else Choice.OPTED_IN


def proxy_of(choice_id: str) -> str:
    """What `SharingChoice.proxy` is sealed to: it can't be taken for the reason of the same statement."""
    return f"{choice_id}:proxy"


def _check_proxy(stated_by: StatedBy, proxy: str) -> None:
    said = proxy.strip()
    if stated_by is StatedBy.PATIENT:
        if said:
            raise BadRequest(
                'A proxy is named only where one states the choice. Leave proxy out, or say "statedBy": "proxy".',
                rule="choice.proxy-not-needed",
                expression="proxy",
            )
    elif not SHORTEST_PROXY <= len(said) <= LONGEST_PROXY:
        raise BadRequest(
            "Say who spoke for the patient, and by what right, in proxy: their name, and for example mother, or "
            f"attorney for health and welfare; {SHORTEST_PROXY} to {LONGEST_PROXY} characters.",
            rule="choice.proxy-missing",
            expression="proxy",
        )
