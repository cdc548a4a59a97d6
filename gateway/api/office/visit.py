"""One visit to a page of the office: who it is, what they sent, and what goes wrong told as a page.

No address names a patient: whoever or whatever a page is about stands in its address sealed, and opens in the session
that it was sealed for alone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

from fastapi import Request, Response

from gateway.api import once
from gateway.api.door import parts_of, template
from gateway.api.http import request_id
from gateway.api.pages import SignedIn, around, form, may, shown
from gateway.api.staff import admitted, for_staff
from gateway.caller.context import require_in_context
from gateway.caller.model import Caller
from gateway.choice.may import demand
from gateway.errors import BadRequest, Conflict, NotFound
from gateway.fair_use.count import Use
from gateway.parts import Parts
from gateway.sealed import Unsealable

_Word = TypeVar("_Word", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Visit:
    """Somebody at a page, whom policy has let in nowhere yet: the part that the page asks does that."""

    request: Request
    who: SignedIn

    @property
    def parts(self) -> Parts:
        """The gateway's."""
        return parts_of(self.request)

    @property
    def caller(self) -> Caller:
        """Who is asking."""
        return self.who.caller

    @property
    def request_id(self) -> str:
        """What the rows of this visit carry."""
        return request_id(self.request)

    @property
    def door(self) -> str:
        """The page's name in rows: its template, never its address."""
        return template(self.request)

    def shown(self, page: str, *, status: int = 200, **said: Any) -> Response:
        """A page of the office."""
        said = {"csrf": self.who.session.csrf, **said}
        return shown(around(self.request, self.who), f"office/{page}.jinja", status=status, **said)

    def seal(self, about: dict[str, Any]) -> str:
        """For an address: what the page behind it is about."""
        return self.parts.sealer.seal_cursor(about, self._bound)

    def opened(self) -> dict[str, Any]:
        """What this page's address says that it is about. Raises NotFound for an address of another session."""
        try:
            return self.parts.sealer.open_cursor(self.request.path_params["sealed"], self._bound)
        except Unsealable as error:
            raise NotFound(
                "This address is of another session, or was cut off. Begin again from the menu.", rule="office.address"
            ) from error

    def demand(self, action: str) -> None:
        """Raises Refusal with the rule's own sentence where policy doesn't let them."""
        demand(self.parts.policy.may_caller, action, self.caller)

    def may(self, action: str) -> bool:
        """Whether policy lets them, so that a page offers what works."""
        return may(self.parts, action, self.caller)

    async def demand_use(self, *uses: Use) -> None:
        """Count one more use of theirs. Raises TooMany."""
        await self.parts.fair_use.demand(self.caller, self.request_id, self.door, *uses)

    async def form(self) -> dict[str, str]:
        """The fields of this session's own form. Raises Refusal, BadRequest."""
        return await form(self.request, self.who.resumed)

    async def spend(self, fields: dict[str, str]) -> None:
        """Raises Conflict where this very form was sent before: a double click records nothing twice."""
        if not await once.is_first(self.parts, self.who.resumed, fields):
            raise Conflict(
                "This form was sent already, and nothing was recorded a second time. The first time may have failed: "
                "see what stands in the history, and record it anew if it isn't there.",
                rule="form.sent-already",
            )

    @asynccontextmanager
    async def refusals(self, nhs_number: str | None = None) -> AsyncIterator[None]:
        """Whatever is refused within is a row, as at every door."""
        async with self.parts.journal.refusals(self.caller, self.request_id, self.door, nhs_number=nhs_number):
            yield

    @property
    def _bound(self) -> str:
        return f"office page {self.who.resumed.id}"


async def visited(request: Request, page: Callable[[Visit], Awaitable[Response]]) -> Response:
    """Let somebody in who signed in by themselves, and answer with what `page` makes, or with why not."""

    async def let_in(request: Request, who: SignedIn) -> Response:
        async with admitted(request, who):
            require_in_context(who.caller, None)
            return await page(Visit(request, who))

    return await for_staff(let_in)(request)


def chosen(fields: Mapping[str, str], name: str, offered: Iterable[_Word], told: str) -> _Word:
    """The word that was chosen of those that the form offers. Raises BadRequest with what to choose."""
    for word in offered:
        if word.value == fields.get(name):
            return word
    raise BadRequest(told, rule="form.incomplete", expression=name)
