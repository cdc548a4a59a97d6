"""Runs the demo identity provider as a process of its own, on loopback.

It says where it is by writing `{"issuer": …, "patientIssuer": …, "pid": …}` to a file, whole or not at all, once its
port takes calls. It ends on SIGTERM or SIGINT, and when the process that started it ends.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import uvicorn

from gateway import log
from gateway.demo.identity import DEMO_PATH, Demo, serving
from gateway.demo.patients import DemoPatient, PatientDemo, read_patients
from gateway.demo.state import write_state
from gateway.ending import leave

_HOST: Final = "127.0.0.1"
_LOOK_SECONDS: Final = 0.25


def main(arguments: list[str] | None = None) -> None:
    """The command line of `python -m gateway.demo.identity`."""
    parser = argparse.ArgumentParser(prog="python -m gateway.demo.identity", description="The demo identity provider")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--state", type=Path, required=True, help="the file to write the issuer's address to")
    parser.add_argument("--audience", required=True, help="the audience of its access tokens: the gateway's")
    parser.add_argument("--patients", type=Path, help="the state file of the sandboxes, whose patients can sign in")
    asked = parser.parse_args(arguments)
    log.setup(production=False)
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, leave)
    serve(asked.port, asked.state, asked.audience, read_patients(asked.patients), parent=os.getppid())


def serve(port: int, state: Path, audience: str, patients: Sequence[DemoPatient], *, parent: int) -> None:
    """Serve until told to stop, or until `parent` is no longer this process's parent."""
    with socket.create_server((_HOST, port)) as listener:
        issuer = f"http://{_HOST}:{listener.getsockname()[1]}{DEMO_PATH}"
        demo = Demo(issuer, audience)
        of_patients = PatientDemo(demo, patients)
        app = serving(demo, of_patients.routes)
        server = uvicorn.Server(uvicorn.Config(app, lifespan="off", **log.UVICORN))
        write_state(state, {"issuer": issuer, "patientIssuer": of_patients.issuer, "pid": os.getpid()})
        log.event("demo-identity.started", address=issuer, pid=os.getpid())
        try:
            asyncio.run(_run(server, listener, parent))
        finally:
            state.unlink(missing_ok=True)
            log.event("demo-identity.stopped", address=issuer)


async def _run(server: uvicorn.Server, listener: socket.socket, parent: int) -> None:
    orphaned = asyncio.create_task(_stop_when_orphaned(server, parent))
    try:
        await server.serve(sockets=[listener])
    finally:
        orphaned.cancel()


async def _stop_when_orphaned(server: uvicorn.Server, parent: int) -> None:
    while os.getppid() == parent:  # noqa: ASYNC110 (nothing announces that a parent has ended)
        await asyncio.sleep(_LOOK_SECONDS)
    server.should_exit = True
