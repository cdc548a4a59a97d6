"""A source that knows everybody: whoever is asked for has a name and one allergy. As cheap as a real server can be.

python -m tests.chaos.source --state FILE
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
from pathlib import Path
from typing import Any

from connectors.sdk.model import NHS_NUMBER_SYSTEM

MARK = "CANARY-CLINICAL"
"""In every allergy: where it's seen, something clinical was."""
BIRTH_DATE = "1950-01-01"
LATE = "/late"
"""Before the path of a source whose answers come later than another's, so that a live look has parts."""
LATE_SECONDS = 0.3
_ASKED = re.compile(rb"GET (/late)?/fhir/([A-Za-z]+)\?[^ ]*?(\d{10})")


def patient(number: str) -> dict[str, Any]:
    return {
        "resourceType": "Patient",
        "id": f"p{number}",
        "identifier": [{"system": NHS_NUMBER_SYSTEM, "value": number}],
        "name": [{"family": "CHAOS", "given": ["Ada"]}],
        "gender": "female",
        "birthDate": BIRTH_DATE,
    }


def allergy(number: str) -> dict[str, Any]:
    return {
        "resourceType": "AllergyIntolerance",
        "id": f"a{number}",
        "code": {"text": "Penicillin"},
        "patient": {"reference": f"Patient/p{number}"},
        "note": [{"text": f"{MARK}-{number[:6]}"}],
    }


def answer(kind: str, number: str) -> bytes:
    """The whole HTTP response to one search."""
    held = {"Patient": patient, "AllergyIntolerance": allergy}.get(kind)
    resources = [held(number)] if held else []
    bundle = {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": len(resources),
        "link": [{"relation": "self", "url": f"http://source/fhir/{kind}?patient.identifier=x&identifier=x"}],
        "entry": [
            {"fullUrl": f"http://source/fhir/{kind}/{one['id']}", "resource": one, "search": {"mode": "match"}}
            for one in resources
        ],
    }
    body = json.dumps(bundle).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/fhir+json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class _Protocol(asyncio.Protocol):
    def __init__(self) -> None:
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while b"\r\n\r\n" in self._buffer:
            head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
            found = _ASKED.match(head)
            kind, number = (found[2].decode(), found[3].decode()) if found else ("", "")
            delay = LATE_SECONDS if found and found[1] else 0
            asyncio.get_running_loop().call_later(delay, self._send, answer(kind, number))

    def _send(self, said: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(said)


async def serve(state: Path) -> None:
    """Serve until killed."""
    server = await asyncio.get_running_loop().create_server(_Protocol, "127.0.0.1", 0, backlog=1024)
    waiting = state.with_suffix(".new")
    waiting.write_text(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/fhir")
    os.replace(waiting, state)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--state", type=Path, required=True)
    asyncio.run(serve(parser.parse_args().state))
