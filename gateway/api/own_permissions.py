"""`/my/permissions`: a patient sees who may look now, and takes back a yes."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request, Response

from gateway.api import own
from gateway.api.own import PERMISSIONS, Own
from gateway.api.pages import sent_to
from gateway.choice.model import Channel
from gateway.web.own_permissions import told_given

router = APIRouter(include_in_schema=False)
TAKE_BACK: Final = f"{PERMISSIONS}/take-back"


@router.get(PERMISSIONS)
async def permissions(request: Request) -> Response:
    """Whoever may look now, each with a form that ends it."""

    async def answer(me: Own) -> Response:
        given = await me.parts.permissions.given(me.caller, me.nhs_number, me.request_id, door=me.door)
        told = [told_given(one, me.place_of) for one in given]
        return me.shown("own-permissions.jinja", title="Who may look now", told=told, to=TAKE_BACK)

    return await own.page(request, answer)


@router.post(TAKE_BACK)
async def take_back(request: Request) -> Response:
    """Nobody's look on that permission is released any more when this is answered. Again is harmless."""

    async def answer(me: Own) -> Response:
        fields = await me.form()
        await me.parts.permissions.take_back(
            me.caller, me.nhs_number, fields.get("permission", ""), Channel.ONLINE, me.request_id, door=me.door
        )
        return sent_to(PERMISSIONS)

    return await own.page(request, answer)
