"""The fault server: real sockets in front of any ASGI app or upstream, and every way in which a network lets one down.

    async with fault_server(of_app(sandbox)) as server:
        server.fault = drip(0.05)
        ...                              # ask at server.address
        server.requests, server.open     # what came, and which connections are still open

Faults concern what lies under the base path. Other paths (a token endpoint, a sandbox's own switch) always work, and
what came there is in `beside`. By hand: `python -m connectors.kit.fault_server --upstream http://127.0.0.1:8080 reset`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from connectors.kit import bodies
from connectors.kit.asgi import outcome
from connectors.kit.exchange import Backend, Exchange, Fault, Request, Response, of_upstream
from connectors.kit.wire import Line, Wire, serving

__all__ = [
    "FAULTS",
    "FaultServer",
    "blackhole",
    "bomb",
    "changed",
    "drip",
    "fault_server",
    "latency",
    "oversized",
    "redirect",
    "reset",
    "saying",
    "status",
    "truncate",
    "well",
]

_POLL: Final = 0.005
JSON_TYPE: Final = (("content-type", "application/fhir+json"),)


@dataclass(slots=True)
class FaultServer:
    """A running fault server. `fault` is what it does with the next request; `address` ends with the base path."""

    origin: str
    base_path: str
    wire: Wire
    fault: Fault
    requests: list[Request] = field(default_factory=list)
    beside: list[Request] = field(default_factory=list)
    under_way: int = 0
    most_under_way: int = 0

    @property
    def address(self) -> str:
        """Where a connector asks."""
        return self.origin + self.base_path

    @property
    def open(self) -> int:
        """Connections that are open now."""
        return self.wire.open

    async def settled(self, seconds: float, *, connections: bool = False) -> bool:
        """Wait up to `seconds` until nothing is under way (with `connections`: none is open); True where it is."""
        for _ in range(int(seconds / _POLL)):  # counted in rounds: a machine that stood still has not waited
            if not (self.open if connections else self.under_way):
                return True
            await asyncio.sleep(_POLL)
        return False


@asynccontextmanager
async def fault_server(
    backend: Backend, *, base_path: str = "/fhir", elsewhere: str = "http://elsewhere.invalid"
) -> AsyncIterator[FaultServer]:
    """A fault server on a free port of 127.0.0.1. `elsewhere` is where redirects and links that go astray lead."""
    server: FaultServer

    async def play(line: Line) -> None:
        request = Request(line.method, line.target, tuple(line.headers), line.body)
        inside = request.path == base_path or request.path.startswith(f"{base_path.rstrip('/')}/")
        (server.requests if inside else server.beside).append(request)
        server.under_way += 1
        server.most_under_way = max(server.most_under_way, server.under_way)
        try:
            await (server.fault if inside else well)(Exchange(request, backend, line, elsewhere))
        except ConnectionError:
            line.reset()
        finally:
            server.under_way -= 1

    async with serving(play, path="") as wire:
        server = FaultServer(wire.url, base_path, wire, well)
        yield server


async def well(exchange: Exchange) -> None:
    """The system's own answer."""
    await exchange.reply(await exchange.well())


def latency(seconds: float) -> Fault:
    """The true answer, later."""

    async def play(exchange: Exchange) -> None:
        if not await exchange.gone(seconds):
            await well(exchange)

    return play


def drip(seconds: float) -> Fault:
    """The true answer, a byte each `seconds`: it starves a timeout that counts from the last byte."""

    async def play(exchange: Exchange) -> None:
        response = await exchange.well()
        await exchange.line.send(response.head(len(response.body)))
        for place in range(len(response.body)):
            await exchange.line.send(response.body[place : place + 1])
            if await exchange.gone(seconds):
                return

    return play


async def reset(exchange: Exchange) -> None:
    """The connection breaks with RST before anything is answered."""
    exchange.line.reset()


async def blackhole(exchange: Exchange) -> None:
    """Nothing ever comes, and the connection stays open."""
    await exchange.gone(None)


