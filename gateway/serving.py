"""Running the server: in this process, or in several that share one port and one database."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess
from uvicorn.supervisors.multiprocess import Process

from gateway import log, startup
from gateway.app import create_app
from gateway.assembly import assemble
from gateway.ending import Drained, leave
from gateway.lifetime import close
from gateway.observe.exposed import exposed
from gateway.outside import Outside
from gateway.reload import Reloads
from gateway.running import MAIN, WORKER, Presence, present
from gateway.settings import Settings, SettingsError

_LONGEST_SILENCE: Final = 60
"""Seconds in which a worker needn't answer its supervisor: a busy machine takes some to start one, and one that stands
still for a while must not be killed with its answers half sent."""
_REST_SECONDS: Final = 5.0
"""Before a worker that couldn't be started is tried again."""
_KEPT_SECONDS: Final = 75
"""Seconds that an idle connection is kept: longer than the proxies in front keep theirs (`deploy/proxy`: 60), so that
none of them sends a request into a connection that is closed at that moment."""


def serve(settings: Settings, *, host: str, port: int, workers: int, unix_socket: Path | None = None) -> None:
    """Until it is told to stop. Raises an error with a remedy where the gateway can't start.

    `unix_socket`: serve there instead of on a port. Who may connect is who may write to it: its owner and group.
    """
    if workers > 1 and settings.database is None:
        raise SettingsError(
            f"{workers} workers need PostgreSQL: a SQLite store has one writing process. Add database to the settings, "
            "or leave --workers out."
        )
    log.setup(production=not settings.is_demo)
    settings = _shared_out(settings, workers)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until there is something to reload: what starts later reads it anew
    with closing(_present(settings)), exposed(settings.metrics_host, settings.metrics_port) as metrics:
        told_in = metrics.folder if metrics else None
        if workers > 1:
            _serve_together(Worker(settings, told_in), host, port, workers, unix_socket)
        else:
            _serve_alone(settings, host, port, unix_socket, told_in)


def _present(settings: Settings) -> Presence:
    """Say that this process runs, where `connectcare reload` looks. Raises SettingsError."""
    try:
        return Presence(settings.data_dir, MAIN)
    except OSError as error:
        raise SettingsError(
            f"data_dir: {settings.data_dir} can't be used ({error.strerror}). Give it to the gateway's user, or name "
            "another."
        ) from error


def _shared_out(settings: Settings, workers: int) -> Settings:
    """Each worker counts by itself, so each holds a share of what fair use allows."""
    shares = settings.fair_use.workers or workers
    return settings.model_copy(update={"fair_use": settings.fair_use.model_copy(update={"workers": shares})})


def _serve_alone(settings: Settings, host: str, port: int, unix_socket: Path | None, metrics: Path | None) -> None:
    gateway = create_app(settings, metrics=metrics, reloads=Reloads(settings.data_dir))
    config = _config(Drained(gateway, gateway.state.drain), settings, host, port)
    signal.signal(signal.SIGTERM, leave)
    with startup.explained(gateway):
        uvicorn.Server(config).run(sockets=[_bound(unix_socket)] if unix_socket else None)


def _bound(unix_socket: Path) -> socket.socket:
    """uvicorn would let everybody on the machine connect; our proxy is believed by what it connects through."""
    _clear(unix_socket)
    bound = socket.socket(socket.AF_UNIX)
    before = os.umask(0o117)
    try:
        bound.bind(str(unix_socket))
    except OSError as error:
        bound.close()
        raise SettingsError(f"{unix_socket} can't be served ({error.strerror}). Name another --socket.") from error
    finally:
        os.umask(before)
    bound.set_inheritable(True)
    return bound


def _clear(unix_socket: Path) -> None:
    """Remove what a gateway that was killed left behind; never somebody's file, nor the socket of one that runs."""
    if not unix_socket.is_socket():
        return
    with socket.socket(socket.AF_UNIX) as asking:
        if asking.connect_ex(str(unix_socket)) == 0:
            raise SettingsError(f"{unix_socket} is served already. Stop that gateway, or name another --socket.")
    unix_socket.unlink()


