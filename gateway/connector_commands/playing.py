"""One question to a connector that has saved payloads for a network, and what the gateway makes of its answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Final

from connectors.sdk.connector import Connector, connect
from connectors.sdk.errors import ConfigurationError
from connectors.sdk.model import Section
from connectors.sdk.organisations import Organisation, Organisations, OrganisationType
from connectors.sdk.port import Call, Reply, Transport
from gateway.connector_commands import casting
from gateway.connector_commands.refusals import CannotDo
from gateway.fan_out import FanOut
from gateway.locate import Located, Locator, Look
from gateway.replay.passage import Passage, Steps, pass_through
from gateway.replay.sent import sent_in

_SECONDS: Final = 600.0
"""No source is slow here, and a busy machine must not look like one."""
_EVERYTHING: Final = frozenset(Section)


async def played(
    organisation: Organisation, everybody: Organisations, nhs_number: str, steps: Steps, transport: Transport
) -> Passage:
    """What the connector makes of what the transport hands it, through guard, merge and policy. Raises CannotDo."""
    source = organisation.ods
    look = Look(nhs_number, casting.COMMAND, casting.COMMAND, _EVERYTHING)
    located = _located(organisation, everybody, look, steps)
    connector = _connected(organisation, transport)
    try:
        (answer,) = await FanOut({source: connector}).ask(located.asks)
    finally:
        await connector.aclose()
    made = dict(located.asks)
    located.follow(answer)  # which practice a register names; it is not asked
    located.asks = made
    return pass_through(answer, located, steps)


def _located(organisation: Organisation, everybody: Organisations, look: Look, steps: Steps) -> Located:
    """The one Ask, as the gateway would make it for this caller. Raises CannotDo where it would make none.

    Of a register the other organisations matter as well: whether the practice that it names takes part.
    """
    source = organisation.ods
    others = everybody.listed() if organisation.type is OrganisationType.NATIONAL_SERVICE else ()
    known = {one.ods: one for one in others if one.type is not organisation.type} | {source: organisation}
    organisations = Organisations(known, everybody.groups() if others else ())
    now = asyncio.get_running_loop().time()
    may_see = steps.view.sections_for(steps.caller)
    located = Locator(organisations, _SECONDS).locate(steps.caller, look, may_see, now)
    if source not in located.asks:
        raise CannotDo(f"{steps.caller.role} sees nothing of what {source} offers, so it would not be asked.")
    ask = located.asks[source]
    # In whose organisation's name it is asked plays no part here, and that organisation may have no address of its own.
    asked_by = replace(ask.asked_by, organisation=source)
    located.asks = {source: replace(ask, deadline=now + _SECONDS, asked_by=asked_by)}
    return located


def _connected(organisation: Organisation, transport: Transport) -> Connector:
    try:
        return connect(organisation, transport=transport)
    except ConfigurationError as error:
        raise CannotDo(str(error)) from error


class Overheard:
    """A Transport that keeps what it hands over: what never reached the connector can't have been lost by it."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._bodies: list[bytes] = []

    @asynccontextmanager
    async def send(self, call: Call) -> AsyncIterator[Reply]:
        """See Transport."""
        async with self._transport.send(call) as reply:
            yield _Heard(reply, self._bodies)

    async def aclose(self) -> None:
        """See Transport."""
        await self._transport.aclose()

    def keys(self) -> frozenset[str]:
        """The keys of all resources that were handed over."""
        found: set[str] = set()
        for body in self._bodies:
            with suppress(ValueError):  # a 404, or what the connector refused as well
                found.update(one.key for one in sent_in([body]))
        return frozenset(found)


class _Heard:
    def __init__(self, reply: Reply, bodies: list[bytes]) -> None:
        self._reply = reply
        self._bodies = bodies
        self.status = reply.status

    def header(self, name: str) -> str:
        return self._reply.header(name)

    async def chunks(self) -> AsyncIterator[bytes]:
        body = bytearray()
        async for chunk in self._reply.chunks():
            body += chunk
            yield chunk
        self._bodies.append(bytes(body))
