"""`/viewer`: the record of the patient in context, for somebody whom a launch signed in. Whose record it is stands in
the session alone: no address and no form names a patient here, so no other one can be opened. An address names the
session whose page it is, and shows nothing in another one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

from fastapi import APIRouter, Request, Response

from connectors.sdk.model import Item, Section
from gateway.api.bundle import issues
from gateway.api.door import parts_of, template
from gateway.api.http import FORM, read_body, request_id
from gateway.caller.model import Caller
from gateway.caller.presented import Presented
from gateway.caller.refusals import CallerRefused
from gateway.choice.model import Basis, Scope
from gateway.errors import BadRequest, GatewayError, NoPermission, Refusal
from gateway.fair_use.count import Use
from gateway.launch.cookies import Cookies
from gateway.launch.refusals import forged_form
from gateway.launch.session import Resumed, Session
from gateway.locate import Look
from gateway.parts import Parts
from gateway.search.pairs import pairs_of
from gateway.shown import Rendered, Shown
from gateway.web import page, viewer

router = APIRouter(include_in_schema=False)
_MOST_BYTES: Final = 32 * 1024
_ANSWERS: Final = frozenset({"yes", "no"})


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A session that holds, what its person presents, and who that is now."""

    resumed: Resumed
    presented: Presented
    caller: Caller

    @property
    def session(self) -> Session:
        return self.resumed.session

    @property
    def frame(self) -> viewer.Frame:
        """What each of their pages says."""
        who, until = self.caller, self.resumed.ends_at
        signed_in = (
            f"{who.name}, {who.role.value.replace('-', ' ')} at {who.organisation_name}, from {self.session.system}, "
            f"until {until:%H:%M} UTC at the latest"
        )
        return viewer.Frame(signed_in, self.session.nhs_number, self.session.needs_banner, self.session.csrf)


@router.get(viewer.VIEWER)
@router.get(viewer.PAGE)
async def view(request: Request) -> Response:
    """The record in context, or the question whether the patient agrees: on the session's own page alone."""
    try:
        _refuse_parameters(request)
        signed_in = await _signed_in(request)
        await _require_own_page(request, signed_in)
    except GatewayError as error:
        return failed(request, error)
    try:
        rendered = await parts_of(request).records.open(signed_in.presented, _question(request, signed_in))
    except NoPermission:
        return html(viewer.ask(signed_in.frame))
    except GatewayError as error:
        told = viewer.refused(signed_in.frame, error.told, request_id(request))
        return html(told, error.status, error.headers)
    return html(rendered.body)


@router.post(viewer.PERMISSION)
async def answer(request: Request) -> Response:
    """What the patient said. Yes is a permission, and the record; no is the end of it."""
    parts = parts_of(request)
    try:
        signed_in = await _signed_in(request)
        async with parts.journal.refusals(
            signed_in.caller, request_id(request), template(request), nhs_number=signed_in.session.nhs_number
        ):
            await parts.fair_use.demand(signed_in.caller, request_id(request), template(request), Use.REQUEST)
            said = (await _form(request, signed_in.resumed)).get("answer")
            if said not in _ANSWERS:
                raise BadRequest("Choose yes or no, as the patient said.", rule="viewer.answer", expression="answer")
        if said == "no":
            return html(viewer.said_no(signed_in.frame))
        await parts.permissions.grant(
            signed_in.caller,
            signed_in.session.nhs_number,
            Basis.PATIENT_AGREED,
            "",
            Scope.STANDARD,
            request_id(request),
            door=template(request),
        )
    except GatewayError as error:
        return failed(request, error)
    return Response(status_code=303, headers={"Location": viewer.page_of(signed_in.resumed.tag), **page.HEADERS})


@router.post(viewer.END)
async def end(request: Request) -> Response:
    """Sign out."""
    parts = parts_of(request)
    cookies = cookies_of(parts)
    try:
        resumed = await parts.sessions.resume(cookies.session(request))
        await _form(request, resumed)
        await parts.sessions.end(cookies.session(request))
    except GatewayError as error:
        return failed(request, error)
    response = html(viewer.ended())
    cookies.end_session(response)
    return response


def cookies_of(parts: Parts) -> Cookies:
    """The cookies as clients of this gateway can hold them."""
    return Cookies(secure=urlsplit(parts.settings.public_url).scheme == "https")


def html(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A page with its headers."""
    return Response(body, status_code=status, headers={**(headers or {}), **page.HEADERS}, media_type=page.HTML)


def failed(request: Request, error: GatewayError) -> Response:
    """What went wrong, as a page. A browser that isn't signed in is sent to no sign-in page: it came from an EHR."""
    headers = {name: value for name, value in error.headers.items() if name != "WWW-Authenticate"}
    return html(page.problem(error.told, request_id(request)), error.status, headers)


async def _signed_in(request: Request) -> SignedIn:
    """Raises NotSignedIn; CallerRefused, with its row, where they may not ask any more; TooMany where they go on."""
    parts = parts_of(request)
    resumed = await parts.sessions.resume(cookies_of(parts).session(request))
    presented = await parts.launches.presented(resumed.session)
    try:
        caller = await parts.callers.identify(presented)
    except CallerRefused as error:
        await parts.fair_use.demand_of_refused(error.known, request_id(request), template(request))
        await parts.journal.refuse(error, error.known, request_id(request), template(request))
        raise
    return SignedIn(resumed, presented, caller)


async def _require_own_page(request: Request, signed_in: SignedIn) -> None:
    """Raises Refusal, with its row, for the page of another session, or of none. The row names no patient: which one
    was meant isn't known, and the one in context wasn't asked for."""
    parts = parts_of(request)
    try:
        signed_in.resumed.check_page(request.path_params.get("tag", ""))
    except Refusal as error:
        await parts.fair_use.demand(signed_in.caller, request_id(request), template(request), Use.REQUEST)
        await parts.journal.refuse(error, signed_in.caller, request_id(request), template(request))
        raise


async def _form(request: Request, resumed: Resumed) -> dict[str, str]:
    """The fields of a form that this session's own page made. Raises Refusal, BadRequest."""
    origin = request.headers.get("origin")
    if origin is not None and origin != _origin(parts_of(request).settings.public_url):
        raise forged_form()
    fields = once(await read_body(request, _MOST_BYTES, frozenset({FORM})))
    resumed.check_form(fields)
    return fields


def once(form: bytes) -> dict[str, str]:
    """The fields of a form or query. Raises BadRequest where one stands twice."""
    pairs = pairs_of(form)
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise BadRequest("A field stands twice. Send each once.", rule="form.repeated")
    return fields


def _origin(public_url: str) -> str:
    parts = urlsplit(public_url)
    return f"{parts.scheme}://{parts.netloc}"


def _refuse_parameters(request: Request) -> None:
    if request.scope["query_string"]:
        raise BadRequest(
            "This page takes no parameters: it shows the patient of your session. To see another patient, open "
            "Connect Care from that patient's record.",
            rule="viewer.parameters",
        )


def _question(request: Request, signed_in: SignedIn) -> _Viewing:
    return _Viewing(template(request), request_id(request), signed_in.session, signed_in.frame)


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
