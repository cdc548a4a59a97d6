"""How a process that is told to end stops taking requests, so that none fails.

    told (SIGTERM)          /readyz says 503: whoever shares out requests names this process no more
    for `drain_seconds`     what comes all the same is answered as ever, and each answer closes its connection politely
    then                    nothing new is taken; what is under way has `finish_seconds`
    then                    connectors and store are closed, and the process ends with 0

To be told again changes nothing: some supervisors tell every process of a group, and ours tells its workers once more.
Ctrl-C (SIGINT) doesn't wait for the drain.
"""

from __future__ import annotations

import asyncio
import signal
from functools import partial
from types import FrameType
from typing import NoReturn

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway import log


class Drain:
    """Whether this process is about to end. `seconds` is how long it goes on answering once it was told."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.begun = False

    def listen(self) -> None:
        """On the server's event loop, when the server has its own handler in place: that one is called when the drain
        is over. A server that leaves the signals alone is left alone."""
        stop = signal.getsignal(signal.SIGTERM)
        if callable(stop):
            told = partial(self.begin, partial(stop, signal.SIGTERM, None))
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told)

    def begin(self, stop: partial[object]) -> None:
        """From now on this process is not ready; `stop` is called in its time, once."""
        if self.begun:
            return
        self.begun = True
        asyncio.get_running_loop().call_later(self._seconds, stop)
        log.event("gateway.draining")


class Drained:
    """Pure ASGI around the whole gateway: SIGTERM begins its drain."""

    def __init__(self, app: ASGIApp, drain: Drain) -> None:
        self._app = app
        self._drain = drain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            self._drain.listen()
        await self._app(scope, receive, send)


def leave(_signal: int, _frame: FrameType | None) -> NoReturn:
    """uvicorn raises the signal that stopped it once more when it is done; the default would skip our clearing up, and
    say that the process was killed."""
    raise SystemExit(0)
