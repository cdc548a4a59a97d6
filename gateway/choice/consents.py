"""What a patient chose and agreed to, as Consents, for those whom policy lets read them."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from typing import Final

from gateway.audit.journal import Journal
from gateway.audit.row import Kind
from gateway.caller.model import Caller
from gateway.choice import consent
from gateway.choice.consent import Json
from gateway.choice.may import READ_CONSENTS, May, demand
from gateway.choice.model import Permission, SharingChoice, in_force
from gateway.choice.number import nhs_number_of
from gateway.errors import NotFound
from gateway.sealed import Sealer, Unsealable
from gateway.store.interface import Store
from gateway.store.moments import Clock

_NO_ORGANISATION: Final = "0"
"""In the ids of what patients stated themselves: no organisation has this code."""


class Consents:
    """Reads choices and permissions as Consents. That they were read is on the disk before anything is returned.

    A Consent's id is sealed as every other's is: it names its patient to the gateway alone.
    """

    def __init__(self, store: Store, sealer: Sealer, journal: Journal, may: May, clock: Clock) -> None:
        self._store = store
        self._sealer = sealer
        self._journal = journal
        self._may = may
        self._clock = clock

    def now(self) -> datetime:
        """By the gateway's clock."""
        return self._clock()

    async def about(self, caller: Caller, nhs_number: str, request_id: str, *, door: str) -> list[Json]:
        """All about one patient, newest first. Raises Refusal, and BadRequest for a wrong NHS number."""
        async with self._journal.refusals(caller, request_id, door, nhs_number=nhs_number):
            demand(self._may, READ_CONSENTS, caller)
            patient = nhs_number_of(nhs_number)
        await self._will_read(caller, patient, request_id, door)
        return await self._all(patient)

    async def one(self, caller: Caller, consent_id: str, request_id: str, *, door: str) -> Json:
        """By id. Raises Refusal, and NotFound for an id that this gateway never gave."""
        async with self._journal.refusals(caller, request_id, door):
            demand(self._may, READ_CONSENTS, caller)
            patient = self._patient_of(consent_id)
            await self._will_read(caller, patient, request_id, door)
            found = [each for each in await self._all(patient) if each["id"] == consent_id]
            if not found:
                raise _no_such_consent()
        return found[0]

    def _patient_of(self, consent_id: str) -> str:
        try:
            return self._sealer.open_id(consent_id)[0]
        except Unsealable:
            raise _no_such_consent() from None

    async def _will_read(self, caller: Caller, patient: str, request_id: str, door: str) -> None:
        row = self._journal.row(Kind.AUDIT_READ, caller, request_id, door, nhs_number=patient, subject="consents")
        await self._journal.append(row)

    async def _all(self, patient: str) -> list[Json]:
        tag = self._sealer.patient_tag(patient)
        found = [
            *self._of_choices(patient, await self._store.choices(tag)),
            *self._of_permissions(patient, await self._store.permissions_about(tag)),
        ]
        # By time alone two of the same moment could change places between two pages.
        return sorted(found, key=lambda each: (each["dateTime"], each["id"]), reverse=True)

    def _of_choices(self, patient: str, choices: list[SharingChoice]) -> list[Json]:
        """`choices` are oldest first: each was replaced by the one after it."""
        ends = [*(later.recorded_at for _, later in pairwise(choices)), None]
        return [
            consent.of_choice(choice, patient, self._id(patient, choice.organisation, choice.id), end)
            for choice, end in zip(choices, ends, strict=False)
        ]

    def _of_permissions(self, patient: str, permissions: list[Permission]) -> list[Json]:
        """`permissions` are newest first."""
        holding = {permission.id for permission in in_force(permissions, self._clock())}
        return [
            consent.of_permission(
                each,
                patient,
                self._id(patient, each.organisation, each.id),
                active=each.id in holding,
                extends=self._id(patient, each.organisation, each.extends) if each.extends else None,
            )
            for each in permissions
        ]

    def _id(self, patient: str, organisation: str, record_id: str) -> str:
        return self._sealer.seal_id(patient, organisation or _NO_ORGANISATION, "Consent", record_id)


def _no_such_consent() -> NotFound:
    return NotFound(
        "There is no Consent with this id. Search with patient= and the NHS number.", rule="consent.unknown-id"
    )
