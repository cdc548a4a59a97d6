"""`/viewer`: the record of the patient in context, for somebody whom a launch signed in. Whose record it is stands in
the session alone: no address and no form names a patient here, so no other one can be opened. An address names the
session whose page it is, and shows nothing in another one."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request, Response

from gateway.api import opening
from gateway.api.pages import SignedIn, refuse_parameters
from gateway.api.staff import admitted, for_launched
from gateway.api.subject import Subject

router = APIRouter(include_in_schema=False)
VIEWER: Final = "/viewer"
PAGE: Final = VIEWER + "/{tag}"
"""Each session's page has an address of its own, so that reloading it never shows another session's patient."""
_NO_PARAMETERS: Final = (
    "This page takes no parameters: it shows the patient of your session. To see another patient, open Connect Care "
    "from that patient's record."
)


def page_of(tag: str) -> str:
    """The address of the page of the session with that tag."""
    return PAGE.format(tag=tag)


@router.get(PAGE + "/permission")
@for_launched
async def ask_permission(request: Request, who: SignedIn) -> Response:
    """The question whether the patient agrees, asked again."""
    return await opening.ask(request, who, await _subject(request, who))


@router.post(PAGE + "/permission")
@for_launched
async def take_permission(request: Request, who: SignedIn) -> Response:
    """What the patient said."""
    return await opening.answer(request, who, await _subject(request, who))


@router.get(PAGE + "/best-interests")
@for_launched
async def interrupt(request: Request, who: SignedIn) -> Response:
    """What a look without the patient's word means, and why it is needed."""
    return await opening.interrupt(request, who, await _subject(request, who))


@router.post(PAGE + "/best-interests")
@for_launched
async def take_best_interests(request: Request, who: SignedIn) -> Response:
    """On to the record, with the privacy officer's case."""
    return await opening.act(request, who, await _subject(request, who))


@router.get(VIEWER)
@router.get(PAGE)
@for_launched
async def view(request: Request, who: SignedIn) -> Response:
    """The record in context, or the question whether the patient agrees."""
    refuse_parameters(request, _NO_PARAMETERS, "viewer.parameters")
    return await opening.show(request, who, await _subject(request, who))


async def _subject(request: Request, who: SignedIn) -> Subject:
    """The patient in context, on the session's own page alone.

    Raises Refusal, with its row, for the page of another session, or of none. The row names no patient: which one was
    meant isn't known, and the one in context wasn't asked for.
    """
    tag = request.path_params.get("tag", "")
    if tag != who.resumed.tag:
        async with admitted(request, who):
            who.resumed.check_page(tag)
    page = page_of(tag)
    return Subject(
        nhs_number=who.session.nhs_number,
        birth_date=who.session.birth_date,
        record=page,
        permission=f"{page}/permission",
        best_interests=f"{page}/best-interests",
        find="",
        needs_banner=who.session.needs_banner,
    )
