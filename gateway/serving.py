"""Running the server: in this process, or in several that share one port and one database."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from gateway import log, startup
from gateway.app import Outside, assemble, close, create_app
from gateway.settings import Settings, SettingsError

_LONGEST_SILENCE: Final = 60
"""Seconds in which a worker needn't answer its supervisor: a busy machine takes some to start one, and one that stands
still for a while must not be killed with its answers half sent."""


def serve(settings: Settings, *, host: str, port: int, workers: int) -> None:
    """Until it is told to stop. Raises an error with a remedy where the gateway can't start."""
    if workers > 1 and settings.database is None:
        raise SettingsError(
            f"{workers} workers need PostgreSQL: a SQLite store has one writing process. Add database to the settings, "
            "or leave --workers out."
        )
    log.setup(production=not settings.is_demo)
    if workers > 1:
        _serve_together(settings, host, port, workers)
    else:
        _serve_alone(settings, host, port)


def _serve_alone(settings: Settings, host: str, port: int) -> None:
    gateway = create_app(settings)
    with startup.explained(gateway):
        uvicorn.Server(_config(gateway, host, port)).run()


def _serve_together(settings: Settings, host: str, port: int, workers: int) -> None:
    """uvicorn's supervisor starts the workers, and starts anew one that died. What would stop every one of them is
    found out before, and told once."""
    asyncio.run(_rehearse(settings))
    config = _config(
        Worker(settings), host, port, factory=True, workers=workers, timeout_worker_healthcheck=_LONGEST_SILENCE
    )
    supervisor = Supervisor(config, [config.bind_socket()])
    supervisor.run()
    if any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes):
        raise SystemExit(1)


def _config(app: Any, host: str, port: int, **more: Any) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        loop="uvloop",
        http="httptools",
        server_header=False,
        proxy_headers=False,
        **log.UVICORN,
        **more,
    )


async def _rehearse(settings: Settings) -> None:
    """Put a gateway together, and take it apart again."""
    await close(await assemble(settings, Outside()))


class Supervisor(Multiprocess):
    """uvicorn's supervisor, that notices at once when a worker dies while it is being asked whether it lives."""

    def keep_subprocess_alive(self) -> None:
        """Start anew what died. As long as this process holds the worker's own end of the pipe too, the death of a
        worker doesn't end the pipe, and the supervisor would wait for the answer as long as for a silent one's."""
        for process in self.processes:
            process.child_conn.close()
        super().keep_subprocess_alive()


@dataclass(frozen=True, slots=True)
class Worker:
    """Makes the application in a worker's process: its parts are its own."""

    settings: Settings

    def __call__(self) -> ASGIApp:
        log.setup(production=not self.settings.is_demo)
        gateway = create_app(self.settings)

        async def told(scope: Scope, receive: Receive, send: Send) -> None:
            async def telling(message: Message) -> None:
                if message["type"] == "lifespan.startup.failed":
                    print(gateway.state.startup_error, file=sys.stderr, flush=True)  # noqa: T201
                await send(message)

            await gateway(scope, receive, telling if scope["type"] == "lifespan" else send)

        return told
