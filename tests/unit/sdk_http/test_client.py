"""The client of a source itself, its twin that can be mocked, and documents that belong to no source."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
import respx

from connectors.sdk.errors import SourceTimeout, TooMuch, Unreachable, WrongContent
from connectors.sdk.http import AiohttpTransport, Call, Httpx2Transport, Limits, SourceClient, fetch_bytes
from tests.mocked import HttpCore2Mocker
from tests.unit.sdk_http.calls import Failing, Open
from tests.wire import BUNDLE, Wire, reply, saying, serving, silence, soon

# ---- the mockable twin ----


async def test_respx_mocks_the_second_transport() -> None:
    with respx.mock(using=HttpCore2Mocker.name) as mock:
        route = mock.get("http://source.test/fhir/Patient", params={"identifier": "s|1"}).respond(
            200, content=BUNDLE, headers={"content-type": "application/fhir+json"}
        )
        client = SourceClient("http://source.test/fhir", Httpx2Transport(Limits()))
        assert await client.get("Patient?identifier=s%7C1", deadline=soon()) == BUNDLE
        assert route.call_count == 1
        await client.aclose()


async def test_a_mock_transport_and_an_asgi_app_serve_as_well() -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        headers = {"content-type": "application/fhir+json", "content-encoding": "gzip"}
        return httpx2.Response(200, content=gzip.compress(BUNDLE), headers=headers)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"application/fhir+json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": BUNDLE})

    for transport in (httpx2.MockTransport(answer), httpx2.ASGITransport(app=app)):
        client = SourceClient("http://source.test/fhir", Httpx2Transport(Limits(), transport))
        assert await client.get("Patient", deadline=soon()) == BUNDLE
        await client.aclose()


async def test_a_mocked_library_error_is_mapped() -> None:
    def broken(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ReadError("at 127.0.0.1 for 9990000018")

    client = SourceClient("http://source.test/fhir", Httpx2Transport(Limits(), httpx2.MockTransport(broken)))
    with pytest.raises(Unreachable, match=r"^ReadError$"):
        await client.get("Patient", deadline=soon())
    assert client.calls == 2
    await client.aclose()


# ---- the client itself ----


async def test_a_question_goes_out_letter_for_letter(opened: Open) -> None:
    question = (
        "Observation?patient.identifier=https%3A%2F%2Ffhir.nhs.uk%2FId%2Fnhs-number%7C9990000018&code=a%2Cb&_x=%20"
    )
    async with serving(saying(reply())) as wire, opened(wire.url) as client:
        await client.get(question, deadline=soon())
        await client.get(f"{wire.url}/{question}", deadline=soon())
        assert [line.target for line in wire.lines] == [f"/fhir/{question}"] * 2


async def test_each_ask_counts_its_own_calls(opened: Open) -> None:
    async with serving(saying(reply())) as wire, opened(wire.url) as client:
        asks = [client.counted() for _ in range(3)]
        await asyncio.gather(*(one.get("Patient", deadline=soon()) for one in asks for _ in range(4)))
        assert [one.calls for one in asks] == [4, 4, 4]
        assert len(wire.lines) == 12


@pytest.mark.parametrize(
    "address",
    [
        "",
        "sandbox",
        "ftp://source.test",
        "//source.test/fhir",
        "http://",
        "http://:80/fhir",
        "http://source.test:0/fhir",
        "http://source.test:99999/fhir",
        "http://[::1/fhir",
        "http://user:secret@source.test/fhir",
        "http://@source.test/fhir",
        "http://source.test/fhir?x=1",
        "http://source.test/fhir#x",
        "http://source.test/a b",
    ],
)
def test_an_address_that_is_none_stops_at_once(address: str) -> None:
    with pytest.raises(ValueError, match="The address of a source") as caught:
        SourceClient(address, Failing())
    assert "secret" not in str(caught.value)


def test_a_call_does_not_tell_its_patient_or_its_proof() -> None:
    call = Call(
        "GET", "http://source.test/Patient?identifier=9990000018", {"Authorization": "Bearer s3cret"}, b"s3cret"
    )
    assert repr(call) == "Call(method='GET')"


async def test_closing_an_unused_client_is_fine() -> None:
    await SourceClient("http://source.test/fhir", AiohttpTransport(Limits())).aclose()


# ---- documents that belong to no source ----


@pytest.fixture
async def keys() -> AsyncIterator[Wire]:
    async with serving(saying(reply(b'{"keys":[]}', kind="application/jwk-set+json")), path="") as wire:
        yield wire


async def test_an_issuers_keys_are_fetched(keys: Wire) -> None:
    assert await fetch_bytes(f"{keys.url}/.well-known/jwks.json", limit=1000, timeout=2) == b'{"keys":[]}'
    assert keys.lines[0].target == "/.well-known/jwks.json"
    assert keys.lines[0].header("accept") == "application/json"


async def test_they_are_bounded(keys: Wire) -> None:
    with pytest.raises(TooMuch):
        await fetch_bytes(f"{keys.url}/keys", limit=10, timeout=2)
    async with serving(silence) as hung:
        with pytest.raises(SourceTimeout):
            await fetch_bytes(f"{hung.url}/keys", limit=10, timeout=0.1)


@pytest.mark.parametrize("url", ["", "file:///etc/passwd", "http://[::1/x", "http://u:p@h/x", "/keys", "http://h:0/x"])
async def test_an_address_of_keys_that_is_none_is_wrong_content(url: str) -> None:
    with pytest.raises(WrongContent):
        await fetch_bytes(url, limit=10, timeout=1)
