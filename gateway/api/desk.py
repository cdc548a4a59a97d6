"""`/desk`: the privacy officer's best-interests cases and alerts. Reading them is audited, and so is each move."""

from __future__ import annotations

from fastapi import APIRouter, Request

from gateway.api.contract import takes
from gateway.api.door import Door, opened
from gateway.api.http import read_model
from gateway.api.models import (
    CaseAnswer,
    CaseDetailAnswer,
    CaseEntryAnswer,
    CaseLookAnswer,
    CaseMoveRequest,
    CaseNoteRequest,
    CasePageAnswer,
    CasePermissionAnswer,
    DeskSearchRequest,
)
from gateway.audit.row import Row
from gateway.choice.model import Permission
from gateway.contracts.answers import refusals
from gateway.desk.kinds import MEANS
from gateway.desk.model import CaseEntry, CaseFile
from gateway.desk.officer import Opened, Wanted
from gateway.sealed import Sealer
from gateway.store.interface import Kept

router = APIRouter(tags=["desk"])


@router.post("/desk/_search", openapi_extra=takes(DeskSearchRequest))
async def search_desk(request: Request) -> CasePageAnswer:
    """The cases of the officer's own organisation's staff, oldest due first, and where to go on."""
    async with opened(request) as door:
        body = await read_model(request, door.parts.settings.max_body_bytes, DeskSearchRequest)
        door.about(body.nhsNumber)
        wanted = Wanted(
            status=frozenset(body.status) or None,
            kinds=frozenset(body.kinds) or None,
            overdue=body.overdue,
            nhs_number=body.nhsNumber,
            organisation=body.organisation,
        )
        page = await door.parts.desk.queue(
            door.caller, wanted, door.request_id, after=body.after, limit=body.limit, door=door.name
        )
        return CasePageAnswer(cases=[_case(file, door) for file in page.files], after=page.after)


@router.get("/desk/{case_id}")
async def read_case(request: Request, case_id: str) -> CaseDetailAnswer:
    """A case with its history, the reason that was given, and the numbers of the rows that it is about."""
    async with opened(request) as door:
        door.about(None)
        case = await door.parts.desk.read(door.caller, case_id, door.request_id, door=door.name)
        return _detail(case, door)


@router.post("/desk/{case_id}/_move", responses=refusals([409]), openapi_extra=takes(CaseMoveRequest))
async def move_case(request: Request, case_id: str) -> CaseAnswer:
    """Question or judge a case, with a note that says why."""
    async with opened(request) as door:
        body = await read_model(request, door.parts.settings.max_body_bytes, CaseMoveRequest)
        door.about(None)
        file = await door.parts.desk.move(
            door.caller, case_id, body.to, body.note, door.request_id, seen=body.seen, door=door.name
        )
        return _case(file, door)


@router.post("/desk/{case_id}/_note", responses=refusals([409]), openapi_extra=takes(CaseNoteRequest))
async def note_on_case(request: Request, case_id: str) -> CaseAnswer:
    """Add a note to a case, whose status stays."""
    async with opened(request) as door:
        body = await read_model(request, door.parts.settings.max_body_bytes, CaseNoteRequest)
        door.about(None)
        file = await door.parts.desk.note(
            door.caller, case_id, body.note, door.request_id, seen=body.seen, door=door.name
        )
        return _case(file, door)


def _case(file: CaseFile, door: Door) -> CaseAnswer:
    case = file.case
    sealed = case.sealed_patient
    return CaseAnswer(
        id=case.id,
        kind=case.kind,
        means=MEANS[case.kind],
        status=file.status,
        openedAt=case.opened_at,
        dueAt=case.due_at,
        overdue=file.is_overdue(door.parts.desk.now()),
        nhsNumber=door.parts.sealer.open_patient(sealed) if sealed else None,
        userId=case.user_id,
        name=case.name,
        role=case.role,
        organisation=case.organisation,
        requestId=case.request_id,
        entries=len(file.entries),
    )


def _detail(opened_case: Opened, door: Door) -> CaseDetailAnswer:
    sealer, permission = door.parts.sealer, opened_case.permission
    return CaseDetailAnswer(
        **_case(opened_case.file, door).model_dump(),
        history=[_entry(entry, sealer) for entry in opened_case.file.entries],
        permission=_permission(permission, sealer) if permission else None,
        looks=[_look(kept) for kept in opened_case.looks.rows],
        moreLooks=opened_case.looks.more,
    )


def _entry(entry: CaseEntry, sealer: Sealer) -> CaseEntryAnswer:
    return CaseEntryAnswer(
        number=entry.number,
        at=entry.at,
        by=entry.by,
        byName=entry.by_name,
        status=entry.status,
        note=sealer.open_text(entry.note, f"{entry.case}:{entry.number}"),
    )


def _permission(permission: Permission, sealer: Sealer) -> CasePermissionAnswer:
    return CasePermissionAnswer(
        id=permission.id,
        basis=permission.basis,
        scope=permission.scope,
        reason=sealer.open_text(permission.reason, permission.id),
        reasonCode=permission.reason_code,
        grantedAt=permission.granted_at,
        expiresAt=permission.expires_at,
        withdrawnAt=permission.withdrawn_at,
    )


def _look(kept: Kept) -> CaseLookAnswer:
    row: Row = kept.row
    return CaseLookAnswer(
        row=kept.seq, kind=row.kind, at=row.at, requestId=row.request_id, relationship=row.relationship
    )
