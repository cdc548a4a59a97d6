"""`/permissions`: ask the patient at the point of care, or act in their best interests and account for it."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from gateway.api.contract import takes
from gateway.api.door import Door, opened
from gateway.api.http import read_model
from gateway.api.models import PatientRequest, PermissionAnswer, PermissionRequest
from gateway.choice.model import Permission
from gateway.errors import NotFound
from gateway.sealed import Sealer

router = APIRouter(tags=["permission"])


@router.post("/permissions", status_code=201, openapi_extra=takes(PermissionRequest))
async def grant(request: Request, response: Response) -> PermissionAnswer:
    """A permission for the caller and one patient, for a limited time."""
    async with opened(request) as door:
        body = await read_model(request, door.parts.settings.max_body_bytes, PermissionRequest)
        permission = await door.parts.permissions.grant(
            door.caller, body.nhsNumber, body.basis, body.reason, body.scope, door.request_id, door=door.name
        )
        response.headers["Location"] = f"{door.parts.settings.public_url.rstrip('/')}/permissions/{permission.id}"
        return _answer(permission, door.parts.sealer)


@router.get("/permissions")
async def own_permissions(request: Request) -> list[PermissionAnswer]:
    """The caller's own permissions, newest first, ended ones too."""
    async with opened(request) as door:
        own = await door.parts.permissions.own(door.caller, door.request_id, door=door.name)
        return [_answer(permission, door.parts.sealer) for permission in own]


@router.get("/permissions/{permission_id}")
async def own_permission(request: Request, permission_id: str) -> PermissionAnswer:
    """One of the caller's own permissions."""
    async with opened(request) as door:
        return _answer(await _own(door, permission_id), door.parts.sealer)


@router.delete("/permissions/{permission_id}", status_code=204)
async def withdraw(request: Request, permission_id: str) -> Response:
    """End one of the caller's own permissions, at once."""
    async with opened(request) as door:
        await door.parts.permissions.withdraw(door.caller, permission_id, door.request_id, door=door.name)
        return Response(status_code=204)


@router.post("/permissions/_search", openapi_extra=takes(PatientRequest))
async def permissions_about(request: Request) -> list[PermissionAnswer]:
    """Everybody's permissions about one patient. For privacy officers; reading it is audited."""
    async with opened(request) as door:
        body = await read_model(request, door.parts.settings.max_body_bytes, PatientRequest)
        about = await door.parts.permissions.about(door.caller, body.nhsNumber, door.request_id, door=door.name)
        return [_answer(permission, door.parts.sealer) for permission in about]


async def _own(door: Door, permission_id: str) -> Permission:
    for permission in await door.parts.permissions.own(door.caller, door.request_id, door=door.name):
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
    )
