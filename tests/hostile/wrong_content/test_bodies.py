"""Bodies that are no FHIR JSON, over a socket, to the connector as it runs: always a gap, never half used."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest

from connectors.sdk.connector import connect
from connectors.sdk.http import AiohttpTransport, Limits
from connectors.sdk.model import Answer, Gap, Section
from connectors.sdk.organisations import Organisation
from tests.connectors.asking import PATIENT, asking, entry, ids, page, resource
from tests.figures import Figure
from tests.wire import Line, reply, serving

ALLERGIES: Final = frozenset({Section.ALLERGIES})
GOOD: Final = json.dumps(page(entry(resource("AllergyIntolerance", 1)), total=1)).encode()
TEXT: Final = GOOD.decode()


def with_length(body: bytes, length: object) -> bytes:
    """An answer that states its length, rightly or not."""
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/fhir+json\r\ncontent-length: {length}\r\n\r\n"
    return head.encode() + body


def with_number(text: str) -> bytes:
    """The page with a value of which JSON knows nothing, or no decimal."""
    found = resource("AllergyIntolerance", 1, extension=[{"url": "x", "valueDecimal": "NUMBER"}])
    return json.dumps(page(entry(found), total=1)).replace('"NUMBER"', text).encode()


def chunked(*chunks: bytes) -> bytes:
    """An answer in chunks as they are given."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/fhir+json\r\ntransfer-encoding: chunked\r\n\r\n"
    return head + b"".join(chunks)


