"""Whom the gateway answers: requests for its own names, in full; and what a caller may list of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from starlette.types import Message

from gateway.api.host import names_of
from tests.flow.stack import GRACE, Stack, running, told


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "127.0.0.1", "127.0.0.1:9", "localhost:80", ""])
async def test_a_request_for_another_name_is_refused(stack: Stack, host: str) -> None:
    for path in ("/fhir/R4/metadata", "/permissions"):
        answer = await stack.get(path, headers={"Host": host})
        assert answer.status_code == 400
        assert "call http://127.0.0.1:8000" in told(answer)
        assert answer.headers["X-Request-ID"]


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "LOCALHOST:8000"])
async def test_a_request_for_its_own_name_is_answered(stack: Stack, host: str) -> None:
    assert (await stack.get("/fhir/R4/metadata", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
async def test_a_probe_calls_by_any_name(stack: Stack, path: str) -> None:
    assert (await stack.client.get(path, headers={"Host": "10.0.0.7:8000"})).status_code == 200


async def test_further_names_are_a_setting(tmp_path: Path) -> None:
    async with running(tmp_path, allowed_hosts=("gateway:8000",)) as stack:
        assert (await stack.get("/fhir/R4/metadata", headers={"Host": "Gateway:8000"})).status_code == 200
        assert (await stack.get("/fhir/R4/metadata", headers={"Host": "gateway"})).status_code == 400


@pytest.mark.parametrize("hosts", [[], [b"127.0.0.1:8000", b"127.0.0.1:8000"]])
async def test_one_host_header_is_needed(stack: Stack, hosts: list[bytes]) -> None:
    sent = await raw(stack, [(b"host", host) for host in hosts], {"type": "http.request", "body": b""})
    assert sent[0]["status"] == 400


def test_the_names_of_a_public_address() -> None:
    assert names_of("https://Care.example", (), loopback=False) == {"care.example", "care.example:443"}
    assert names_of("https://care.example:8443/x", (), loopback=False) == {"care.example:8443"}
    assert names_of("http://127.0.0.1:81", ("A:1",), loopback=True) == {"127.0.0.1:81", "localhost:81", "a:1"}


async def raw(stack: Stack, headers: list[tuple[bytes, bytes]], *messages: Message) -> list[Message]:
    """One POST /permissions, message by message, as a server would hand it over."""
    coming, sent = iter(messages), []

    async def receive() -> Message:
        return next(coming)

    async def send(message: Message) -> None:
        sent.append(message)

    scope: dict[str, Any] = {"type": "http", "http_version": "1.1", "method": "POST", "path": "/permissions"}
    scope |= {"raw_path": b"/permissions", "root_path": "", "scheme": "http", "query_string": b"", "headers": headers}
    transport: Any = stack.client._transport
    await transport.app(scope, receive, send)
    return sent


async def test_a_client_that_goes_away_in_mid_body_is_no_fault_of_ours(
    stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    headers = [(b"host", b"127.0.0.1:8000"), (b"content-type", b"application/json")]
    headers.append((b"authorization", f"Bearer {stack.token('gp')}".encode()))
    first: Message = {"type": "http.request", "body": b'{"nhsNumber": ', "more_body": True}
    with caplog.at_level("INFO", logger="connect-care"):
        assert await raw(stack, headers, first, {"type": "http.disconnect"}) == []
    assert "request.client-gone" in caplog.messages
    assert "request.fault" not in caplog.messages


async def test_ones_own_permissions_name_patients_so_reading_them_is_a_row(stack: Stack) -> None:
    reason = f"Patient {GRACE} unconscious, HIV positive"
    body = {"nhsNumber": GRACE, "basis": "best-interests", "reasonCode": "emergency", "reason": reason}
    assert (await stack.post("/permissions", body)).status_code == 201
    own = await stack.get("/permissions")
    assert [each["reason"] for each in own.json()] == ["Patient [nhs-number] unconscious, HIV positive"]
    about = await stack.post("/permissions/_search", {"nhsNumber": GRACE}, "privacy-officer")
    assert about.json()[0]["reason"] == own.json()[0]["reason"]
    rows = await stack.post("/audit/_search", {"requestId": own.headers["X-Request-ID"]}, "privacy-officer")
    assert [(row["kind"], row["subject"]) for row in rows.json()["rows"]] == [("audit-read", "own permissions")]
    kept = b"".join(path.read_bytes() for path in (stack.data / "store").iterdir())
    assert b"unconscious" not in kept


@pytest.mark.parametrize("who", ["privacy-officer", "commissioner"])
async def test_who_can_have_no_permissions_is_told_so(stack: Stack, who: str) -> None:
    answer = await stack.get("/permissions", who)
    assert answer.status_code == 403
    assert "a privacy officer uses POST /permissions/_search" in told(answer)


async def test_a_social_worker_is_not_sent_to_a_door_that_is_shut(stack: Stack) -> None:
    refused = told(await stack.everything(GRACE, "social-worker"))
    assert "best-interests" not in refused
    assert "ask the doctor or nurse" in refused
    body = {"nhsNumber": GRACE, "basis": "best-interests", "reasonCode": "emergency", "reason": "GCS 3"}
    assert "Ask the doctor or nurse" in told(await stack.post("/permissions", body, "social-worker"))
