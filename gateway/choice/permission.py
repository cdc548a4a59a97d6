"""Permission at the point of care: time-boxed, for one caller and one patient, on the patient's word or in their
best interests."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Final

from gateway.audit.journal import Journal
from gateway.audit.row import Kind
from gateway.audit.scrub import scrub
from gateway.caller.model import Caller
from gateway.choice.may import (
    ASK_BEST_INTERESTS,
    ASK_PERMISSION,
    READ_OWN_PERMISSIONS,
    READ_PERMISSIONS,
    May,
    allowed,
    demand,
)
from gateway.choice.model import Basis, Permission, Scope
from gateway.choice.number import nhs_number_of
from gateway.choice.refusals import no_permission
from gateway.errors import BadRequest, NotFound
from gateway.sealed import Sealer
from gateway.store.interface import Store
from gateway.store.moments import Clock

DEFAULT_LASTS: Final[Mapping[Basis, timedelta]] = MappingProxyType(
    {Basis.PATIENT_AGREED: timedelta(hours=8), Basis.BEST_INTERESTS: timedelta(hours=1)}
)
"""A shift; and an hour for the case in which nobody could be asked, for by then somebody may be."""

SHORTEST_REASON: Final = 5
LONGEST_REASON: Final = 500
_WORD: Final = re.compile(r"[^\W_]{3,}")

_ACTIONS: Final = {Basis.PATIENT_AGREED: ASK_PERMISSION, Basis.BEST_INTERESTS: ASK_BEST_INTERESTS}


class Permissions:
    """Grants, finds and ends permissions. Whatever changes one, or is refused, is a row in the same transaction."""

    def __init__(
        self,
        store: Store,
        sealer: Sealer,
        journal: Journal,
        may: May,
        clock: Clock,
        lasts: Mapping[Basis, timedelta] = DEFAULT_LASTS,
    ) -> None:
        if any(lasts[basis] <= timedelta(0) for basis in Basis):
            raise ValueError("A permission must last longer than no time at all.")
        self._store = store
        self._sealer = sealer
        self._journal = journal
        self._may = may
        self._clock = clock
        self._lasts = dict(lasts)

    async def grant(
        self,
        caller: Caller,
        nhs_number: str,
        basis: Basis,
        reason: str,
        scope: Scope,
        request_id: str,
        *,
        door: str = "POST /permissions",
    ) -> Permission:
        """A new permission, durable when this returns.

        Raises Refusal where policy doesn't let this caller ask on this basis, BadRequest for a wrong NHS number,
        reason or scope, OptedOut where the patient has opted out (checked in the transaction that would grant).
        """
        async with self._journal.refusals(caller, request_id, door, nhs_number=nhs_number):
            demand(self._may, _ACTIONS[basis], caller)
            patient = nhs_number_of(nhs_number)
            _check(basis, reason, scope)
        permission = self._made(caller, patient, basis, reason, scope)
        row = self._journal.row(
            Kind.PERMISSION_GRANTED, caller, request_id, door, nhs_number=patient, permission=permission
        )
        await self._store.grant(permission, row)
        return permission

    def _made(self, caller: Caller, patient: str, basis: Basis, reason: str, scope: Scope) -> Permission:
        now = self._clock()
        permission_id = str(uuid.uuid4())
        return Permission(
            id=permission_id,
            patient=self._sealer.patient_tag(patient),
            sealed_patient=self._sealer.seal_patient(patient),
            caller=caller.key,
            organisation=caller.organisation,
            basis=basis,
            scope=scope,
            reason=self._sealer.seal_text(scrub(reason.strip()), permission_id),
            granted_at=now,
            expires_at=now + self._lasts[basis],
        )

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
            demand(self._may, READ_PERMISSIONS, caller)
            patient = nhs_number_of(nhs_number)
        await self._journal.append(
            self._journal.row(Kind.AUDIT_READ, caller, request_id, door, nhs_number=patient, subject="permissions")
        )
        return await self._store.permissions_about(self._sealer.patient_tag(patient))

    async def withdraw(
        self, caller: Caller, permission_id: str, request_id: str, *, door: str = "DELETE /permissions/{id}"
    ) -> None:
        """End one's own permission; again is harmless. Raises NotFound for an unknown one and for somebody else's."""
        async with self._journal.refusals(caller, request_id, door):
            permission = await self._store.permission(permission_id)
            if permission is None or permission.caller != caller.key:
                raise NotFound("You have no permission with this id.", rule="permission.not-yours")
        row = self._journal.row(
            Kind.PERMISSION_WITHDRAWN,
            caller,
            request_id,
            door,
            nhs_number=self._sealer.open_patient(permission.sealed_patient),
            permission=permission,
        )
        await self._store.withdraw(permission.id, self._clock(), row)


def _check(basis: Basis, reason: str, scope: Scope) -> None:
    if len(reason) > LONGEST_REASON:
        raise BadRequest(
            f"The reason is too long. Say it in {LONGEST_REASON} characters.",
            rule="permission.reason-too-long",
            expression="reason",
        )
    if basis is Basis.BEST_INTERESTS and not _is_a_reason(reason):
        raise BadRequest(
            "Best-interests access needs a reason: why the patient can't be asked, and why it can't wait. Write at "
            f"least {SHORTEST_REASON} characters, a letter and a word of 3 letters or digits among them. A privacy "
            "officer will read it.",
            rule="permission.reason-missing",
            expression="reason",
        )
    if scope is Scope.INCLUDING_SENSITIVE and basis is not Basis.PATIENT_AGREED:
        raise BadRequest(
            "Sensitive information is shown only where the patient agreed to just that, so the scope "
            '"including-sensitive" goes with the basis "patient-agreed" alone.',
            rule="permission.sensitive-needs-agreement",
            expression="scope",
        )


def _is_a_reason(reason: str) -> bool:
    """Whether somebody wrote something: "GCS 3" says it all, and nobody should be sent back to count words."""
    said = reason.strip()
    return len(said) >= SHORTEST_REASON and any(map(str.isalpha, said)) and _WORD.search(said) is not None
