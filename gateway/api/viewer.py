"""`/viewer`: the record of the patient in context, for somebody whom a launch signed in. Whose record it is stands in
the session alone: no address and no form names a patient here, so no other one can be opened. An address names the
session whose page it is, and shows nothing in another one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from fastapi import APIRouter, Request, Response

from connectors.sdk.model import Item, Section
from gateway.api.bundle import issues
from gateway.api.door import parts_of, template
from gateway.api.http import request_id
from gateway.api.pages import SignedIn, cookies_of, failed, form, refuse_parameters, signed_in
from gateway.caller.model import Caller
from gateway.choice.model import Basis, Scope
from gateway.errors import BadRequest, GatewayError, NoPermission, Refusal
from gateway.fair_use.count import Use
from gateway.launch.refusals import no_page
from gateway.launch.session import Session
from gateway.locate import Look
from gateway.shown import Rendered, Shown
from gateway.web import page, viewer

router = APIRouter(include_in_schema=False)
_NO_PARAMETERS: Final = (
    "This page takes no parameters: it shows the patient of your session. To see another patient, open Connect Care "
    "from that patient's record."
)
_ANSWERS: Final = frozenset({"yes", "no"})


@router.get(viewer.VIEWER)
@router.get(viewer.PAGE)
async def view(request: Request) -> Response:
    """The record in context, or the question whether the patient agrees: on the session's own page alone."""
    try:
        refuse_parameters(request, _NO_PARAMETERS, "viewer.parameters")
        who = await _launched(request)
        await _require_own_page(request, who)
    except GatewayError as error:
        return failed(request, error)
    try:
        rendered = await parts_of(request).records.open(who.presented, _question(request, who))
    except NoPermission:
        return html(viewer.ask(_frame(who)))
    except GatewayError as error:
        told = viewer.refused(_frame(who), error.told, request_id(request))
        return html(told, error.status, error.headers)
    return html(rendered.body)


@router.post(viewer.PERMISSION)
async def answer(request: Request) -> Response:
    """What the patient said. Yes is a permission, and the record; no is the end of it."""
    parts = parts_of(request)
    try:
        who = await _launched(request)
        async with parts.journal.refusals(
            who.caller, request_id(request), template(request), nhs_number=who.session.nhs_number
        ):
            await parts.fair_use.demand(who.caller, request_id(request), template(request), Use.REQUEST)
            said = (await form(request, who.resumed)).get("answer")
            if said not in _ANSWERS:
                raise BadRequest("Choose yes or no, as the patient said.", rule="viewer.answer", expression="answer")
        if said == "no":
            return html(viewer.said_no(_frame(who)))
        await parts.permissions.grant(
            who.caller,
            who.session.nhs_number,
            Basis.PATIENT_AGREED,
            "",
            Scope.STANDARD,
            request_id(request),
            door=template(request),
        )
    except GatewayError as error:
        return failed(request, error)
    return Response(status_code=303, headers={"Location": viewer.page_of(who.resumed.tag), **page.HEADERS})


@router.post(viewer.END)
async def end(request: Request) -> Response:
    """Sign out."""
    parts = parts_of(request)
    cookies = cookies_of(parts)
    try:
        resumed = await parts.sessions.resume(cookies.session(request))
        await form(request, resumed)
        await parts.sessions.end(cookies.session(request))
    except GatewayError as error:
        return failed(request, error)
    response = html(viewer.ended())
    cookies.end_session(response)
    return response


def html(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A page with its headers."""
    return Response(body, status_code=status, headers={**(headers or {}), **page.HEADERS}, media_type=page.HTML)


async def _launched(request: Request) -> SignedIn:
    """Raises as `signed_in`, and Refusal in a session without a patient in context: that has other pages."""
    who = await signed_in(request)
    if not who.session.nhs_number:
        raise no_page()
    return who


async def _require_own_page(request: Request, who: SignedIn) -> None:
    """Raises Refusal, with its row, for the page of another session, or of none. The row names no patient: which one
    was meant isn't known, and the one in context wasn't asked for."""
    parts = parts_of(request)
    try:
        who.resumed.check_page(request.path_params.get("tag", ""))
    except Refusal as error:
        await parts.fair_use.demand(who.caller, request_id(request), template(request), Use.REQUEST)
        await parts.journal.refuse(error, who.caller, request_id(request), template(request))
        raise


def _frame(who: SignedIn) -> viewer.Frame:
    """What each page of a launched session says."""
    return viewer.Frame(who.words, who.session.nhs_number, who.session.needs_banner, who.session.csrf)


def _question(request: Request, who: SignedIn) -> _Viewing:
    return _Viewing(template(request), request_id(request), who.session, _frame(who))


@dataclass(frozen=True, slots=True)
class _Viewing:
    """The question of a page: the whole record of the patient in context."""

    door: str
    request_id: str
    session: Session
    frame: viewer.Frame

    def look(self, caller: Caller) -> Look:
        return Look(
            nhs_number=self.session.nhs_number,
            door=self.door,
            request_id=self.request_id,
            sections=frozenset(Section),
            birth_date=self.session.birth_date,
        )

    def search(self, shown: Shown) -> Rendered:
        names = {line.source: line.name for line in shown.manifest.lines}
        here = [(item, item.section) for item in shown.items if item.section is not None]
        lines = [viewer.Line(section, item.resource, names.get(item.source, item.source)) for item, section in here]
        said = [(one["severity"] == "warning", str(one["details"]["text"])) for one in issues(shown.manifest)]
        missing = {
            section: tuple(line.name for line in shown.manifest.lines if line.lacks(section)) for section in Section
        }
        opened = viewer.Opened(lines, said, shown.manifest.asked, missing, self._patient([item for item, _ in here]))
        body = viewer.record(self.frame, opened, datetime.now(UTC).date())
        items = [item for item, section in here if section in shown.manifest.asked]
        sent = [line.html.encode() for line in lines if line.section in shown.manifest.asked]
        return Rendered(body, {}, items, sent=sent)

    def _patient(self, items: list[Item]) -> dict[str, object] | None:
        """The one that carries the record, as far as it may be shown."""
        patients = (item.resource for item in items if item.sealed_id == self.session.nhs_number)
        return next(patients, None)
