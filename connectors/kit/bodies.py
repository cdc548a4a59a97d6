"""What a body can be turned into: pure functions from bytes to bytes, for the sandbox's switch and the fault server.

Those that read the body need JSON; they know nothing of any dialect but that a FHIR Bundle has `entry`, `link` and
`total`. Numbers keep their digits.
"""

from __future__ import annotations

import functools
import re
import zlib
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, Final

import msgspec

from connectors.kit.canaries import PATTERN

BOMB_BYTES: Final = 80 * 1024 * 1024
"""What the bomb decompresses to: well beyond the 32 MiB that one answer may hold."""
DEEP: Final = 100_000
WIDE: Final = 1_500_000

_MEBIBYTE: Final = 1024 * 1024
_ID: Final = re.compile(rb'"([A-Za-z_]*[iI]d)"\s*:\s*("(?:[^"\\]|\\.)*")')
_PAIR: Final = re.compile(rb'"([^"\\]+)"\s*:\s*("(?:[^"\\]|\\.)*"|true|false|null|-?[0-9.]+)')
_decode: Final = msgspec.json.Decoder(float_hook=Decimal).decode
_encode: Final = msgspec.json.Encoder(decimal_format="number").encode


@functools.cache
def gzip_bomb() -> bytes:
    """About 80 kB of gzip that open to 80 MiB of a searchset that never ends."""
    squeeze = zlib.compressobj(level=9, wbits=31)
    parts = [squeeze.compress(b'{"resourceType":"Bundle","type":"searchset","entry":[')]
    block = b" " * _MEBIBYTE
    parts += [squeeze.compress(block) for _ in range(BOMB_BYTES // len(block))]
    return b"".join([*parts, squeeze.flush()])


def deep() -> bytes:
    """JSON that opens a hundred thousand lists and closes them: a parser that recurses runs out of stack."""
    return b'{"resourceType":"Bundle","type":"searchset","entry":' + b"[" * DEEP + b"]" * DEEP + b"}"


@functools.cache
def wide() -> bytes:
    """A few bytes for each value, and a million and a half values: parsed, they cost thirty times what they weigh."""
    return b'{"resourceType":"Bundle","type":"searchset","entry":[' + b"{}," * WIDE + b"{}]}"


def padding(size: int) -> Iterator[bytes]:
    """White space in blocks of a mebibyte: JSON allows it after the last brace, so the whole stays right."""
    block = b" " * _MEBIBYTE
    for _ in range(size // _MEBIBYTE):
        yield block


def corrupt(body: bytes) -> bytes:
    """The body with a piece out of its middle: it begins and ends as it should, and isn't JSON any more."""
    middle = len(body) // 2
    return body[:middle] + b'\x00"}' + body[middle + 3 :]


def doubled_key(body: bytes) -> bytes:
    """The body with one key twice in the same object, with two values: the first id, else the first plain value."""
    found = _ID.search(body) or _PAIR.search(body)
    if found is None:
        return body
    return body[: found.start()] + b'"%s":"twice",' % found[1] + body[found.start() :]


def nested(body: bytes, levels: int = 200) -> bytes:
    """The body whose every item carries an element nested two hundred levels deep, as an extension may."""

    def dig(item: dict[str, Any]) -> None:
        bottom: dict[str, Any] = {"url": "urn:kit:deep", "valueString": "bottom"}
        for _ in range(levels):
            bottom = {"url": "urn:kit:deep", "extension": [bottom]}
        inner(item).setdefault("extension", []).append(bottom)

    return each_item(body, dig)


def duplicate(body: bytes) -> bytes:
    """The body whose every item comes twice, the same in each element. (A Bundle's own `total` counts each once.)"""

    def twice(holder: dict[str, Any], name: str) -> None:
        holder[name] = [item for item in holder[name] for _ in range(2)]

    return with_lists(body, twice)


def measured(body: bytes, digits: str) -> tuple[bytes, int]:
    """The body whose every measured value (`value`, or any number with a fraction) is written with these digits.

    And how many there were.
    """
    count = 0

    def walk(node: Any) -> Any:
        nonlocal count
        if isinstance(node, dict):
            return {name: rewrite(name, value) for name, value in node.items()}
        return [walk(value) for value in node] if isinstance(node, list) else node

    def rewrite(name: str, value: Any) -> Any:
        nonlocal count
        if isinstance(value, Decimal) or (name == "value" and type(value) is int):
            count += 1
            return Decimal(digits)
        return walk(value)

    document = parsed(body)
    return (body, 0) if document is None else (_encode(walk(document)), count)


def lists_of(document: dict[str, Any]) -> Iterator[str]:
    """The names of the lists of items in a document: of a Bundle `entry`; else every list of objects at the top."""
    for name, value in document.items():
        if name != "link" and isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
            yield name


def with_lists(body: bytes, change: Callable[[dict[str, Any], str], None]) -> bytes:
    """The body after `change(document, name)` for each of its lists of items; as it was where it isn't JSON."""
    document = parsed(body)
    if document is None:
        return body
    for name in list(lists_of(document)):
        change(document, name)
    return _encode(document)


def each_item(body: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    """The body after `change(item)` for each item of its lists; a document without lists is one item itself."""
    document = parsed(body)
    if document is None:
        return body
    items = [item for name in lists_of(document) for item in document[name]] or [document]
    for item in items:
        change(item)
    return _encode(document)


def is_paged(document: dict[str, Any]) -> bool:
    """True for a document that may have a next page: a Bundle with more than a Patient in it, or lists of its own kind.

    A document of another FHIR type is one resource.
    """
    kinds = {inner(item).get("resourceType") for name in lists_of(document) for item in document[name]}
    if "resourceType" in document:
        return document["resourceType"] == "Bundle" and bool(kinds - {"Patient"})
    return bool(kinds)


def link_on(document: dict[str, Any], url: str | None) -> None:
    """Give the document this next page: a Bundle in its `link`, another in its member `next`."""
    if "resourceType" not in document:
        document["next"] = url
        return
    others = [link for link in document.get("link", []) if link.get("relation") != "next"]
    document["link"] = [*others, *([{"relation": "next", "url": url}] if url else [])]


def inner(item: dict[str, Any]) -> dict[str, Any]:
    """The resource of a Bundle's entry; any other item is its own."""
    resource = item.get("resource")
    return resource if isinstance(resource, dict) else item


def parsed(body: bytes) -> dict[str, Any] | None:
    """The document, or None where it isn't a JSON object."""
    try:
        document = _decode(body)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def written(document: dict[str, Any]) -> bytes:
    """The document as JSON, decimals with their digits."""
    return _encode(document)


def marks(data: bytes | dict[str, Any]) -> frozenset[str]:
    """The canaries in a body or a resource."""
    text = data if isinstance(data, bytes) else _encode(data)
    return frozenset(PATTERN.findall(text.decode("utf-8", "replace")))
