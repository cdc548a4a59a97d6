"""How every peer is started: what it is told, and uvicorn as the gateway itself runs it.

    python -m tests.bench.peers.plain --order FILE --state FILE

Nothing of the gateway is imported: HealthChain's peer runs in an environment that hasn't got it.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import ssl
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import uvicorn


@dataclass(frozen=True)
class Order:
    """Which sources are asked, and what: `searches` are relative to a source's address; each is a call of its own, or
    all of them go out in one `batch` (the body of its POST). `ca_file` vouches for sources behind TLS."""

    sources: dict[str, str]
    searches: list[str]
    batch: str | None = None
    ca_file: str | None = None

    def write(self, file: Path) -> None:
        """For the process that is about to start."""
        file.write_text(json.dumps(asdict(self)))

    @property
    def urls(self) -> list[tuple[str, str]]:
        """(source, URL) of every search."""
        return [(name, f"{base}/{search}") for name, base in self.sources.items() for search in self.searches]

    @property
    def tls(self) -> ssl.SSLContext | bool:
        """Whom to believe, as HTTP libraries take it."""
        return ssl.create_default_context(cafile=self.ca_file) if self.ca_file else True


def run(make: Callable[[Order], Any]) -> None:
    """Serve the ASGI application that `make` makes, on a free port, until killed; its address is written to `state`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--order", type=Path, required=True)
    parser.add_argument("--state", type=Path, required=True)
    asked = parser.parse_args()
    app = make(Order(**json.loads(asked.order.read_text())))
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listener:
        waiting = asked.state.with_suffix(".new")
        waiting.write_text(f"http://127.0.0.1:{listener.getsockname()[1]}/record")
        os.replace(waiting, asked.state)
        config = uvicorn.Config(app, loop="uvloop", http="httptools", log_level="error", access_log=False)
        uvicorn.Server(config).run(sockets=[listener])
