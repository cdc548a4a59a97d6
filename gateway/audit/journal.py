"""The journal as the gateway's parts use it: who asks, who is refused, and why, in rows that hold no clinical content.

Grants and refusals are written by the same code. A row names the patient by keyed tag, and by the NHS number under
authenticated encryption for those who must be able to name the patient; never in clear.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from connectors.sdk.nhs_number import parse_nhs_number
from gateway.audit.row import Alarm, Kind, Row, SourceLine, Who
from gateway.audit.scrub import scrub, scrub_id
from gateway.caller.model import Caller, KnownCaller
from gateway.choice.model import Permission
from gateway.errors import AuditUnavailable, GatewayError
from gateway.observe.meters import refused
from gateway.sealed import Sealer
from gateway.store.interface import Store
from gateway.store.moments import Clock

LONGEST_TEXT: Final = 500
LONGEST_REQUEST_ID: Final = 100


class Journal:
    """Makes rows and writes them. Every method that writes raises AuditUnavailable where it can't.

    `door` is a route's method and template (`GET /fhir/R4/Patient/{id}`), never a path with an identifier in it.
    """

    def __init__(self, store: Store, sealer: Sealer, policy_hash: Callable[[], str], clock: Clock) -> None:
        self._store = store
        self._sealer = sealer
        self._policy_hash = policy_hash
        self._clock = clock

    def row(
        self,
        kind: Kind,
        caller: Caller | KnownCaller | None,
        request_id: str,
        door: str,
        *,
        nhs_number: str | None = None,
        sections: Iterable[str] = (),
        permission: Permission | None = None,
        status: int = 0,
        rule: str = "",
        detail: str = "",
        subject: str = "",
        intent: int | None = None,
        alarms: Iterable[Alarm] = (),
    ) -> Row:
        """A row as of this moment, not yet written. Raises ValueError for an NHS number that isn't one."""
        patient = parse_nhs_number(nhs_number) if nhs_number is not None else None
        return Row(
            kind=kind,
            request_id=scrub_id(request_id)[:LONGEST_REQUEST_ID],
            at=self._clock(),
            door=scrub(door),
            who=Who.of(caller) if caller else None,
            patient=self._sealer.patient_tag(patient) if patient else None,
            sealed_patient=self._sealer.seal_patient(patient) if patient else None,
            sections=sorted(str(section) for section in sections),
            permission=permission.id if permission else None,
            basis=permission.basis.value if permission else None,
            scope=permission.scope.value if permission else None,
            reason_code=permission.reason_code if permission else "",
            status=status,
            rule=rule,
            detail=scrub(detail)[:LONGEST_TEXT],
            subject=scrub(subject)[:LONGEST_TEXT],
            policy_hash=self._policy_hash(),
            intent=intent,
            alarms=list(alarms),
        )

    async def intend(
        self,
        caller: Caller,
        request_id: str,
        door: str,
        nhs_number: str,
        *,
        sections: Iterable[str] = (),
        subject: str = "",
    ) -> int:
        """Durably write that the caller is about to look; returns the row's number. Without it, nobody is asked."""
        row = self.row(Kind.INTENT, caller, request_id, door, nhs_number=nhs_number, sections=sections, subject=subject)
        return await self._store.append(row)

    async def refuse(
        self,
        error: GatewayError,
        caller: Caller | KnownCaller | None,
        request_id: str,
        door: str,
        *,
        nhs_number: str | None = None,
        sections: Iterable[str] = (),
        permission: Permission | None = None,
        subject: str = "",
        intent: int | None = None,
        sources: Mapping[str, SourceLine] | None = None,
        alarms: Iterable[Alarm] = (),
    ) -> int:
        """Durably write that the caller got `error` instead; once only, however many hands the error passes through.

        What was typed as an NHS number and isn't one names no patient, and is not kept. `sources` are those that had
        been asked by then.
        """
        refused(error)
        if error.journalled is None:
            row = self.row(
                Kind.REFUSAL,
                caller,
                request_id,
                door,
                nhs_number=_that_is_one(nhs_number),
                sections=sections,
                permission=permission,
                status=error.status,
                rule=error.rule,
                detail=error.detail,
                subject=subject,
                intent=intent,
                alarms=alarms,
            )
            row = msgspec.structs.replace(row, sources=dict(sources or {}))
            error.journalled = await self._store.append(row)
        return error.journalled

    @asynccontextmanager
    async def refusals(
        self, caller: Caller, request_id: str, door: str, *, nhs_number: str | None = None
    ) -> AsyncIterator[None]:
        """Whatever the caller is refused within is a row before the refusal goes on its way."""
        try:
            yield
        except AuditUnavailable:
            raise
        except GatewayError as error:
            await self.refuse(error, caller, request_id, door, nhs_number=nhs_number)
            raise

    def sent_digest(self, sent: bytes) -> str:
        """The keyed digest of one resource as it is sent (`Row.sent`)."""
        return self._sealer.sent_digest(sent)

    async def append(self, row: Row) -> int:
        """Durably write a row made by `row`."""
        return await self._store.append(row)


def _that_is_one(typed: str | None) -> str | None:
    try:
        return parse_nhs_number(typed) if typed is not None else None
    except ValueError:
        return None
