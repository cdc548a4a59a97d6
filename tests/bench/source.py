"""A source as cheap as can be: canned bytes after a fixed delay, on a bare asyncio protocol.

    python -m tests.bench.source --name A --resources 100 --delay-ms 50 --state FILE
        [--mix even] [--certificate FILE --key FILE]

It answers searches, batches of them, and `$everything`. While it runs it takes orders, which aren't counted as calls:

    GET /bench/calls            how many calls came since this was last asked
    GET /bench/behave/WORD      well; hung: calls are taken and never answered; storming: each is refused at once
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import ssl
from pathlib import Path
from typing import Final

from tests.bench.payload import MIXES, bundles, everything

_ORDER: Final = re.compile(rb"GET /bench/([a-z]+)(?:/([a-z]+))?")
_TYPE: Final = re.compile(rb"GET /fhir/([A-Za-z]+)")
_EVERYTHING: Final = re.compile(rb"GET /fhir/Patient/[^ ]*\$everything")
_LENGTH: Final = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
_SEARCHED: Final = re.compile(rb'"url": ?"([A-Za-z]+)')
_TOKEN: Final = b'{"access_token": "bench", "token_type": "Bearer", "expires_in": 86400}'
_STORM: Final = b'{"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "transient"}]}'
BEHAVIOURS: Final = ("well", "hung", "storming")


class _Answers:
    """Every answer that the source gives, made before it is asked for a second time."""

    def __init__(self, source: str, held: dict[str, bytes]) -> None:
        self._held = {kind.encode(): body for kind, body in held.items()}
        self._single = {kind: _http(body) for kind, body in self._held.items()}
        self._everything = _http(everything(source, held))
        self._nothing = _http(b"{}", b"404 Not Found")
        self._token = _http(_TOKEN)
        self._batches: dict[tuple[bytes, ...], bytes] = {}

    def of(self, head: bytes, body: bytes) -> bytes:
        """To one search, a batch of them, the whole record, or a client that wants a token first."""
        if head.startswith(b"POST /token"):
            return self._token
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


class _Manner:
    """How the source behaves now, and how many calls came since somebody asked."""

    def __init__(self) -> None:
        self.word = "well"
        self.calls = 0

    def order(self, word: bytes, more: bytes | None) -> bytes:
        """Carry out an order; the answer to it."""
        if word == b"behave" and more is not None and more.decode() in BEHAVIOURS:
            self.word = more.decode()
            return _http(b"{}")
        if word == b"calls":
            came, self.calls = self.calls, 0
            return _http(str(came).encode())
        return _http(b"{}", b"404 Not Found")


class _Canned(asyncio.Protocol):
    def __init__(self, answers: _Answers, manner: _Manner, delay: float) -> None:
        self._answers = answers
        self._manner = manner
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
            self._answer(head, rest[:size])

    def _answer(self, head: bytes, body: bytes) -> None:
        if ordered := _ORDER.match(head):
            self._send(self._manner.order(ordered[1], ordered[2]))
            return
        self._manner.calls += 1
        if self._manner.word == "storming":
            self._send(_http(_STORM, b"503 Service Unavailable"))
        elif self._manner.word == "well":
            asyncio.get_running_loop().call_later(self._delay, self._send, self._answers.of(head, body))

    def _send(self, answer: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(answer)  # type: ignore[attr-defined]


def _http(body: bytes, status: bytes = b"200 OK") -> bytes:
    length = str(len(body)).encode()
    return (
        b"HTTP/1.1 " + status + b"\r\nContent-Type: application/fhir+json\r\nContent-Length: " + length + b"\r\n\r\n"
    ) + body


async def serve(asked: argparse.Namespace) -> None:
    """Serve until killed."""
    answers = _Answers(asked.name, bundles(asked.name, asked.resources, mix=asked.mix))
    manner = _Manner()
    tls = None
    if asked.certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(asked.certificate, asked.key)
    server = await asyncio.get_running_loop().create_server(
        lambda: _Canned(answers, manner, asked.delay_ms / 1000), "127.0.0.1", 0, backlog=1024, ssl=tls
    )
    waiting = asked.state.with_suffix(".new")
    scheme = "https" if tls else "http"
    waiting.write_text(f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}/fhir")
    os.replace(waiting, asked.state)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--name", required=True)
    parser.add_argument("--resources", type=int, required=True)
    parser.add_argument("--delay-ms", type=float, required=True)
    parser.add_argument("--mix", choices=MIXES, default="usual")
    parser.add_argument("--certificate", type=Path)
    parser.add_argument("--key", type=Path)
    parser.add_argument("--state", type=Path, required=True)
    asyncio.run(serve(parser.parse_args()))
