"""One patient's pages, whichever way somebody came to them: the question at the point of care, and the record.

The order is the pipeline's own: the record is asked for, and where no permission holds the question is put instead.
Whatever a form does leads back to the record by a redirect, so that going back or reloading repeats no form.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fastapi import Request, Response

from gateway.api.door import parts_of, template
from gateway.api.http import request_id
from gateway.api.live_page import streamed
from gateway.api.pages import SignedIn, around, may, sent_to, shown
from gateway.api.staff import Misfilled, admitted, sent
from gateway.api.subject import Subject
from gateway.choice.may import ASK_BEST_INTERESTS, ASK_PERMISSION
from gateway.choice.model import Basis, Permission, Scope
from gateway.choice.reasons import AT_THE_POINT_OF_CARE, DISPLAY, ReasonCode
from gateway.errors import BadRequest, GatewayError, NoPermission, OptedOut, Refusal
from gateway.fair_use.count import Use
from gateway.web.words import grouped

_ANSWERS: Final = frozenset({"yes", "yes-and-sensitive", "no", "cannot"})
_ANSWER_RULE: Final = "viewer.answer"
_FIELD_OF: Final = {"reason": "reason", "reasonCode": "reason-code"}
_SAYS: Final = {
    "reason": "Write why the patient can’t be asked and why it can’t wait, in words, with 5 to 500 characters",
    "reason-code": "Choose the reason that fits",
}


async def show(request: Request, who: SignedIn, subject: Subject) -> Response:
    """One look: the record, or the question, or why there is nothing to show."""
    _require_opened(request)
    try:
        return await streamed(request, who, subject)
    except NoPermission:
        return _question(request, who, subject)
    except GatewayError as error:
        return _nothing(request, who, subject, error)


async def ask(request: Request, who: SignedIn, subject: Subject) -> Response:
    """The question, also where a permission holds: the patient may agree to more."""
    async with admitted(request, who, action=ASK_PERMISSION, nhs_number=subject.nhs_number):
        return _question(request, who, subject)


async def answer(request: Request, who: SignedIn, subject: Subject) -> Response:
    """What the patient said. Yes is a permission, and the record; no is the end of it, and is written down too."""
    said = (await sent(request, who, subject.nhs_number)).get("answer", "")
    try:
        async with admitted(request, who, nhs_number=subject.nhs_number):
            if said not in _ANSWERS:
                raise Misfilled([("answer", "Choose what the patient said")], rule=_ANSWER_RULE)
    except Misfilled as error:
        return _question(request, who, subject, error)
    if said == "no":
        permissions = parts_of(request).permissions
        await permissions.refused(who.caller, subject.nhs_number, request_id(request), door=template(request))
        return _page(request, who, subject, "said-no.jinja", "Nothing is opened")
    if said == "cannot":
        return sent_to(subject.best_interests)
    scope = Scope.INCLUDING_SENSITIVE if said == "yes-and-sensitive" else Scope.STANDARD
    if not await _holds(request, who, subject, Basis.PATIENT_AGREED, scope):
        try:
            await _grant(request, who, subject, Basis.PATIENT_AGREED, "", scope)
        except OptedOut as error:
            return _nothing(request, who, subject, error)
    return sent_to(subject.record)


async def interrupt(request: Request, who: SignedIn, subject: Subject) -> Response:
    """The page in between: what it means to look without the patient's word."""
    async with admitted(request, who, action=ASK_BEST_INTERESTS, nhs_number=subject.nhs_number):
        return _interruption(request, who, subject)


async def act(request: Request, who: SignedIn, subject: Subject) -> Response:
    """A permission in the patient's best interests, which opens a privacy officer's case. Sent twice it is one."""
    fields = await sent(request, who, subject.nhs_number)
    if await _holds(request, who, subject, Basis.BEST_INTERESTS, Scope.STANDARD):
        return sent_to(subject.record)
    async with admitted(request, who, Use.BEST_INTERESTS, action=ASK_BEST_INTERESTS, nhs_number=subject.nhs_number):
        code = _code(fields.get("reason-code", ""))
    try:
        await _grant(request, who, subject, Basis.BEST_INTERESTS, fields.get("reason", ""), Scope.STANDARD, code)
    except BadRequest as error:
        return _interruption(request, who, subject, fields, error)
    except OptedOut as error:
        return _nothing(request, who, subject, error)
    return sent_to(subject.record)


def _require_opened(request: Request) -> None:
    """Raises Refusal where the browser only fetches ahead, or fetches the page as a part of another: a look is written
    down, and sources are asked, so it has to be somebody's own."""
    headers = request.headers
    if "prefetch" in headers.get("sec-purpose", "") or headers.get("sec-fetch-dest", "document") != "document":
        raise Refusal("Open this page by itself: nothing is fetched ahead of it.", rule="viewer.not-opened")


def _code(typed: str) -> ReasonCode | None:
    return next((code for code in ReasonCode if code.value == typed), None)


async def _holds(request: Request, who: SignedIn, subject: Subject, basis: Basis, scope: Scope) -> bool:
    """True where just this is held already: a form that is sent twice grants once."""
    try:
        held: Permission = await parts_of(request).permissions.require(who.caller, subject.nhs_number)
    except NoPermission:
        return False
    return (held.basis, held.scope) == (basis, scope)


async def _grant(
    request: Request,
    who: SignedIn,
    subject: Subject,
    basis: Basis,
    reason: str,
    scope: Scope,
    code: ReasonCode | None = None,
) -> None:
    await parts_of(request).permissions.grant(
        who.caller,
        subject.nhs_number,
        basis,
        reason,
        scope,
        request_id(request),
        reason_code=code,
        door=template(request),
    )


def _question(request: Request, who: SignedIn, subject: Subject, error: Misfilled | None = None) -> Response:
    parts = parts_of(request)
    return _page(
        request,
        who,
        subject,
        "permission.jinja",
        "Ask the patient",
        status=error.status if error else 200,
        errors=dict(error.errors) if error else {},
        may_ask=may(parts, ASK_PERMISSION, who.caller),
        may_act=may(parts, ASK_BEST_INTERESTS, who.caller),
    )


def _interruption(
    request: Request,
    who: SignedIn,
    subject: Subject,
    fields: Mapping[str, str] | None = None,
    error: BadRequest | None = None,
) -> Response:
    reasons = [(code.value, DISPLAY[code], when) for code, when in AT_THE_POINT_OF_CARE.items()]
    wrong = {_FIELD_OF[error.expression]: _SAYS[_FIELD_OF[error.expression]]} if error else {}
    return _page(
        request,
        who,
        subject,
        "best-interests.jinja",
        "Look without asking the patient?",
        status=error.status if error else 200,
        errors=wrong,
        typed=fields or {},
        reasons=reasons,
    )


def _nothing(request: Request, who: SignedIn, subject: Subject, error: GatewayError) -> Response:
    """Why nothing is shown of this patient."""
    opted_out = isinstance(error, OptedOut)
    title = "This patient has opted out" if opted_out else "Nothing can be shown"
    response = _page(
        request,
        who,
        subject,
        "nothing.jinja",
        title,
        status=error.status,
        told=error.told,
        opted_out=opted_out,
        request_id=request_id(request),
    )
    response.headers.update(error.headers)
    return response


def _page(
    request: Request, who: SignedIn, subject: Subject, name: str, title: str, *, status: int = 200, **said: Any
) -> Response:
    said |= {"subject": subject, "number": grouped(subject.nhs_number), "csrf": who.session.csrf, "title": title}
    return shown(around(request, who), name, status=status, **said)
