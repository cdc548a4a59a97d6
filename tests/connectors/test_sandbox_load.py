"""Loading a trust's invented patients into a real server: one transaction, digit for digit, and no half of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
import pytest

from connectors.fhir_r4.sandbox import holdings, load
from connectors.sdk.errors import Refused, SourceError

CREATED, OK = "201 Created", "200 OK"


class _Server(ThreadingHTTPServer):
    """Answers with the statuses of `plays`, the last one again and again, and keeps the bodies."""

    daemon_threads = True

    def __init__(self, plays: list[int]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.plays = plays
        self.bodies: list[bytes] = []

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/fhir"


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        assert self.path == "/fhir"
        assert self.headers["Content-Type"] == "application/fhir+json"
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.bodies.append(body)
        status = self.server.plays.pop(0) if len(self.server.plays) > 1 else self.server.plays[0]
        count = len(msgspec.json.decode(body)["entry"])
        told = {"resourceType": "Bundle", "entry": [{"response": {"status": CREATED}}] * count}
        answer = msgspec.json.encode(told if status == 200 else {"resourceType": "OperationOutcome"})
        self.send_response(status)
        self.send_header("Content-Type", "application/fhir+json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def server(*plays: int) -> Iterator[_Server]:
    running = _Server(list(plays))
    thread = threading.Thread(target=running.serve_forever)
    thread.start()
    try:
        yield running
    finally:
        running.shutdown()
        thread.join()
        running.server_close()


def test_every_resource_is_put_under_its_own_id_as_it_is_held() -> None:
    sent: dict[str, Any] = msgspec.json.decode(load.transaction("RJ2"))
    assert (sent["resourceType"], sent["type"]) == ("Bundle", "transaction")
    held = holdings("RJ2").by_key
    assert [entry["request"] for entry in sent["entry"]] == [{"method": "PUT", "url": key} for key in held]
    whole = load.transaction("RJ2")
    assert all(stored.body in whole for stored in held.values()), "digit for digit"


def test_a_server_that_takes_them_is_told_how_many(capsys: pytest.CaptureFixture[str]) -> None:
    with server(200) as running:
        assert load.main(["RJ2", running.base]) == 0
    assert len(running.bodies) == 1
    assert f"{len(holdings('RJ2').by_key)} resources" in capsys.readouterr().out


async def test_a_server_that_is_not_up_yet_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "_PAUSE_SECONDS", 0.0)
    with server(503, 503, 200) as running:
        assert await load.load("RJ2", running.base) > 200
    assert len(running.bodies) == 3


async def test_a_refusal_is_not_repeated() -> None:
    with server(403) as running, pytest.raises(Refused):
        await load.load("RJ2", running.base)
    assert len(running.bodies) == 1


def test_what_never_comes_up_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with server(503) as running:
        assert load.main(["RJ2", running.base, "--patience", "0.5"]) == 1
    assert "did not take the patients of RJ2" in capsys.readouterr().err
    assert issubclass(Refused, SourceError)


@pytest.mark.parametrize("asked", [["RJ9", "http://127.0.0.1:1/fhir"], ["RJ2", "ftp://127.0.0.1/fhir"]])
def test_what_can_t_be_loaded_is_told(asked: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert load.main(asked) == 1
    assert capsys.readouterr().err.strip()
