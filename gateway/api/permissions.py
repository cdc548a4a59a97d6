"""`/permissions`: ask the patient at the point of care, or act in their best interests and account for it."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from gateway.api.contract import takes
from gateway.api.door import Door, opened
from gateway.api.http import read_model
from gateway.api.models import (
    ExtensionRequest,
    PatientRequest,
    PermissionAnswer,
    PermissionRequest,
    WithdrawalAnswer,
    WithdrawalRequest,
)
from gateway.choice.extension import Extension
from gateway.choice.model import Basis, Permission
from gateway.choice.reasons import ReasonCode
from gateway.errors import NotFound
from gateway.fair_use.count import Use
from gateway.sealed import Sealer

router = APIRouter(tags=["permission"])


@router.post("/permissions", status_code=201, openapi_extra=takes(PermissionRequest))
async def grant(request: Request, response: Response) -> PermissionAnswer:
    """A permission for the caller and one patient, for a limited time."""
    async with opened(request) as door:
        body = await read_model(request, door.parts.settings.max_body_bytes, PermissionRequest)
        door.about(body.nhsNumber)
        if body.basis is Basis.BEST_INTERESTS:
            await door.parts.fair_use.demand(door.caller, door.request_id, door.name, Use.BEST_INTERESTS)
        permission = await door.parts.permissions.grant(
            door.caller,
            body.nhsNumber,
            body.basis,
            body.reason,
            body.scope,
            door.request_id,
            reason_code=body.reasonCode,
            door=door.name,
        )
        response.headers["Location"] = _address(door, permission)
        return _answer(permission, door.parts.sealer)


@router.post("/permissions/{permission_id}/extend", status_code=201, openapi_extra=takes(ExtensionRequest))
async def extend(request: Request, response: Response, permission_id: str) -> PermissionAnswer:
    """Prolong one of the caller's own permissions while it holds: the patient was asked again, or why they can't be."""
    async with opened(request) as door:
        body = await read_model(request, door.parts.settings.max_body_bytes, ExtensionRequest)
        await _require_in_context(door, permission_id)
        asked = Extension(patient_asked=body.patientAsked, reason=body.reason, reason_code=body.reasonCode)
        permission = await door.parts.permissions.extend(
            door.caller, permission_id, asked, door.request_id, door=door.name
        )
        response.headers["Location"] = _address(door, permission)
        return _answer(permission, door.parts.sealer)


@router.post("/permissions/_withdraw", openapi_extra=takes(WithdrawalRequest))
async def withdraw_all(request: Request) -> WithdrawalAnswer:
    """End everybody's permissions about one patient, on the patient's word: nobody looks any more, from now."""
    async with opened(request) as door:
        body = await read_model(request, door.parts.settings.max_body_bytes, WithdrawalRequest)
        door.about(body.nhsNumber)
        permissions = door.parts.permissions
        ended = await permissions.withdraw_all(
            door.caller, body.nhsNumber, body.statedBy, body.channel, door.request_id, door=door.name
        )
        told = tuple(ended) if permissions.may_read(door.caller) else None
        return WithdrawalAnswer(ended=len(ended), permissions=told)


@router.get("/permissions")
async def own_permissions(request: Request) -> list[PermissionAnswer]:
    """The caller's own permissions, newest first, ended ones too."""
    async with opened(request) as door:
        return [_answer(permission, door.parts.sealer) for permission in await _all_own(door)]


@router.get("/permissions/{permission_id}")
async def own_permission(request: Request, permission_id: str) -> PermissionAnswer:
    """One of the caller's own permissions."""
    async with opened(request) as door:
        return _answer(await _own(door, permission_id), door.parts.sealer)


@router.delete("/permissions/{permission_id}", status_code=204)
async def withdraw(request: Request, permission_id: str) -> Response:
    """End one of the caller's own permissions, at once."""
    async with opened(request) as door:
        await _require_in_context(door, permission_id)
        await door.parts.permissions.withdraw(door.caller, permission_id, door.request_id, door=door.name)
        return Response(status_code=204)


@router.post("/permissions/_search", openapi_extra=takes(PatientRequest))
async def permissions_about(request: Request) -> list[PermissionAnswer]:
    """Everybody's permissions about one patient. For privacy officers; reading it is audited."""
    async with opened(request) as door:
        body = await read_model(request, door.parts.settings.max_body_bytes, PatientRequest)
        door.about(body.nhsNumber)
        about = await door.parts.permissions.about(door.caller, body.nhsNumber, door.request_id, door=door.name)
        return [_answer(permission, door.parts.sealer) for permission in about]


def _address(door: Door, permission: Permission) -> str:
    return f"{door.parts.settings.public_url.rstrip('/')}/permissions/{permission.id}"


async def _all_own(door: Door) -> list[Permission]:
    """The caller's own; with a token that is bound to the patient in context, those about that patient."""
    own = await door.parts.permissions.own(door.caller, door.request_id, door=door.name)
    grants, sealer = door.caller.grants, door.parts.sealer
    return [one for one in own if not grants.in_context or grants.is_about(sealer.open_patient(one.sealed_patient))]


async def _require_in_context(door: Door, permission_id: str) -> None:
    """Raises NotFound where the caller's token is bound to the patient in context, and the permission isn't."""
    if door.caller.grants.in_context:
        await _own(door, permission_id)


async def _own(door: Door, permission_id: str) -> Permission:
    for permission in await _all_own(door):
        if permission.id == permission_id:
            return permission
    raise NotFound("You have no permission with this id.", rule="permission.not-yours")


def _answer(permission: Permission, sealer: Sealer) -> PermissionAnswer:
    return PermissionAnswer(
        id=permission.id,
        nhsNumber=sealer.open_patient(permission.sealed_patient),
        basis=permission.basis,
        scope=permission.scope,
        reason=sealer.open_text(permission.reason, permission.id),
        organisation=permission.organisation,
        grantedAt=permission.granted_at,
        expiresAt=permission.expires_at,
        withdrawnAt=permission.withdrawn_at,
        reasonCode=ReasonCode(permission.reason_code) if permission.reason_code else None,
        extends=permission.extends,
    )
