"""How a door that shows no record opens: the caller is known, and a refusal within is a row before it is an answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from starlette.requests import Request

from gateway.api.http import authorization, request_id
from gateway.caller.context import require_in_context
from gateway.caller.model import Caller
from gateway.caller.refusals import CallerRefused
from gateway.choice.number import nhs_number_of
from gateway.errors import GatewayError
from gateway.fair_use.count import Use
from gateway.parts import Parts


def parts_of(request: Request) -> Parts:
    """The parts of the gateway that serves this request."""
    parts: Parts = request.state.parts
    return parts


def template(request: Request, resource_type: str | None = None) -> str:
    """The method and the route's template: what a row may say of an address.

    A resource type that is offered (never one that a client made up) stands in its place; an id never does.
    """
    door = f"{request.method} {request.scope['route'].path}"
    return door.replace("{resource_type}", resource_type) if resource_type else door


@dataclass(frozen=True, slots=True)
class Door:
    """An opened door."""

    parts: Parts
    caller: Caller
    request_id: str
    name: str

    def about(self, nhs_number: str | None) -> None:
        """Raises Refusal where the caller's token is bound to a patient in context and this is another; None: what is
        asked for may be about anybody."""
        if self.caller.grants.in_context:
            require_in_context(self.caller, nhs_number_of(nhs_number) if nhs_number is not None else None)


@asynccontextmanager
async def opened(request: Request) -> AsyncIterator[Door]:
    """Identify the caller; journal whatever they are refused, themselves included where the token says who they are."""
    parts, name, identity = parts_of(request), template(request), request_id(request)
    caller = await parts.entrance.admit(authorization(request), identity, name, Use.REQUEST)
    async with parts.journal.refusals(caller, identity, name):
        yield Door(parts, caller, identity, name)


async def journal_refusal(request: Request, error: GatewayError, name: str) -> None:
    """A row for a refusal that happens outside every route (no such address), where the token says who it was.

    Raises TooMany in the refusal's place where they ask too much: a storm of wrong addresses is a storm.
    """
    parts, identity = parts_of(request), request_id(request)
    try:
        caller = await parts.callers.identify(authorization(request))
    except CallerRefused as refused:
        await parts.entrance.refuse(error, refused.known, identity, name)
    except GatewayError:
        return
    else:
        await parts.fair_use.demand(caller, identity, name, Use.REQUEST)
        await parts.journal.refuse(error, caller, identity, name)
