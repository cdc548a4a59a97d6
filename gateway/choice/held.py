"""Permissions that somebody holds: found when they look, listed for those who may, and ended on the patient's word."""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from gateway.audit.bound import bound_to
from gateway.audit.journal import Journal
from gateway.audit.row import Kind, Who
from gateway.caller.model import Caller
from gateway.choice.may import (
    ASK_BEST_INTERESTS,
    READ_OWN_PERMISSIONS,
    READ_PERMISSIONS,
    WITHDRAW_PERMISSIONS,
    May,
    allowed,
    demand,
    demand_about,
)
from gateway.choice.model import Channel, Permission, StatedBy, in_force
from gateway.choice.number import nhs_number_of
from gateway.choice.refusals import no_permission
from gateway.errors import NotFound
from gateway.sealed import Sealer
from gateway.store.interface import Store
from gateway.store.moments import Clock

_GRANTS: Final = frozenset({Kind.PERMISSION_GRANTED, Kind.PERMISSION_EXTENDED})
_MOST_GRANTS: Final = 500


class Given(NamedTuple):
    """A permission that holds now, and whose it is, as its row has it; None where that row isn't at hand."""

    permission: Permission
    who: Who | None


class HeldPermissions:
    """Finds, lists and ends permissions. Whatever ends one, or is refused, is a row in the same transaction."""

    def __init__(self, store: Store, sealer: Sealer, journal: Journal, may: May, clock: Clock) -> None:
        self._store = store
        self._sealer = sealer
        self._journal = journal
        self._may = may
        self._clock = clock

    async def require(self, caller: Caller, nhs_number: str) -> Permission:
        """The newest permission that holds now. Raises NoPermission, whose text says how to get one.

        The pipeline calls it before anyone is asked, and writes the refusal's row.
        """
        tag = self._sealer.patient_tag(nhs_number_of(nhs_number))
        permission = await self._store.permission_for(caller.key, tag, self._clock())
        if permission is None:
            raise no_permission(best_interests=allowed(self._may, ASK_BEST_INTERESTS, caller))
        return permission

    async def own(self, caller: Caller, request_id: str, *, door: str = "GET /permissions") -> list[Permission]:
        """The caller's own permissions, newest first, ended ones too, for those whom policy lets have any.

        They name patients: that they were read is on the disk before anything is returned.
        """
        async with self._journal.refusals(caller, request_id, door):
            demand(self._may, READ_OWN_PERMISSIONS, caller)
        await self._journal.append(
            self._journal.row(Kind.AUDIT_READ, caller, request_id, door, subject="own permissions")
        )
        return await self._store.permissions_of(caller.key)

    async def about(
        self, caller: Caller, nhs_number: str, request_id: str, *, door: str = "POST /permissions/_search"
    ) -> list[Permission]:
        """Everybody's permissions about a patient, newest first, for those whom policy lets read them.

        That they were read is on the disk before anything is returned.
        """
        async with self._journal.refusals(caller, request_id, door, nhs_number=nhs_number):
            patient = demand_about(self._may, READ_PERMISSIONS, caller, nhs_number)
        await self._journal.append(
            self._journal.row(Kind.AUDIT_READ, caller, request_id, door, nhs_number=patient, subject="permissions")
        )
        return await self._store.permissions_about(self._sealer.patient_tag(patient))

    async def given(self, caller: Caller, nhs_number: str, request_id: str, *, door: str) -> list[Given]:
        """What holds about a patient now, newest first, with whose it is. Raises, and is written down, as `about`."""
        holding = in_force(await self.about(caller, nhs_number, request_id, door=door), self._clock())
        if not holding:
            return []
        oldest = min(permission.granted_at for permission in holding)
        rows = await self._store.rows(patient=holding[0].patient, kinds=_GRANTS, since=oldest, limit=_MOST_GRANTS)
        whose = {kept.row.permission: kept.row.who for kept in rows}
        return [Given(permission, whose.get(permission.id)) for permission in holding]

    def may_read(self, caller: Caller) -> bool:
        """Whether policy lets this caller know of other people's permissions."""
        return allowed(self._may, READ_PERMISSIONS, caller)

    async def withdraw(
        self, caller: Caller, permission_id: str, request_id: str, *, door: str = "DELETE /permissions/{id}"
    ) -> None:
        """End one's own permission; again is harmless. Raises NotFound for an unknown one and for somebody else's."""
        permission = await self._own(caller, permission_id, request_id, door)
        patient = self._sealer.open_patient(permission.sealed_patient)
        await self._end(caller, permission, patient, request_id, door)

    async def withdraw_all(
        self,
        caller: Caller,
        nhs_number: str,
        stated_by: StatedBy,
        channel: Channel,
        request_id: str,
        *,
        door: str = "POST /permissions/_withdraw",
    ) -> list[str]:
        """End everybody's permissions about a patient, on the patient's word; the ids of those that still held.

        In force everywhere when this returns: a record that is being put together isn't released any more. Raises
        Refusal where policy doesn't let this caller take the patient's word, BadRequest for a wrong NHS number.
        """
        async with self._journal.refusals(caller, request_id, door, nhs_number=nhs_number):
            patient = demand_about(self._may, WITHDRAW_PERMISSIONS, caller, nhs_number)
        row = self._journal.row(
            Kind.PERMISSION_WITHDRAWN,
            caller,
            request_id,
            door,
            nhs_number=patient,
            detail=f"all, stated by {stated_by.value}, by {channel.value}",
            subject="permissions",
        )
        return await self._store.withdraw_all(self._sealer.patient_tag(patient), self._clock(), row)

    async def take_back(
        self, caller: Caller, nhs_number: str, permission_id: str, channel: Channel, request_id: str, *, door: str
    ) -> bool:
        """End one person's permission about a patient, on that patient's own word; False where it had ended already.

        In force everywhere when this returns. Raises Refusal as `withdraw_all`, and NotFound for a permission that
        isn't about them.
        """
        async with self._journal.refusals(caller, request_id, door, nhs_number=nhs_number):
            patient = demand_about(self._may, WITHDRAW_PERMISSIONS, caller, nhs_number)
            permission = await self._store.permission(permission_id)
            if permission is None or permission.patient != self._sealer.patient_tag(patient):
                raise NotFound("There is no such permission about this patient.", rule="permission.unknown")
        said = f"one, stated by {StatedBy.PATIENT.value}, by {channel.value}"
        return await self._end(caller, permission, patient, request_id, door, said)

    async def _end(
        self, caller: Caller, permission: Permission, patient: str, request_id: str, door: str, detail: str = ""
    ) -> bool:
        """One permission ends, with its row in the same transaction; False where it had ended already."""
        moment = self._clock()
        row = self._journal.row(
            Kind.PERMISSION_WITHDRAWN,
            caller,
            request_id,
            door,
            nhs_number=patient,
            permission=permission,
            detail=detail,
        )
        ended = msgspec.structs.replace(permission, withdrawn_at=moment)
        return await self._store.withdraw(permission.id, moment, msgspec.structs.replace(row, bound=bound_to(ended)))

    async def _own(self, caller: Caller, permission_id: str, request_id: str, door: str) -> Permission:
        async with self._journal.refusals(caller, request_id, door):
            permission = await self._store.permission(permission_id)
            if permission is None or permission.caller != caller.key:
                raise NotFound("You have no permission with this id.", rule="permission.not-yours")
        return permission
