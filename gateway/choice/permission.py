"""Permission at the point of care: time-boxed, for one caller and one patient, on the patient's word or in their
best interests."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

import msgspec

from gateway.audit.bound import bound_to
from gateway.audit.journal import Journal
from gateway.audit.row import Kind, Row
from gateway.audit.scrub import scrub
from gateway.caller.model import Caller
from gateway.choice.asked import LONGEST_REASON, SHORTEST_REASON, Asked, check_asked
from gateway.choice.extension import DEFAULT_LONGEST, Extension, begun_at, check_newest, prolonged_until
from gateway.choice.held import HeldPermissions
from gateway.choice.may import ASK_BEST_INTERESTS, ASK_PERMISSION, May, demand
from gateway.choice.model import Basis, Permission, Scope
from gateway.choice.number import nhs_number_of
from gateway.choice.reasons import ReasonCode
from gateway.desk.cases import new_case
from gateway.desk.model import CaseKind
from gateway.sealed import Sealer
from gateway.store.interface import Store
from gateway.store.moments import Clock

__all__ = ["DEFAULT_LASTS", "DEFAULT_LONGEST", "LONGEST_REASON", "SHORTEST_REASON", "Permissions"]

DEFAULT_LASTS: Final[Mapping[Basis, timedelta]] = MappingProxyType(
    {Basis.PATIENT_AGREED: timedelta(hours=8), Basis.BEST_INTERESTS: timedelta(hours=1)}
)
"""A shift; and an hour for the case in which nobody could be asked, for by then somebody may be."""

_ACTIONS: Final = {Basis.PATIENT_AGREED: ASK_PERMISSION, Basis.BEST_INTERESTS: ASK_BEST_INTERESTS}


class Permissions(HeldPermissions):
    """Grants and prolongs permissions as well. Whatever changes one, or is refused, is a row in the same transaction; a
    look in a patient's best interests opens a privacy officer's case in it too.

    `lasts` is how long a permission lasts, `longest` how long one may last in all, however often it is prolonged.
    """

    def __init__(
        self,
        store: Store,
        sealer: Sealer,
        journal: Journal,
        may: May,
        clock: Clock,
        lasts: Mapping[Basis, timedelta] = DEFAULT_LASTS,
        longest: Mapping[Basis, timedelta] = DEFAULT_LONGEST,
    ) -> None:
        if any(lasts[basis] <= timedelta(0) for basis in Basis):
            raise ValueError("A permission must last longer than no time at all.")
        super().__init__(store, sealer, journal, may, clock)
        self._lasts = dict(lasts)
        self._longest = dict(longest)

    async def grant(
        self,
        caller: Caller,
        nhs_number: str,
        basis: Basis,
        reason: str,
        scope: Scope,
        request_id: str,
        *,
        reason_code: ReasonCode | None = None,
        door: str = "POST /permissions",
    ) -> Permission:
        """A new permission, durable when this returns.

        Raises Refusal where policy doesn't let this caller ask on this basis, BadRequest for a wrong NHS number,
        reason or scope, OptedOut where the patient has opted out (checked in the transaction that would grant).
        """
        asked = Asked(basis, scope, reason, reason_code)
        async with self._journal.refusals(caller, request_id, door, nhs_number=nhs_number):
            demand(self._may, _ACTIONS[basis], caller)
            patient = nhs_number_of(nhs_number)
            check_asked(asked)
        now = self._clock()
        permission = self._made(caller, patient, asked, now, now + self._lasts[basis])
        row = self._journal.row(
            Kind.PERMISSION_GRANTED, caller, request_id, door, nhs_number=patient, permission=permission
        )
        await self._keep(permission, row)
        return permission

    async def extend(
        self,
        caller: Caller,
        permission_id: str,
        asked_again: Extension,
        request_id: str,
        *,
        door: str = "POST /permissions/{id}/extend",
    ) -> Permission:
        """A new permission that prolongs one's own while that one holds; in all no longer than `longest`.

        Raises NotFound for an unknown one and for somebody else's, Refusal where policy doesn't let this caller ask any
        more, BadRequest where nobody asked again or nothing new is said, NoPermission for one that has ended or was
        replaced, OptedOut where the patient has opted out (both checked in the transaction that would grant).
        """
        before = await self._own(caller, permission_id, request_id, door)
        patient = self._sealer.open_patient(before.sealed_patient)
        async with self._journal.refusals(caller, request_id, door, nhs_number=patient):
            demand(self._may, _ACTIONS[before.basis], caller)
            asked = asked_again.of(before, self._sealer.open_text(before.reason, before.id))
            check_asked(asked)
            now = self._clock()
            check_newest(before, await self._store.permission_for(caller.key, before.patient, now))
            begun = begun_at(before, await self._store.permissions_about(before.patient))
            expires = prolonged_until(before, now + self._lasts[before.basis], begun, self._longest[before.basis])
        permission = self._made(caller, patient, asked, now, expires, extends=before.id)
        row = self._journal.row(
            Kind.PERMISSION_EXTENDED,
            caller,
            request_id,
            door,
            nhs_number=patient,
            permission=permission,
            subject=before.id,
        )
        await self._keep(permission, row)
        return permission

    async def refused(self, caller: Caller, nhs_number: str, request_id: str, *, door: str) -> None:
        """The patient was asked and said no: that is a row, as a yes is, and what this caller held till then ends.

        Raises Refusal where policy doesn't let this caller ask, BadRequest for a wrong NHS number.
        """
        async with self._journal.refusals(caller, request_id, door, nhs_number=nhs_number):
            demand(self._may, ASK_PERMISSION, caller)
            patient = nhs_number_of(nhs_number)
        held = await self._store.permission_for(caller.key, self._sealer.patient_tag(patient), self._clock())
        if held is not None:
            await self._end(caller, held, patient, request_id, door)
        await self._journal.append(
            self._journal.row(Kind.PERMISSION_REFUSED, caller, request_id, door, nhs_number=patient)
        )

    def _made(
        self,
        caller: Caller,
        patient: str,
        asked: Asked,
        now: datetime,
        expires: datetime,
        *,
        extends: str | None = None,
    ) -> Permission:
        permission_id = str(uuid.uuid4())
        return Permission(
            id=permission_id,
            patient=self._sealer.patient_tag(patient),
            sealed_patient=self._sealer.seal_patient(patient),
            caller=caller.key,
            organisation=caller.organisation,
            basis=asked.basis,
            scope=asked.scope,
            reason=self._sealer.seal_text(scrub(asked.reason.strip()), permission_id),
            granted_at=now,
            expires_at=expires,
            reason_code=asked.reason_code.value if asked.reason_code else "",
            extends=extends,
        )

    async def _keep(self, permission: Permission, row: Row) -> None:
        """The permission, its row, and the case of a look that nobody agreed to, in one transaction."""
        if permission.basis is not Basis.BEST_INTERESTS:
            await self._store.grant(permission, msgspec.structs.replace(row, bound=bound_to(permission)))
            return
        case = new_case(CaseKind.BEST_INTERESTS, row)
        whole = msgspec.structs.replace(row, cases=[case.id], bound=bound_to(permission, case))
        await self._store.grant(permission, whole, case)
