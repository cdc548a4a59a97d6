"""A source as cheap as can be: canned bytes after a fixed delay, on a bare asyncio protocol.

python -m tests.bench.source --name A --resources 100 --delay-ms 50 --state FILE
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
from pathlib import Path

from tests.bench.payload import NHS_NUMBER, bundles

_TYPE = re.compile(rb"GET /fhir/([A-Za-z]+)[? ]")
_EVERYTHING = re.compile(rb"GET /fhir/Patient/%s/\$everything\?" % NHS_NUMBER.encode())
_ENTRIES = re.compile(rb'"entry": \[(.*)\]\}$')
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
_SEARCHED = re.compile(rb'"url": ?"([A-Za-z]+)')


class _Answers:
    """Every answer that the source gives, made before it is asked for a second time."""

    def __init__(self, name: str, held: dict[str, bytes]) -> None:
        self._held = {kind.encode(): body for kind, body in held.items()}
        self._single = {kind: _http(body) for kind, body in self._held.items()}
        self._everything = _http(_everything(name, held))
        self._nothing = _http(b"{}", b"404 Not Found")
        self._batches: dict[tuple[bytes, ...], bytes] = {}

    def of(self, head: bytes, body: bytes) -> bytes:
        """To one search, or to a batch of them."""
        if head.startswith(b"POST"):
            return self._together(tuple(_SEARCHED.findall(body)))
        if _EVERYTHING.match(head):
            return self._everything
        found = _TYPE.match(head)
        return self._single.get(found[1] if found else b"", self._nothing)

    def _together(self, kinds: tuple[bytes, ...]) -> bytes:
        if kinds not in self._batches:
            entry = b'{"response": {"status": "200 OK"}, "resource": %s}'
            entries = b",".join(entry % self._held[kind] for kind in kinds)
            self._batches[kinds] = _http(
                b'{"resourceType": "Bundle", "type": "batch-response", "entry": [%s]}' % entries
            )
        return self._batches[kinds]


def _everything(name: str, held: dict[str, bytes]) -> bytes:
    """All that the source holds in one Bundle, where the Patient's id is the NHS number."""
    entries = b", ".join(found[1] for body in held.values() if (found := _ENTRIES.search(body)))
    bundle = b'{"resourceType": "Bundle", "type": "searchset", "entry": [%s]}' % entries
    return bundle.replace(f"{name}-patient".encode(), NHS_NUMBER.encode())


class _Canned(asyncio.Protocol):
    def __init__(self, answers: _Answers, delay: float) -> None:
        self._answers = answers
        self._delay = delay
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while b"\r\n\r\n" in self._buffer:
            head, _, rest = self._buffer.partition(b"\r\n\r\n")
            length = _LENGTH.search(head)
            size = int(length[1]) if length else 0
            if len(rest) < size:
                return
            self._buffer = rest[size:]
            asyncio.get_running_loop().call_later(self._delay, self._send, self._answers.of(head, rest[:size]))

    def _send(self, answer: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(answer)  # type: ignore[attr-defined]


def _http(body: bytes, status: bytes = b"200 OK") -> bytes:
    length = str(len(body)).encode()
    return (
        b"HTTP/1.1 " + status + b"\r\nContent-Type: application/fhir+json\r\nContent-Length: " + length + b"\r\n\r\n"
    ) + body


async def serve(name: str, resources: int, delay_ms: float, state: Path) -> None:
    """Serve until killed."""
    answers = _Answers(name, bundles(name, resources))
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Canned(answers, delay_ms / 1000), "127.0.0.1", 0, backlog=1024)
    waiting = state.with_suffix(".new")
    waiting.write_text(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/fhir")
    os.replace(waiting, state)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--name", required=True)
    parser.add_argument("--resources", type=int, required=True)
    parser.add_argument("--delay-ms", type=float, required=True)
    parser.add_argument("--state", type=Path, required=True)
    asked = parser.parse_args()
    asyncio.run(serve(asked.name, asked.resources, asked.delay_ms, asked.state))
