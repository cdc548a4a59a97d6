"""`/my/looks`: a patient reads who looked at their record, prints it, and saves it with its proof."""

from __future__ import annotations

import asyncio
from typing import Final

from fastapi import APIRouter, Request, Response

from gateway.api import own
from gateway.api.own import LOOKS, Own
from gateway.api.reports import as_file
from gateway.audit.report.formats import Format
from gateway.audit.report.model import Period, Report
from gateway.errors import NotFound
from gateway.web.own_looks import told_looks

router = APIRouter(include_in_schema=False)
LETTER: Final = f"{LOOKS}/letter"
FILES: Final = f"{LOOKS}/files"
_ALL: Final = Period()


@router.get(LOOKS)
async def looks(request: Request) -> Response:
    """Who looked, by person and place, and what happened, newest first."""

    async def answer(me: Own) -> Response:
        told = await asyncio.to_thread(told_looks, await _report(me, is_page=True))
        return me.shown("own-looks.jinja", title="Who looked at my record", told=told, letter=LETTER, files=FILES)

    return await own.page(request, answer)


@router.get(LETTER)
async def letter(request: Request) -> Response:
    """All of it, to print."""

    async def answer(me: Own) -> Response:
        told = await asyncio.to_thread(told_looks, await _report(me, is_page=True), None)
        return me.shown("own-letter.jinja", title="Who looked at your record", told=told, back=LOOKS)

    return await own.page(request, answer)


@router.get(FILES + "/{form}")
async def file(request: Request, form: str) -> Response:
    """All of it as a file: `json` and `html` carry the proof."""

    async def answer(me: Own) -> Response:
        if form not in list(Format):
            raise NotFound("There is no such file. Go back, and choose one of the list.", rule="my.unknown")
        return await as_file(await _report(me), Format(form))

    return await own.page(request, answer)


async def _report(me: Own, *, is_page: bool = False) -> Report:
    """Made anew each time: that it was read stands in it. Only what is kept as a proof has all of it signed first."""
    return await me.parts.reports.make(me.caller, me.nhs_number, _ALL, me.request_id, door=me.door, is_page=is_page)
