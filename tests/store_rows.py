"""Rows, choices, permissions and cases for tests of the stores."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from gateway.audit.bound import bound_to
from gateway.audit.row import Kind, Row, Who
from gateway.choice.model import Basis, Channel, Choice, Permission, Scope, SharingChoice, StatedBy
from gateway.desk.model import Case, CaseEntry, CaseKind, CaseStatus
from gateway.store.interface import Store

A, B = "a" * 64, "b" * 64
"""Two patients' tags."""

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
WHO = Who(
    issuer="https://issuer.example",
    user_id="555021935107",
    name="Asha Rahman",
    role_profile_id="555254242106",
    job_role_code="R0260",
    role="gp",
    organisation="G85005",
    organisation_name="South Lewisham Group Practice",
    organisation_type="gp-practice",
    client_id="viewer",
    purpose="TREAT",
    acr="AAL3",
    token_id="t-1",
)


class Hands:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


def a_row(kind: Kind = Kind.INTENT, **changes: Any) -> Row:
    row = Row(kind=kind, request_id="r-1", at=NOON, door="POST /records", who=WHO, patient=A)
    return msgspec.structs.replace(row, **changes)


def a_release(**changes: Any) -> Row:
    return a_row(
        Kind.RELEASE,
        **{"permission": "p-1", "basis": "patient-agreed", "scope": "standard", "status": 200, "seen": {"results": 3}}
        | changes,
    )


def a_permission(**changes: Any) -> Permission:
    permission = Permission(
        id="p-1",
        patient=A,
        sealed_patient="sealed-a",
        caller=WHO.key,
        organisation="G85005",
        basis=Basis.PATIENT_AGREED,
        scope=Scope.STANDARD,
        reason="",
        granted_at=NOON,
        expires_at=NOON + timedelta(hours=8),
    )
    return msgspec.structs.replace(permission, **changes)


def a_choice(choice: Choice, number: int = 1, patient: str = A, sealed: str | None = "sealed-a") -> SharingChoice:
    return SharingChoice(
        id=f"c-{patient}-{number}",
        patient=patient,
        sealed_patient=sealed or "",
        choice=choice,
        stated_by=StatedBy.PATIENT,
        channel=Channel.PHONE,
        recorded_by="555",
        recorded_by_name="Sam Okoro",
        organisation="G85005",
        recorded_at=NOON,
    )


async def choose(store: Store, choice: Choice, number: int = 1, patient: str = A) -> int:
    row = a_row(Kind.SHARING_CHOICE, patient=patient, subject=choice.value)
    return await store.record_choice(a_choice(choice, number, patient), row)


def a_case(number: int = 1, **changes: Any) -> Case:
    case = Case(
        id=f"case-{number}",
        kind=CaseKind.BEST_INTERESTS,
        patient=A,
        sealed_patient="sealed-a",
        caller=WHO.key,
        user_id=WHO.user_id,
        name=WHO.name,
        role=WHO.role,
        organisation=WHO.organisation,
        request_id="r-1",
        permission="p-1",
        opened_at=NOON,
        due_at=NOON + timedelta(days=1),
    )
    return msgspec.structs.replace(case, **changes)


def an_entry(number: int, status: CaseStatus = CaseStatus.QUESTIONED, **changes: Any) -> CaseEntry:
    entry = CaseEntry(
        case="case-1", number=number, at=NOON, by="555", by_name="Sam Okoro", status=status, note="sealed"
    )
    return msgspec.structs.replace(entry, **changes)


def with_cases(row: Row, *cases: Case) -> Row:
    """The row as it is made where it opens these cases."""
    return msgspec.structs.replace(row, cases=[case.id for case in cases], bound={**row.bound, **bound_to(*cases)})
