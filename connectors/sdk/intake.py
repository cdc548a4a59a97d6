"""What of a reply is let in: its status, its content type, its encoding, and its bytes while they stream."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from io import BytesIO
from typing import Final

from connectors.sdk.budget import BIG, Budget
from connectors.sdk.errors import Busy, NotUnderstood, Refused, TooMuch, Unreachable, Unwell, WrongContent
from connectors.sdk.port import Reply

FHIR_JSON: Final = frozenset({"application/fhir+json", "application/json", "application/json+fhir"})
PLAIN_JSON: Final = frozenset({"application/json", "application/jwk-set+json"})

_INFLATE_STEP: Final = 256 * 1024
_MOST_FOLD: Final = 250
"""A searchset opens ten- to fifty-fold; what opens further than this is no record (deflate itself reaches 1,032)."""
_NOT_COUNTED: Final = 2 * 1024 * 1024
"""What may come out of any few bytes: a short answer with a long run of the same in it harms nobody."""


def check_status(status: int) -> None:
    """Raises what a status other than 200 and 201 means. Redirects are an answer that can't be used, never followed."""
    if status in (200, 201):
        return
    if status in (401, 403):
        raise Refused(f"status {status}")
    if status == 429:
        raise Busy(f"status {status}")
    if status >= 500:
        raise Unwell(f"status {status}")
    if 400 <= status < 500:
        raise NotUnderstood(f"status {status}")
    raise WrongContent(f"status {status}")


def check_content_type(value: str, accepted: frozenset[str] = FHIR_JSON) -> None:
    """Raises WrongContent for anything but JSON of an accepted type, in UTF-8: XML and HTML are refused unparsed."""
    if value in accepted:
        return
    kind, *parameters = (part.strip().lower() for part in value.split(";"))
    if kind not in accepted:
        raise WrongContent("the content type is not FHIR JSON")
    for parameter in parameters:
        name, _, charset = parameter.partition("=")
        if name == "charset" and charset.strip('"') not in ("utf-8", "utf8", "us-ascii"):
            raise WrongContent("the character set is not UTF-8")


async def read_bounded(reply: Reply, max_bytes: int, budget: Budget | None = None) -> bytes:
    """The decoded body. Raises TooMuch as soon as it grows over `max_bytes`, or over what is left of `budget`.

    Both are watched while it is still streaming: a dozen bodies that arrive at once draw on the one budget, and those
    that are big are read one after the other.
    """
    encoding = reply.header("content-encoding").strip().lower()
    if encoding not in ("", "identity", "gzip"):
        raise WrongContent("the content encoding was not asked for")
    inflate = _Inflater() if encoding == "gzip" else None
    body = BytesIO()  # it gives its bytes away without a copy, where a list of parts would be there twice when joined
    size = received = 0
    is_alone = False
    try:
        async for chunk in reply.chunks():
            received += len(chunk)
            if received > max_bytes:
                raise TooMuch("received bytes over the cap")
            for part in inflate.feed(chunk) if inflate else (chunk,):
                size += len(part)
                if size > max_bytes:
                    raise TooMuch("decoded bytes over the cap")
                if budget is not None:
                    budget.spend_bytes(len(part))
                    if size > BIG and not is_alone:
                        is_alone = await budget.alone.acquire()
                body.write(part)
    finally:
        if is_alone and budget is not None:
            budget.alone.release()
    if inflate and not inflate.finished:
        raise Unreachable("the compressed body was cut short")
    return body.getvalue()


class _Inflater:
    """gzip in steps of `_INFLATE_STEP` bytes: a bomb is noticed by how far it opens, after a few of them, and not
    when it has filled the memory. `feed` raises TooMuch."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(wbits=31)
        self._taken = self._given = 0

    @property
    def finished(self) -> bool:
        return self._stream.eof

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        if self._stream.eof and chunk:
            raise WrongContent("bytes after the end of the compressed body")
        try:
            while chunk and not self._stream.eof:
                yield self._opened(self._stream.decompress(chunk, _INFLATE_STEP), len(chunk))
                chunk = self._stream.unconsumed_tail
        except zlib.error as error:
            raise WrongContent("the compressed body is broken") from error
        if self._stream.unused_data:
            raise WrongContent("bytes after the end of the compressed body")

    def _opened(self, part: bytes, offered: int) -> bytes:
        self._taken += offered - len(self._stream.unconsumed_tail)
        self._given += len(part)
        if self._given > _NOT_COUNTED + _MOST_FOLD * self._taken:
            raise TooMuch("a compressed body that opens too far")
        return part