XML: Final = b'<Bundle xmlns="http://hl7.org/fhir"><type value="searchset"/></Bundle>'
XXE: Final = b'<?xml version="1.0"?><!DOCTYPE b [<!ENTITY e SYSTEM "file:///etc/passwd">]><Bundle>&e;</Bundle>'
HTML: Final = b"<!doctype html><title>Sign in</title>"
TWICE: Final = TEXT.replace('"total": 1', '"total": 0, "total": 1').encode()
TWICE_INSIDE: Final = TEXT.replace('"id": "All1"', '"id": "All2", "id": "All1"').encode()
CONTENT: Final[dict[str, bytes]] = {
    "xml as xml": reply(XML, "application/fhir+xml"),
    "xml as json": reply(XML),
    "xml with an entity": reply(XXE, "application/xml"),
    "xml with an entity as json": reply(XXE),
    "html as html": reply(HTML, "text/html"),
    "html as json": reply(HTML),
    "json as html": reply(GOOD, "text/html"),
    "json as text": reply(GOOD, "text/plain"),
    "no content type": reply(GOOD, None),
    "two content types in one": reply(GOOD, "application/fhir+json, text/html"),
    "utf-16 as utf-8": reply(TEXT.encode("utf-16")),
    "utf-16 that says so": reply(TEXT.encode("utf-16"), "application/fhir+json; charset=utf-16"),
    "latin-1 that says so": reply(GOOD, "application/fhir+json; charset=iso-8859-1"),
    "latin-1 as utf-8": reply(GOOD.replace(b"All1", b"All\xe9")),
    "a byte order mark": reply(b"\xef\xbb\xbf" + GOOD),
    "cut in the middle": reply(GOOD[: len(GOOD) // 2]),
    "cut before its last byte": reply(GOOD[:-1]),
    "something behind the end": reply(GOOD + b"{}"),
    "two documents": reply(GOOD + b"\n" + GOOD),
    "a doubled total": reply(TWICE),
    "a doubled id": reply(TWICE_INSIDE),
    "NaN": reply(with_number("NaN")),
    "Infinity": reply(with_number("-Infinity")),
    "a number without end": reply(with_number("1e999999999")),
    "a hexadecimal number": reply(with_number("0x10")),
    "a number with a zero in front": reply(with_number("007")),
    "a comment": reply(GOOD.replace(b"{", b"{/* */", 1)),
    "single quotes": reply(GOOD.replace(b'"', b"'")),
    "a zero byte": reply(GOOD.replace(b"All1", b"All\x00")),
    "half a surrogate": reply(GOOD.replace(b"All1", b"All\\ud800")),
    "nothing": reply(b""),
    "white space": reply(b"  \n"),
    "null": reply(b"null"),
    "a list": reply(b"[" + GOOD + b"]"),
    "text": reply(json.dumps(TEXT).encode()),
    "another resource": reply(json.dumps(resource("AllergyIntolerance", 1)).encode()),
    "a length too long": with_length(GOOD, len(GOOD) + 9),
    "a length too short": with_length(GOOD, len(GOOD) - 9),
    "a length of minus one": with_length(GOOD, -1),
    "a length of letters": with_length(GOOD, "many"),
    "two lengths": with_length(GOOD, f"{len(GOOD)}\r\ncontent-length: 7"),
    "a length and chunks": with_length(GOOD, f"{len(GOOD)}\r\ntransfer-encoding: chunked"),
    "chunks without an end": chunked(b"%x\r\n%s\r\n" % (len(GOOD), GOOD)),
    "a chunk of a size that is none": chunked(b"zz\r\n" + GOOD + b"\r\n0\r\n\r\n"),
    "gzip that isn't": reply(GOOD, content_encoding="gzip"),
    "gzip that nobody said": reply(gzip.compress(GOOD)),
    "half of a gzip": reply(gzip.compress(GOOD)[:-9], content_encoding="gzip"),
    "an encoding that nobody asked for": reply(GOOD, content_encoding="br"),
    "no http at all": b"SSH-2.0-OpenSSH_9.6\r\n",
    "a status of letters": GOOD.join([b"HTTP/1.1 OK\r\n\r\n", b""]),
    "a header that never ends": b"HTTP/1.1 200 OK\r\nx: " + b"a" * 200_000,
}


@asynccontextmanager
async def answering(content: bytes) -> AsyncIterator[str]:
    """A source that knows the patient, and says this to every other question; then it hangs up."""
    patient = reply(json.dumps(page(PATIENT)).encode())

    async def play(line: Line) -> None:
        is_patient = line.target.startswith("/fhir/Patient?")
        await line.send(patient if is_patient else content)
        if not is_patient:
            line.writer.close()

    async with serving(play) as wire:
        yield wire.url


async def ask(content: bytes) -> Answer:
    """What the connector makes of it."""
    async with answering(content) as address:
        fields: dict[str, Any] = {"ods": "RJ2", "name": "A trust", "type": "acute-trust", "stage": "live"}
        source = {"connector": "fhir_r4", "address": address, "sections": list(Section)}
        connector = connect(Organisation.model_validate(fields | source), transport=AiohttpTransport(Limits()))
        try:
            answer: Answer = await connector.ask(asking(sections=ALLERGIES, seconds=20))
            return answer
        finally:
            await connector.aclose()


@pytest.mark.parametrize("name", CONTENT)
async def test_it_is_a_gap_and_nothing_of_it_is_used(name: str, figure: Figure) -> None:
    answer = await ask(CONTENT[name])
    assert set(answer.gaps) == ALLERGIES
    assert answer.gaps[Section.ALLERGIES] in (Gap.FAILED, Gap.HELD_BACK, Gap.TOO_MUCH)
    assert ids(answer, "AllergyIntolerance") == []
    assert "passwd" not in answer.detail
    if name == next(iter(CONTENT)):
        figure(f"{len(CONTENT)} kinds of wrong content over a socket: 0 items used, each a gap")


@pytest.mark.parametrize(
    "content",
    [
        reply(GOOD),
        reply(gzip.compress(GOOD), content_encoding="gzip"),
        chunked(b"%x\r\n%s\r\n0\r\n\r\n" % (len(GOOD), GOOD)),
    ],
    ids=["whole", "gzip", "chunked"],
)
async def test_the_right_content_is_used(content: bytes) -> None:
    answer = await ask(content)
    assert (answer.gaps, ids(answer, "AllergyIntolerance")) == ({}, ["All1"])
