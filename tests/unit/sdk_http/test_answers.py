"""The one HTTP module against servers that misbehave on the wire, over both transports: what comes back."""

from __future__ import annotations

import asyncio
import gzip
import sys
import zlib

import pytest

from connectors.sdk.errors import Busy, NotUnderstood, Refused, SourceError, TooMuch, Unreachable, Unwell, WrongContent
from connectors.sdk.http import Limits
from tests.unit.sdk_http.calls import MIB, Open, ask
from tests.wire import BUNDLE, Line, reply, saying, serving, soon

# ---- bytes ----


def bomb(mebibytes: int) -> bytes:
    """gzip of that much white space: the one compressed block is said again and again."""
    squeeze = zlib.compressobj(9, wbits=31)
    head = squeeze.compress(b" ") + squeeze.flush(zlib.Z_FULL_FLUSH)
    block = squeeze.compress(b" " * MIB) + squeeze.flush(zlib.Z_FULL_FLUSH)
    return head + block * mebibytes


MEASURE = """
import asyncio, resource, sys
from connectors.sdk.errors import TooMuch
from connectors.sdk.http import AiohttpTransport, Httpx2Transport, Limits, SourceClient

async def main(url, name):
    limits = Limits()
    client = SourceClient(url, {"aiohttp": AiohttpTransport, "httpx2": Httpx2Transport}[name](limits), limits=limits)
    await client.get("small", deadline=asyncio.get_running_loop().time() + 5)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        await client.get("bomb", deadline=asyncio.get_running_loop().time() + 20)
    except TooMuch:
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    await client.aclose()

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize("transport", ["aiohttp", "httpx2"])
async def test_half_a_gibibyte_of_bomb_costs_less_than_16_mebibytes(transport: str) -> None:
    body = bomb(512)
    assert len(body) < MIB

    async def play(line: Line) -> None:
        await line.send(reply(body, content_encoding="gzip") if "bomb" in line.target else reply())

    async with serving(play) as wire:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", MEASURE, wire.url, transport, stdout=asyncio.subprocess.PIPE
        )
        told, _ = await child.communicate()
    assert child.returncode == 0
    assert int(told) < 16 * 1024


@pytest.mark.parametrize(("mebibytes", "is_bomb"), [(1, False), (2, False), (3, True), (8, True)])
async def test_what_opens_a_thousandfold_is_cut_long_before_the_cap(
    opened: Open, mebibytes: int, is_bomb: bool
) -> None:
    answer = reply(gzip.compress(b" " * mebibytes * MIB), content_encoding="gzip")
    if not is_bomb:
        assert len(await ask(opened, answer)) == mebibytes * MIB
        return
    with pytest.raises(TooMuch, match="opens too far"):
        await ask(opened, answer)


async def test_a_record_that_repeats_itself_a_hundredfold_is_read(opened: Open) -> None:
    entry = b'{"resource":{"resourceType":"Observation","id":"%d","status":"final","note":"' + b"much the same " * 40
    body = b"[" + b",".join(entry % number + b'"}}' for number in range(20_000)) + b"]"
    squeezed = gzip.compress(body)
    assert len(body) > 60 * len(squeezed)
    assert await ask(opened, reply(squeezed, content_encoding="gzip")) == body


@pytest.mark.parametrize("encoding", [None, "gzip"])
async def test_an_answer_over_the_cap_is_cut_while_it_streams(opened: Open, encoding: str | None) -> None:
    body = b" " * 100_001
    sent = gzip.compress(body) if encoding else body
    headers = {"content_encoding": encoding} if encoding else {}
    with pytest.raises(TooMuch):
        await ask(opened, reply(sent, **headers), Limits(max_bytes=100_000))
    assert await ask(opened, reply(sent, **headers), Limits(max_bytes=100_001)) == body


async def test_an_endless_chunked_answer_is_cut_by_its_bytes(opened: Open) -> None:
    async def play(line: Line) -> None:
        await line.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/fhir+json\r\ntransfer-encoding: chunked\r\n\r\n")
        while True:
            await line.send(b"10000\r\n" + b" " * 65536 + b"\r\n")

    async with serving(play) as wire, opened(wire.url, Limits(max_bytes=MIB)) as client:
        with pytest.raises(TooMuch):
            await client.get("Patient", deadline=soon())


async def test_gzip_that_opens_to_nothing_is_bounded_by_what_came_in(opened: Open) -> None:
    squeeze = zlib.compressobj(9, wbits=31)
    head = squeeze.compress(b"") + squeeze.flush(zlib.Z_FULL_FLUSH)
    nothing = squeeze.flush(zlib.Z_FULL_FLUSH) or b"\x00\x00\x00\xff\xff"
    with pytest.raises(TooMuch):
        await ask(opened, reply(head + nothing * 100_000, content_encoding="gzip"), Limits(max_bytes=100_000))


@pytest.mark.parametrize("size", [1, 255, 256 * 1024 - 1, 256 * 1024, 256 * 1024 + 1, 3 * MIB])
async def test_gzip_opens_whole_at_every_edge_of_a_step(opened: Open, size: int) -> None:
    body = b'"' + b"0123456789abcdef" * (size // 16 + 1)
    assert await ask(opened, reply(gzip.compress(body[:size]), content_encoding="gzip")) == body[:size]


WHOLE = gzip.compress(BUNDLE)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (WHOLE[:-1], Unreachable),
        (WHOLE[:-9], Unreachable),
        (WHOLE[:5], Unreachable),
        (b"", Unreachable),
        (WHOLE + b"x", WrongContent),
        (WHOLE + WHOLE, WrongContent),
        (WHOLE[:-8] + b"\0" * 8, WrongContent),
        (b"not gzip at all", WrongContent),
        (zlib.compress(BUNDLE), WrongContent),
    ],
    ids=["no-last-byte", "no-trailer", "head-only", "empty", "one-more", "two-members", "wrong-sum", "text", "zlib"],
)
async def test_broken_gzip_is_never_half_used(opened: Open, body: bytes, expected: type[SourceError]) -> None:
    with pytest.raises(expected):
        await ask(opened, reply(body, content_encoding="gzip"))


async def test_bytes_after_the_compressed_body_are_seen_in_a_later_packet_too(opened: Open) -> None:
    async def play(line: Line) -> None:
        whole = reply(WHOLE + b"x", content_encoding="gzip")
        await line.send(whole[:-1])
        await asyncio.sleep(0.05)
        await line.send(whole[-1:])

    async with serving(play) as wire, opened(wire.url) as client:
        with pytest.raises(WrongContent):
            await client.get("Patient", deadline=soon())


@pytest.mark.parametrize("encoding", ["br", "deflate", "zstd", "gzip, gzip", "compress", "x-gzip", "nonsense"])
async def test_an_encoding_that_was_not_asked_for_is_refused(opened: Open, encoding: str) -> None:
    with pytest.raises(WrongContent):
        await ask(opened, reply(content_encoding=encoding))


async def test_gzip_is_all_that_is_asked_for(opened: Open) -> None:
    async with serving(saying(reply(content_encoding="Identity"))) as wire, opened(wire.url) as client:
        assert await client.get("Patient", deadline=soon()) == BUNDLE
        assert wire.lines[0].header("accept-encoding") == "gzip"
        assert wire.lines[0].header("accept") == "application/fhir+json"
        assert wire.lines[0].header("user-agent") == "connect-care"


# ---- content type, status, redirects ----


@pytest.mark.parametrize(
    "kind",
    [
        "application/fhir+json",
        "application/fhir+json; charset=utf-8",
        'application/fhir+json;charset="UTF-8";fhirVersion=4.0',
        "Application/JSON",
        "application/json+fhir",
    ],
)
async def test_fhir_json_is_read(opened: Open, kind: str) -> None:
    assert await ask(opened, reply(kind=kind)) == BUNDLE


@pytest.mark.parametrize(
    "kind",
    [
        None,
        "",
        "text/html",
        "text/html; charset=utf-8",
        "application/fhir+xml",
        "application/xml",
        "text/plain",
        "text/json",
        "application/jwk-set+json",
        "application/octet-stream",
        "application/fhir+json, text/html",
        "application/fhir+json; charset=utf-16",
        "application/fhir+json; charset=iso-8859-1",
    ],
)
async def test_anything_else_is_refused_unparsed(opened: Open, kind: str | None) -> None:
    with pytest.raises(WrongContent):
        await ask(opened, reply(kind=kind))


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308])
async def test_a_redirect_is_not_followed(opened: Open, status: int) -> None:
    async with serving(saying(reply())) as elsewhere:
        answer = reply(b"", status=f"{status} Elsewhere", location=elsewhere.url)
        async with serving(saying(answer)) as wire, opened(wire.url) as client:
            with pytest.raises(WrongContent):
                await client.get("Patient", deadline=soon())
            assert len(wire.lines) == 1
        assert elsewhere.lines == []


@pytest.mark.parametrize(
    ("status", "expected", "calls"),
    [
        (202, WrongContent, 1),
        (204, WrongContent, 1),
        (206, WrongContent, 1),
        (400, NotUnderstood, 1),
        (401, Refused, 1),
        (403, Refused, 1),
        (404, NotUnderstood, 1),
        (408, NotUnderstood, 1),
        (410, NotUnderstood, 1),
        (429, Busy, 1),
        (500, Unwell, 2),
        (502, Unwell, 2),
        (503, Unwell, 2),
        (599, Unwell, 2),
    ],
)
async def test_each_status_has_one_meaning_and_only_5xx_is_tried_again(
    opened: Open, status: int, expected: type[SourceError], calls: int
) -> None:
    body = b"" if status == 204 else b'{"resourceType":"OperationOutcome","text":"9990000018"}'
    async with serving(saying(reply(body, status=f"{status} Some 9990000018"))) as wire, opened(wire.url) as client:
        with pytest.raises(expected) as caught:
            await client.get("Patient", deadline=soon())
        assert type(caught.value) is expected
        assert str(caught.value) == f"status {status}"
        assert len(wire.lines) == client.calls == calls
