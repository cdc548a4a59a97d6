"""`/my/choice`: a patient sees what they chose, opts out of Connect Care, or back in."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request, Response

from gateway.api import once, own
from gateway.api.own import CHOICE, Own
from gateway.api.pages import sent_to
from gateway.choice.model import Channel, Choice, IdentifiedBy, StatedBy
from gateway.web.own_choice import told_choices
from gateway.web.own_words import SENT_BEFORE

router = APIRouter(include_in_schema=False)
OUT: Final = f"{CHOICE}/opt-out"
IN: Final = f"{CHOICE}/opt-in"


@router.get(CHOICE)
async def choice(request: Request) -> Response:
    """What holds now, what it means, and what was chosen before."""

    async def answer(me: Own) -> Response:
        history = await me.parts.sharing.history(me.caller, me.nhs_number, me.request_id, door=me.door)
        told = told_choices(history, me.place_of)
        return me.shown("own-choice.jinja", title="My choice", told=told, change_to=IN if told.is_out else OUT)

    return await own.page(request, answer)


@router.get(OUT)
async def ask_out(request: Request) -> Response:
    """What opting out means, before it is done."""
    return await _asked(request, Choice.OPTED_OUT)


@router.get(IN)
async def ask_in(request: Request) -> Response:
    """What opting back in means, before it is done."""
    return await _asked(request, Choice.OPTED_IN)


@router.post(OUT)
async def opt_out(request: Request) -> Response:
    """In force everywhere when this is answered."""
    return await _chosen(request, Choice.OPTED_OUT)


@router.post(IN)
async def opt_in(request: Request) -> Response:
    """Staff may ask again: nobody's earlier permission holds."""
    return await _chosen(request, Choice.OPTED_IN)


async def _asked(request: Request, wanted: Choice) -> Response:
    async def answer(me: Own) -> Response:
        if await me.parts.sharing.current(me.nhs_number) is wanted:
            return sent_to(CHOICE)
        is_out = wanted is Choice.OPTED_OUT
        title = "Do you want to opt out?" if is_out else "Do you want to opt back in?"
        return me.shown(
            "own-choice-ask.jinja", title=title, is_out=is_out, once=once.new(), to=request.url.path, back=CHOICE
        )

    return await own.page(request, answer)


async def _chosen(request: Request, wanted: Choice) -> Response:
    """The choice on the patient's own word. A form that was sent twice and a choice that holds already add nothing.

    Where a form comes again and what it asks for doesn't hold, nobody may think that it does: perhaps it failed before.
    """

    async def answer(me: Own) -> Response:
        is_first = await me.first(await me.form())
        if await me.parts.sharing.current(me.nhs_number) is not wanted:
            if not is_first:
                return _sent_before(me)
            await me.parts.sharing.record(
                me.caller,
                me.nhs_number,
                wanted,
                StatedBy.PATIENT,
                Channel.ONLINE,
                me.request_id,
                identified_by=IdentifiedBy.SIGNED_IN,
                door=me.door,
            )
        return sent_to(CHOICE)

    return await own.page(request, answer)


def _sent_before(me: Own) -> Response:
    return me.shown(
        "problem.jinja",
        status=409,
        title=SENT_BEFORE.title,
        told=SENT_BEFORE.told,
        then=CHOICE,
        then_text="My choice",
        request_id=me.request_id,
    )
