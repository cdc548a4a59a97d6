"""Every sandbox of a demo in one process: `python -m connectors.kit.serve --organisations FILE --state FILE`.

Starts the sandbox of each organisation whose `address` is `sandbox` and that takes part, each on its own free port of
127.0.0.1; of a list of practices, those that the connector's sandbox has data for. Writes where they are:

    {"addresses": {"RJ2": "http://127.0.0.1:40117/fhir"},
     "control":   {"RJ2": "http://127.0.0.1:40117/_sandbox/RJ2"},
     "people":    [{"nhsNumber": …, "birthDate": …, "name": …, "story": …}]}

It appears whole, once everything answers, and goes when the process stops: on SIGTERM, SIGINT, or with
`--die-with-parent` as soon as the parent is gone or closes the pipe that is this process's standard input.

In a container of their own the sandboxes are called by its name: `--host sandboxes --first-port 9000` listens on every
address, on that port and the following, in the order of the state file.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import importlib
import logging
import os
import signal
import socket
import stat
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import uvicorn

import connectors
from connectors.kit.asgi import ASGIApp
from connectors.kit.faults import Broken
from connectors.sdk.errors import ConfigurationError
from connectors.sdk.organisations import SANDBOX_ADDRESS, Organisation, Organisations, load_organisations

LOOPBACK: Final = "127.0.0.1"
_SHIPPED: Final = Path(connectors.__file__).parent / "organisations.yaml"
_PARENT_CHECK_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Running:
    """One sandbox: its app, the socket that it is reached by, and the name that it is called by."""

    ods: str
    app: ASGIApp
    listener: socket.socket
    host: str = LOOPBACK

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return f"http://{self.host}:{self.listener.getsockname()[1]}"


class _Server(uvicorn.Server):
    """One of several servers of a process: the process, not the server, listens to signals."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        finally:
            self.up.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def standing_in(organisations: Organisations) -> list[Organisation]:
    """Those that a demo gives a sandbox. Raises ConfigurationError where a connector of practices ships none."""
    found = [one for one in organisations.listed() if one.takes_part and one.address == SANDBOX_ADDRESS]
    for group in organisations.groups():
        if group.entry.connector is not None and group.entry.address == SANDBOX_ADDRESS:
            held = _sandbox_package(group.name, group.entry.connector).organisations()
            practices = (group.get(ods) for ods in held)
            found += [practice for practice in practices if practice is not None and practice.takes_part]
    return found


def prepare(
    organisations: Sequence[Organisation], *, canaries: bool, host: str = LOOPBACK, first_port: int = 0
) -> tuple[list[Running], list[dict[str, Any]]]:
    """The sandboxes, bound but not yet serving, and the people whom they know. Their ports are free ones, or count from
    `first_port`.

    Raises ConfigurationError where a connector ships no sandbox, its sandbox has nothing for an organisation, or a port
    is taken; nothing stays bound then.
    """
    running, people = [], {}
    with ExitStack() as bound:
        for index, organisation in enumerate(organisations):
            package = _sandbox_package(organisation.ods, organisation.connector)
            try:
                app = package.create_app(organisation.ods, canaries=canaries)
            except LookupError as error:
                raise ConfigurationError(f"{organisation.ods}: {error.args[0]}") from error
            people.update({person["nhsNumber"]: person for person in getattr(package, "people", list)()})
            listener = bound.enter_context(_bound(host, first_port + index if first_port else 0))
            running.append(Running(organisation.ods, app, listener, host))
        bound.pop_all()
    return running, list(people.values())


async def serve(running: Sequence[Running], stop: asyncio.Event, ready: Callable[[], None]) -> None:
    """Serve until `stop` is set; call `ready` once every sandbox answers. A call that hangs has a second to end."""
    servers = [_Server(_config(one.app)) for one in running]
    logging.getLogger("uvicorn.error").addFilter(_by_accident)
    tasks = [asyncio.ensure_future(s.serve([one.listener])) for s, one in zip(servers, running, strict=True)]
    for server in servers:
        await server.up.wait()
    ready()
    await stop.wait()
    # Calls that hang on purpose are cut off now; uvicorn would report each as an error.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL + 1)
    for server in servers:
        server.should_exit = True
    await asyncio.gather(*tasks)