def _serve_together(worker: Worker, host: str, port: int, workers: int, unix_socket: Path | None) -> None:
    """uvicorn's supervisor starts the workers, and starts anew one that died. What would stop every one of them is
    found out before, and told once."""
    asyncio.run(_rehearse(worker.settings))
    config = _config(
        worker,
        worker.settings,
        host,
        port,
        factory=True,
        workers=workers,
        timeout_worker_healthcheck=_LONGEST_SILENCE,
    )
    supervisor = Supervisor(
        config, [_bound(unix_socket) if unix_socket else config.bind_socket()], worker.settings.data_dir
    )
    supervisor.run()
    if supervisor.has_failed:
        raise SystemExit(1)


def _config(app: Any, settings: Settings, host: str, port: int, **more: Any) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        loop="uvloop",
        http="httptools",
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEPT_SECONDS,
        timeout_graceful_shutdown=settings.finish_seconds,
        **log.UVICORN,
        **more,
    )


async def _rehearse(settings: Settings) -> None:
    """Put a gateway together, and take it apart again."""
    await close(await assemble(settings, Outside()))


class Supervisor(Multiprocess):
    """uvicorn's supervisor, that notices at once when a worker dies while it is being asked whether it lives, passes on
    the word to reload in place of starting every worker anew, and doesn't end workers that serve because another one
    can't be started. `has_failed`: none could."""

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket], data: Path) -> None:
        super().__init__(config, sockets)
        self._data = data
        self._again_at: dict[int, float] = {}
        self.has_failed = False

    def handle_hup(self) -> None:
        """Each worker reloads by itself (`gateway.reload`). One that doesn't say yet that it is there reads its files
        after this, and couldn't bear the signal."""
        there = {state["pid"] for state in present(self._data, WORKER)}
        for process in self.processes:
            if process.pid is not None and process.pid in there and process.exitcode is None:
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGHUP)

    def keep_subprocess_alive(self) -> None:
        """Start anew what died. As long as this process holds the worker's own end of the pipe too, the death of a
        worker doesn't end the pipe, and the supervisor would wait for the answer as long as for a silent one's."""
        for process in self.processes:
            process.child_conn.close()
        for place, process in enumerate(self.processes):
            if self.should_exit.is_set() or process.is_alive(self.config.timeout_worker_healthcheck):
                continue
            process.kill()
            process.join()
            if process.exitcode != STARTUP_FAILURE:
                self._start_anew(place)
            elif self._one_serves():
                self._start_later(place)
            else:
                self.has_failed = True
                self.should_exit.set()

    def _start_later(self, place: int) -> None:
        """What couldn't be started while others serve: its files are being changed, say, or its database rests. The
        others began before that, and go on; uvicorn's own supervisor would end them all."""
        again_at = self._again_at.get(place)
        if again_at is None:
            self._again_at[place] = time.monotonic() + _REST_SECONDS
            log.event("worker.start-failed", level=logging.ERROR)
        elif time.monotonic() >= again_at:
            self._start_anew(place)

    def _start_anew(self, place: int) -> None:
        self._again_at.pop(place, None)
        process = self.processes[place] = Process(self.config, self.sockets)
        process.start()

    def _one_serves(self) -> bool:
        ours = {process.pid for process in self.processes}
        return any(state["pid"] in ours and "times" in state for state in present(self._data, WORKER))


@dataclass(frozen=True, slots=True)
class Worker:
    """Makes the application in a worker's process: its parts are its own. `metrics` is where it tells its metrics."""

    settings: Settings
    metrics: Path | None = None

    def __call__(self) -> ASGIApp:
        log.setup(production=not self.settings.is_demo)
        gateway = create_app(self.settings, metrics=self.metrics, reloads=Reloads(self.settings.data_dir))
        drained = Drained(gateway, gateway.state.drain)

        async def told(scope: Scope, receive: Receive, send: Send) -> None:
            async def telling(message: Message) -> None:
                if message["type"] == "lifespan.startup.failed":
                    print(gateway.state.startup_error, file=sys.stderr, flush=True)  # noqa: T201
                await send(message)

            await drained(scope, receive, telling if scope["type"] == "lifespan" else send)

        return told
