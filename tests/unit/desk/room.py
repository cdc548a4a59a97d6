"""A desk with a real store on one clock: the parts that notice, open, read and judge cases."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from connectors.sdk.model import Section
from connectors.sdk.organisations import OrganisationType
from gateway.audit.journal import Journal
from gateway.audit.row import Kind, Row
from gateway.caller.model import Caller, Role
from gateway.caller.themselves import Themselves
from gateway.choice.model import Basis, Permission, Scope
from gateway.choice.permission import Permissions
from gateway.desk.alerts import Alerts, Noticed
from gateway.desk.follow_up import FollowUp
from gateway.desk.model import CaseFile, CaseKind
from gateway.desk.officer import Desk
from gateway.desk.volume import Volume
from gateway.policy.model import Decision, Shown
from gateway.relationship import Evidence
from gateway.store.sqlite import SqliteStore
from tests.unit.pipeline import NHS, SEALER, TRUST

MONDAY = datetime(2026, 6, 8, 12, 0, tzinfo=UTC)
OFFERED = frozenset({Section.CONTACTS, Section.CARE_TEAM})
NURSE = Caller(
    "https://issuer.example", "555000000001", "VALE Siobhan Ms", "555100000001", "R8001", Role.NURSE, TRUST,
    "Lewisham and Greenwich", OrganisationType.ACUTE_TRUST, "viewer",
)  # fmt: skip
OFFICER = replace(
    NURSE, user_id="555000000009", name="ELLERY Graham Mr", role_profile_id="555100000009", role=Role.PRIVACY_OFFICER
)


def private(caller: Caller = NURSE, **known: Any) -> Caller:
    """The caller, of whom the issuer says this."""
    return replace(caller, themselves=Themselves(**known))


class Room:
    """Everything around a desk."""

    def __init__(self, folder: Path, *, most: int = 3) -> None:
        self.now = MONDAY
        self.refused: frozenset[str] = frozenset()
        self.store = SqliteStore(folder, clock=self.clock)
        self.journal = Journal(self.store, SEALER, lambda: "hash", self.clock)
        self.permissions = Permissions(self.store, SEALER, self.journal, self.may, self.clock)
        self.alerts = Alerts(self.store, SEALER, lambda _ods: OFFERED, self.clock)
        self.volume = Volume(self.store, self.journal, self.clock, most)
        self.follow_up = FollowUp(self.store, self.clock)
        self.desk = Desk(self.store, SEALER, self.journal, self.may, self.clock)

    def clock(self) -> datetime:
        return self.now

    def may(self, action: str, caller: Caller) -> Decision:
        shut = action in self.refused
        return Decision(Shown.WITHHELD if shut else Shown.WHOLE, f"{action}.{caller.role}", "as a test says")

    async def agreed(self, caller: Caller = NURSE, nhs_number: str = NHS) -> Permission:
        return await self.permissions.grant(caller, nhs_number, Basis.PATIENT_AGREED, "", Scope.STANDARD, "r-0")

    def row(
        self, permission: Permission, caller: Caller = NURSE, nhs_number: str = NHS, *, request: str = "r-1"
    ) -> Row:
        return self.journal.row(
            Kind.RELEASE, caller, request, "POST /records", nhs_number=nhs_number, permission=permission, status=200
        )

    async def look(
        self,
        noticed: Noticed | None = None,
        caller: Caller = NURSE,
        nhs_number: str = NHS,
        *,
        kinds: Iterable[CaseKind] = (),
        word: Evidence = Evidence.ATTENDANCE,
        request: str = "r-1",
        intent: int | None = None,
    ) -> Row:
        """A look on the patient's word, released with what was noticed; the row as it was handed over. `intent`: of
        which announced look it is a part."""
        permission = await self.agreed(caller, nhs_number)
        row, cases = (noticed or Noticed(word, tuple(kinds))).onto(
            self.row(permission, caller, nhs_number, request=request)
        )
        row = msgspec.structs.replace(row, intent=intent or row.intent)
        await self.store.release(row, cases)
        return row

    async def files(self, **wanted: Any) -> Sequence[CaseFile]:
        return [file for _, file in await self.store.cases(**wanted)]

    async def kinds(self) -> list[CaseKind]:
        return [file.case.kind for file in await self.files()]

    async def newest(self) -> Row:
        return (await self.store.rows(limit=10_000))[-1].row


def as_text(*records: Any) -> str:
    """Everything in these, as it would be kept."""
    return " ".join(msgspec.json.encode(record).decode() for record in records)
