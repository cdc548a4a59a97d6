"""`/metrics`: what all workers of a gateway tell, on an address and a port of its own.

The process that starts the workers serves it, in a thread; it asks each worker when it's asked itself. Nothing of it
can be reached through the gateway's own port.
"""

from __future__ import annotations

import socket
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from gateway.observe.meters import WORKERS, WORKERS_MEANING

PATH: Final = "/metrics"
_PATIENCE: Final = 5.0
_LONGEST_REQUEST: Final = 5.0
_BEGINS: Final = "# HELP "


class CannotExpose(ValueError):
    """The metrics can't be served there. The text says why, and what to do."""


class Exposed:
    """Metrics that are being served: `folder` is where workers tell theirs."""

    def __init__(self, folder: Path, address: str) -> None:
        self.folder = folder
        self.address = address


@contextmanager
def exposed(host: str, port: int | None) -> Iterator[Exposed | None]:
    """Serve within the block, where there is a port (0 takes a free one). Raises CannotExpose."""
    if port is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="connect-care-metrics-") as made:
        folder = Path(made)
        server = _bound(folder, host, port)
        thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
        thread.start()
        try:
            yield Exposed(folder, f"http://{_in_url(host)}:{server.server_port}{PATH}")
        finally:
            server.shutdown()
            server.server_close()


def gathered(folder: Path) -> bytes:
    """What every worker tells now, as one answer: each metric once, with the samples of all."""
    told = [ask(place) for place in sorted(folder.glob("*.sock"))]
    answered = [text for text in told if text]
    own = (
        f"{_BEGINS}{WORKERS} {WORKERS_MEANING}\n# TYPE {WORKERS} gauge\n"
        f'{WORKERS}{{state="answering"}} {len(answered)}\n{WORKERS}{{state="silent"}} {told.count("")}\n'
    )
    return "".join([own, *_merged(answered)]).encode()


def ask(place: Path) -> str | None:
    """What one worker tells; "" where it lives and doesn't answer, None where it's gone."""
    parts: list[bytes] = []
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(_PATIENCE)
        try:
            asking.connect(str(place))
            while part := asking.recv(1 << 16):
                parts.append(part)
        except TimeoutError:
            return ""
        except OSError:
            return None
    return b"".join(parts).decode()


def _merged(texts: Iterable[str]) -> Iterator[str]:
    """The same metrics of several workers stand together, as the format wants it."""
    heads: dict[str, str] = {}
    samples: dict[str, list[str]] = {}
    for text in texts:
        for block in text.split(_BEGINS)[1:]:
            name, head, rest = block.partition(" ")[0], *_cut(block)
            heads.setdefault(name, head)
            samples.setdefault(name, []).append(rest)
    for name, head in heads.items():
        yield _BEGINS + head + "".join(samples[name])


def _cut(block: str) -> tuple[str, str]:
    """A metric's two lines of comment, and its samples."""
    meaning, kind, *rest = block.splitlines(keepends=True)
    return meaning + kind, "".join(rest)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 8

    def __init__(self, folder: Path, host: str, port: int) -> None:
        self.folder = folder
        self.address_family = socket.AF_INET6 if ip_address(host).version == 6 else socket.AF_INET
        super().__init__((host, port), _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """A scraper that went away. The standard one prints a traceback."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _LONGEST_REQUEST
    server_version = "connect-care"
    sys_version = ""

    def do_GET(self) -> None:
        """The metrics, at their one address."""
        if self.path.partition("?")[0] != PATH:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        body = gathered(self.server.folder)
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", CONTENT_TYPE_PLAIN_0_0_4)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 (the base class's own name)
        """Nothing: its lines hold what the caller sent."""


def _bound(folder: Path, host: str, port: int) -> _Server:
    try:
        return _Server(folder, host, port)
    except OSError as error:
        raise CannotExpose(
            f"metrics_port: {host}:{port} can't be served ({error.strerror}). Give another one, or leave it out."
        ) from error


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
