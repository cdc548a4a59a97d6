"""What a source says with a status that is no answer: read where a connector asks for it, within bounds, and kept out
of every text. And JSON of no shape that we know."""

from __future__ import annotations

import asyncio
import gzip
from decimal import Decimal
from typing import Any

import httpx2
import pytest

from connectors.sdk.bundle import MAX_DEPTH, read_object
from connectors.sdk.errors import (
    Busy,
    NotUnderstood,
    Refused,
    SourceError,
    SourceTimeout,
    TooMuch,
    Unwell,
    WrongContent,
)
from connectors.sdk.http import MAX_PROBLEM_BYTES, Httpx2Transport, Limits, SourceClient
from tests.unit.readers import each_reader  # noqa: F401 (autouse: both readers)
from tests.wire import Line, serving, soon

SAID = b'{"resourceType":"OperationOutcome","issue":[{"diagnostics":"9990000409"}]}'
FHIR = "application/fhir+json"


def client_of(status: int, body: bytes = SAID, kind: str = FHIR, **headers: str) -> SourceClient:
    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(status, headers={"content-type": kind, **headers}, stream=httpx2.ByteStream(body))

    return SourceClient("http://source.test", Httpx2Transport(Limits(), httpx2.MockTransport(answer)))


async def failing(client: SourceClient, *, read_errors: bool = True, post: bool = False) -> SourceError:
    sent: Any = (
        client.post("Patient", b"{}", deadline=soon(), read_errors=read_errors)
        if post
        else client.get("Patient", deadline=soon(), read_errors=read_errors)
    )
    with pytest.raises(SourceError) as caught:
        await sent
    await client.aclose()
    return caught.value


@pytest.mark.parametrize("post", [False, True])
@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, NotUnderstood), (401, Refused), (403, Refused), (404, NotUnderstood), (429, Busy), (500, Unwell)],
)
async def test_the_error_is_the_statuss_and_carries_what_was_said(status: int, kind: type, post: bool) -> None:
    error = await failing(client_of(status), post=post)
    assert type(error) is kind
    assert error.said == SAID


async def test_nothing_is_read_unless_asked_for() -> None:
    assert (await failing(client_of(403), read_errors=False)).said == b""


async def test_no_byte_of_it_is_in_a_text() -> None:
    error = await failing(client_of(403))
    assert "9990000409" not in f"{error} {error!r} {error.told} {error.args}"


async def test_a_retried_call_reads_the_last_answer() -> None:
    client = client_of(503)
    error = await failing(client)
    assert (type(error), error.said, client.calls) == (Unwell, SAID, 2)


@pytest.mark.parametrize(
    "client",
    [
        lambda: client_of(403, b"x" * (MAX_PROBLEM_BYTES + 1)),
        lambda: client_of(403, gzip.compress(b"x" * (MAX_PROBLEM_BYTES + 1)), **{"content-encoding": "gzip"}),
        lambda: client_of(403, b"<html>sign in</html>", "text/html"),
        lambda: client_of(403, b"broken", **{"content-encoding": "gzip"}),
        lambda: client_of(403, b"?", **{"content-encoding": "br"}),
    ],
    ids=["long", "bomb", "html", "broken gzip", "other encoding"],
)
async def test_what_is_no_short_json_leaves_the_status_as_it_is(client: Any) -> None:
    error = await failing(client())
    assert (type(error), error.said) == (Refused, b"")


async def test_a_body_as_long_as_may_be_is_read() -> None:
    assert len((await failing(client_of(403, b" " * MAX_PROBLEM_BYTES))).said) == MAX_PROBLEM_BYTES


async def test_a_body_that_drips_is_cut_by_the_deadline() -> None:
    async def drip(line: Line) -> None:
        await line.send(b"HTTP/1.1 403 F\r\ncontent-type: application/fhir+json\r\ncontent-length: 1000\r\n\r\n")
        while True:
            await line.send(b" ")
            await asyncio.sleep(0.02)

    async with serving(drip) as wire:
        client = SourceClient(wire.url, Httpx2Transport(Limits()))
        with pytest.raises(SourceTimeout):
            await client.get("Patient", deadline=soon(0.2), read_errors=True)
        await client.aclose()


# ---- JSON of no shape that we know ----


def test_an_object_keeps_its_digits_and_whatever_it_holds() -> None:
    body = b'{"resourceType":"Bundle","of":{"another":["version",{"value":4.50,"empty":""}]}}'
    found = read_object(body)
    assert found["of"]["another"][1] == {"value": Decimal("4.50"), "empty": ""}
    assert str(found["of"]["another"][1]["value"]) == "4.50"


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"[]", WrongContent),
        (b'"text"', WrongContent),
        (b"{", WrongContent),
        (b'{"a":"\xff"}', WrongContent),
        (b'{"a":1,"a":2}', WrongContent),
        (b'{"deep":{"a":1,"\\u0061":2}}', WrongContent),
        (b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1), TooMuch),
        (b'{"a":' * 100_000, TooMuch),
        (b'{"a":[' + b"{}," * 1_000_000 + b"{}]}", TooMuch),
    ],
)
def test_what_is_none_is_refused_whole(body: bytes, error: type) -> None:
    with pytest.raises(error):
        read_object(body)