def truncate(*, chunked: bool = False) -> Fault:
    """Half of the true answer, then the end: against its own `content-length`, or in the middle of its chunks."""

    async def play(exchange: Exchange) -> None:
        response = await exchange.well()
        half = response.body[: len(response.body) // 2]
        if chunked:
            await exchange.line.send(response.head(None) + b"%x\r\n%s\r\n" % (len(half), half))
        else:
            await exchange.line.send(response.head(len(response.body)) + half)
        exchange.line.writer.close()

    return play


def status(code: int, diagnostics: str = "The system did not do it.") -> Fault:
    """This status, with an OperationOutcome that says nothing of use."""

    async def play(exchange: Exchange) -> None:
        await exchange.reply(Response(code, JSON_TYPE, outcome("exception", diagnostics)))

    return play


def redirect(code: int = 302) -> Fault:
    """Leads the same question elsewhere."""

    async def play(exchange: Exchange) -> None:
        location = exchange.elsewhere + exchange.request.target
        await exchange.reply(Response(code, (("location", location), *JSON_TYPE), b""))

    return play


def saying(body: bytes, **headers: str) -> Fault:
    """200, with this body. A header's name is written with underscores for dashes."""
    given = tuple((name.replace("_", "-"), value) for name, value in headers.items())

    async def play(exchange: Exchange) -> None:
        await exchange.reply(Response(200, (*JSON_TYPE, *given), body))

    return play


async def bomb(exchange: Exchange) -> None:
    """Eighty kilobytes that open to 80 MiB."""
    await saying(await asyncio.to_thread(bodies.gzip_bomb), content_encoding="gzip")(exchange)


def oversized(size: int, note: Callable[[int], None]) -> Fault:
    """The true answer with `size` bytes of white space after it. `note` hears of every block that was taken."""

    async def play(exchange: Exchange) -> None:
        response = await exchange.well()
        await exchange.line.send(response.head(len(response.body) + size) + response.body)
        for block in bodies.padding(size):
            await exchange.line.send(block)
            note(len(block))

    return play


def changed(change: Callable[[bytes], bytes]) -> Fault:
    """The true answer with its body changed; an answer that is no 200 stays as it is."""

    async def play(exchange: Exchange) -> None:
        response = await exchange.well()
        await exchange.reply(response.with_body(change(response.body)) if response.status == 200 else response)

    return play


FAULTS: Final[Mapping[str, Callable[[], Fault]]] = {
    "latency": lambda: latency(1.5),
    "drip": lambda: drip(0.2),
    "reset": lambda: reset,
    "blackhole": lambda: blackhole,
    "truncate": truncate,
    "corrupt": lambda: changed(bodies.corrupt),
    "duplicate": lambda: changed(bodies.duplicate),
    "bomb": lambda: bomb,
    "deep": lambda: saying(bodies.deep()),
    "wide": lambda: saying(bodies.wide()),
    "broken": lambda: status(500),
    "busy": lambda: status(429),
    "redirect": redirect,
}
"""The faults by name, for the command line."""


async def _run(options: argparse.Namespace) -> None:
    async with of_upstream(options.upstream) as backend, fault_server(backend, base_path=options.base_path) as server:
        server.fault = FAULTS[options.fault]()
        print(f"{options.fault} at {server.address}", flush=True)
        await asyncio.Event().wait()


def main(arguments: Sequence[str] | None = None) -> int:
    """The command: serves until it is interrupted."""
    parser = argparse.ArgumentParser(
        prog="python -m connectors.kit.fault_server", description="A faulty way to a system."
    )
    parser.add_argument("fault", choices=sorted(FAULTS))
    parser.add_argument("--upstream", required=True, help="the system's origin: http://127.0.0.1:8080")
    parser.add_argument("--base-path", default="/fhir", help="the fault concerns what lies under it")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_run(parser.parse_args(arguments)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
