"""What the doors of staff's pages share: who is signed in, and that whatever they are refused is a page, and a row."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from fastapi import Request, Response

from gateway.api.door import parts_of, template
from gateway.api.http import request_id
from gateway.api.pages import SignedIn, around, failed, form, signed_in
from gateway.choice.may import demand
from gateway.errors import BadRequest, GatewayError
from gateway.fair_use.count import Use
from gateway.launch.refusals import no_page, one_patient
from gateway.web.frame import NOBODY

Handler = Callable[[Request, SignedIn], Awaitable[Response]]
Door = Callable[[Request], Awaitable[Response]]


def for_staff(handler: Handler) -> Door:
    """The door of a page for whoever signed in by themselves: a launched session is of one patient, with one page."""
    return _door(handler, is_launched=False)


def for_launched(handler: Handler) -> Door:
    """The door of a page for whoever a launch signed in, with a patient in context."""
    return _door(handler, is_launched=True)


def _door(handler: Handler, *, is_launched: bool) -> Door:
    async def door(request: Request) -> Response:
        frame = NOBODY
        try:
            who = await signed_in(request)
            frame = around(request, who)
            if bool(who.session.nhs_number) is not is_launched:
                async with admitted(request, who):
                    raise no_page() if is_launched else one_patient()
            return await handler(request, who)
        except GatewayError as error:
            return failed(request, error, frame)

    door.__doc__ = handler.__doc__
    return door


@asynccontextmanager
async def admitted(
    request: Request, who: SignedIn, *uses: Use, action: str = "", nhs_number: str | None = None
) -> AsyncIterator[None]:
    """Within: one more use of theirs, that policy lets them (`action`), and a row for whatever they are refused.

    Raises TooMany, and Refusal with the policy's own sentence.
    """
    parts = parts_of(request)
    async with parts.journal.refusals(who.caller, request_id(request), template(request), nhs_number=nhs_number):
        await parts.fair_use.demand(who.caller, request_id(request), template(request), Use.REQUEST, *uses)
        if action:
            demand(parts.policy.may_caller, action, who.caller)
        yield


async def sent(request: Request, who: SignedIn, nhs_number: str | None = None) -> dict[str, str]:
    """The fields of a form that this session's own page made. Any other is refused, which is counted, and a row."""
    try:
        return await form(request, who.resumed)
    except GatewayError:
        async with admitted(request, who, nhs_number=nhs_number):
            raise


class Misfilled(BadRequest):
    """A form of ours with fields that can't be taken: `errors` are (field, what to do), in the page's order. The texts
    repeat nothing that was typed."""

    def __init__(self, errors: list[tuple[str, str]], *, rule: str) -> None:
        super().__init__(" ".join(text for _, text in errors), rule=rule, expression=errors[0][0])
        self.errors = errors