def _by_accident(record: logging.LogRecord) -> bool:
    """False for the report of a connection that a sandbox broke on purpose."""
    return not (record.exc_info and isinstance(record.exc_info[1], Broken))


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app, lifespan="off", access_log=False, log_level="warning", timeout_graceful_shutdown=1, proxy_headers=False
    )


def _sandbox_package(who: str, connector: str | None) -> Any:
    try:
        return importlib.import_module(f"connectors.{connector}.sandbox")
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"{who}: the connector {connector} ships no sandbox. Give the organisation a real address."
        ) from error


def _bound(host: str, port: int) -> socket.socket:
    """A socket on loopback, unless it is to be called by another name; port 0 is any free one."""
    with ExitStack() as opened:
        listener = opened.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((LOOPBACK if host == LOOPBACK else "", port))
        except (OSError, OverflowError) as error:
            why = getattr(error, "strerror", None) or "there is no such port"
            raise ConfigurationError(
                f"Port {port} can't be had ({why}). Choose a first port from which on all are free."
            ) from error
        opened.pop_all()
        return listener


def write_state(path: Path, running: Sequence[Running], people: Sequence[dict[str, Any]]) -> None:
    """Write the state file so that a reader sees all of it or none."""
    state = {
        "addresses": {one.ods: one.origin + getattr(one.app, "base_path", "/fhir") for one in running},
        "control": {one.ods: f"{one.origin}/_sandbox/{one.ods}" for one in running},
        "people": people,
    }
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_bytes(msgspec.json.format(msgspec.json.encode(state), indent=2))
    partial.replace(path)


async def stop_without_parent(stop: asyncio.Event, parent: int) -> None:
    """Set `stop` once the parent is gone; where standard input is a pipe, also once it is closed."""
    if stat.S_ISFIFO(os.fstat(0).st_mode) or stat.S_ISSOCK(os.fstat(0).st_mode):
        threading.Thread(target=_wait_for_end_of_input, args=(asyncio.get_running_loop(), stop), daemon=True).start()
    stopped = asyncio.ensure_future(stop.wait())
    while os.getppid() == parent and not stop.is_set():
        await asyncio.wait([stopped], timeout=_PARENT_CHECK_SECONDS)
    stop.set()


def _wait_for_end_of_input(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    while os.read(0, 4096):
        pass
    with contextlib.suppress(RuntimeError):  # the loop is closed: stopping already
        loop.call_soon_threadsafe(stop.set)


async def _run(options: argparse.Namespace) -> None:
    parent = os.getppid()
    organisations = standing_in(load_organisations(options.organisations))
    running, people = prepare(
        organisations, canaries=options.canaries, host=options.host, first_port=options.first_port
    )
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    watch = asyncio.ensure_future(stop_without_parent(stop, parent)) if options.die_with_parent else None
    gc.freeze()
    try:
        await serve(running, stop, lambda: write_state(options.state, running, people))
    finally:
        options.state.unlink(missing_ok=True)
        if watch is not None:
            watch.cancel()


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Returns 2, with a sentence on standard error, where the organisations can't be served."""
    parser = argparse.ArgumentParser(prog="python -m connectors.kit.serve", description="Start the demo's sandboxes.")
    parser.add_argument("--organisations", type=Path, default=_SHIPPED, help="another organisations.yaml")
    parser.add_argument("--state", type=Path, required=True, help="file to write the addresses to")
    parser.add_argument("--canaries", action="store_true", help="plant a canary in every resource")
    parser.add_argument("--host", default=LOOPBACK, help="the name that the sandboxes are called by (127.0.0.1)")
    parser.add_argument("--first-port", type=int, default=0, help="count ports from here (0: any free ones)")
    parser.add_argument("--die-with-parent", action="store_true", help="stop when the parent process is gone")
    try:
        with asyncio.Runner(loop_factory=uvicorn.Config("").get_loop_factory()) as runner:
            runner.run(_run(parser.parse_args(arguments)))
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
