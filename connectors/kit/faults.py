"""How a sandbox can be made ill: one switch per organisation, one function per illness.

An illness that needs no knowledge of what the system holds is here, and works for every sandbox. The others
(`lying`, `lying-quietly`, `no-allergies`) are passed on: the system reads `mode_of(scope)` and plays them itself.
What only a socket can do (RST, half a chunk) is in `fault_server.py`; here a connection is broken as far as ASGI can.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from connectors.kit import bodies
from connectors.kit.asgi import FHIR_JSON, ASGIApp, Message, Receive, Scope, Send, gone_within, outcome, reply
from connectors.kit.canaries import canary

DEFAULT_DELAY_MS: Final = 1500
HUNG_SECONDS: Final = 60.0
DRIP_SECONDS: Final = 0.2

_MODE: Final = "connect-care.sandbox-mode"


class Mode(StrEnum):
    """What a sandbox does with the next call."""

    WELL = "well"
    SLOW = "slow"
    BROKEN = "broken"
    HUNG = "hung"
    DRIPPING = "dripping"
    LYING = "lying"
    LYING_QUIETLY = "lying-quietly"
    BUSY = "busy"
    NO_ALLERGIES = "no-allergies"
    BOMB = "bomb"
    REFUSING = "refusing"
    REDIRECTING = "redirecting"
    GARBAGE = "garbage"
    RESET = "reset"
    BLACKHOLE = "blackhole"
    TRUNCATED = "truncated"
    CORRUPT = "corrupt"
    DUPLICATE = "duplicate"


@dataclass(slots=True)
class Switch:
    """The present state of one sandbox. `delay_ms` matters to `slow` alone."""

    ods: str
    mode: Mode = Mode.WELL
    delay_ms: int = DEFAULT_DELAY_MS
    hung_seconds: float = HUNG_SECONDS
    drip_seconds: float = DRIP_SECONDS


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the system behind the switch."""

    system: ASGIApp
    scope: Scope
    receive: Receive
    send: Send
    switch: Switch

    async def through(self, send: Send | None = None) -> None:
        """Let the system answer, to the caller or to another `send`."""
        await self.system(self.scope, self.receive, send or self.send)


def mode_of(scope: Scope) -> Mode:
    """The mode in which the system has to answer; `well` where no switch stands in front of it."""
    return Mode(scope.get(_MODE, Mode.WELL))


async def answer(call: Call) -> None:
    """Answer one call in the switch's present mode."""
    call.scope[_MODE] = call.switch.mode
    await FAULTS.get(call.switch.mode, Call.through)(call)


async def _slow(call: Call) -> None:
    await asyncio.sleep(call.switch.delay_ms / 1000)
    await call.through()


async def _broken(call: Call) -> None:
    """Real servers put SQL, paths and patients into diagnostics; the canary shows whether anyone passes them on."""
    mark = canary(call.switch.ods, "broken")
    await reply(call.send, 500, outcome("exception", f"Unhandled error near {mark}"), FHIR_JSON)


async def _hung(call: Call) -> None:
    if not await gone_within(call.receive, call.switch.hung_seconds):
        await reply(call.send, 504, outcome("timeout", "The system did not answer."), FHIR_JSON)


async def _blackhole(call: Call) -> None:
    """Nothing, for as long as the caller waits."""
    await gone_within(call.receive, None)


async def _answered(call: Call) -> tuple[Message, bytes]:
    """The true answer, kept back: its head and its body."""
    messages: list[Message] = []

    async def keep(message: Message) -> None:
        messages.append(message)

    await call.through(keep)
    return messages[0], b"".join(message.get("body", b"") for message in messages[1:])


async def _dripping(call: Call) -> None:
    """The true answer, a byte at a time: it starves a timeout that counts from the last byte."""
    head, body = await _answered(call)
    await call.send(head)
    for place in range(len(body)):
        await call.send({"type": "http.response.body", "body": body[place : place + 1], "more_body": True})
        if await gone_within(call.receive, call.switch.drip_seconds):
            return
    await call.send({"type": "http.response.body", "body": b""})


async def _busy(call: Call) -> None:
    await reply(call.send, 429, outcome("throttled", "Too many requests."), FHIR_JSON, (b"retry-after", b"2"))


async def _bomb(call: Call) -> None:
    body = await asyncio.to_thread(bodies.gzip_bomb)
    await reply(call.send, 200, body, FHIR_JSON, (b"content-encoding", b"gzip"))


async def _refusing(call: Call) -> None:
    await reply(call.send, 403, outcome("forbidden", "This system does not accept the caller."), FHIR_JSON)


async def _redirecting(call: Call) -> None:
    """The host is of the reserved domain `.invalid`: nothing is ever there, and nobody should go and see."""
    await reply(call.send, 302, b"", b"text/plain", (b"location", b"http://elsewhere.invalid/fhir/Patient"))


async def _garbage(call: Call) -> None:
    page = b"<!doctype html><title>Sign in</title><p>Your session has expired. Please sign in again.</p>"
    await reply(call.send, 200, page, b"text/html; charset=utf-8")


class Broken(ConnectionError):
    """The system broke off in the middle of its answer; the server that serves it closes the connection."""


async def _reset(call: Call) -> None:
    """The head of the answer, and then the connection breaks."""
    head, _ = await _answered(call)
    await call.send(head)
    raise Broken


async def _truncated(call: Call) -> None:
    """Half of the true answer, and then the connection breaks."""
    head, body = await _answered(call)
    await call.send(head)
    await call.send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
    raise Broken


def _changed(change: Callable[[bytes], bytes]) -> Callable[[Call], Awaitable[None]]:
    """The true answer with its body changed."""

    async def play(call: Call) -> None:
        head, body = await _answered(call)
        changed = change(body)
        headers = [pair for pair in head["headers"] if pair[0] != b"content-length"]
        await call.send({**head, "headers": [*headers, (b"content-length", str(len(changed)).encode())]})
        await call.send({"type": "http.response.body", "body": changed})

    return play


FAULTS: Final[Mapping[Mode, Callable[[Call], Awaitable[None]]]] = {
    Mode.SLOW: _slow,
    Mode.BROKEN: _broken,
    Mode.HUNG: _hung,
    Mode.DRIPPING: _dripping,
    Mode.BUSY: _busy,
    Mode.BOMB: _bomb,
    Mode.REFUSING: _refusing,
    Mode.REDIRECTING: _redirecting,
    Mode.GARBAGE: _garbage,
    Mode.RESET: _reset,
    Mode.BLACKHOLE: _blackhole,
    Mode.TRUNCATED: _truncated,
    Mode.CORRUPT: _changed(bodies.corrupt),
    Mode.DUPLICATE: _changed(bodies.duplicate),
}
