"""Searchsets, put together from bytes that are ready, and the pages of those that are long."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

from connectors.fhir_r4.sandbox.flavours import Flavour
from connectors.fhir_r4.sandbox.holdings import Holdings, Stored
from connectors.fhir_r4.sandbox.query import Refusal
from connectors.fhir_r4.sandbox.search import referred

_REMEMBERED: Final = 1_000


@dataclass(frozen=True, slots=True)
class Found:
    """The result of one search: the matches, and which includes each page adds."""

    path: str
    text: str
    matches: list[Stored]
    includes: tuple[str, ...] = ()
    page_size: int | None = None
    extra: tuple[Stored, ...] = ()
    warning: bytes = b""


class Pages:
    """Remembers results by an opaque token, so that a walk through the pages sees one and the same result."""

    def __init__(self) -> None:
        self._results: OrderedDict[str, Found] = OrderedDict()

    def remember(self, found: Found) -> str:
        """The token of this result; the oldest of a thousand are forgotten."""
        what = "\n".join([found.path, found.text, *(stored.key for stored in found.matches)])
        token = hashlib.blake2b(what.encode(), digest_size=12).hexdigest()
        self._results[token] = found
        self._results.move_to_end(token)
        if len(self._results) > _REMEMBERED:
            self._results.popitem(last=False)
        return token

    def recall(self, path: str, page: str) -> tuple[Found, int]:
        """The result and the offset behind `_page`. Raises Refusal (410) where there is none."""
        token, _, offset = page.partition(".")
        found = self._results.get(token)
        if found is None or found.path != path or not (offset.isascii() and offset.isdigit()):
            raise Refusal(410, "not-found", "This page is no longer kept. Search again.")
        return found, int(offset)


@dataclass(frozen=True, slots=True)
class Binder:
    """Binds results of one server into Bundles. `base` is the absolute base that the caller reached it by."""

    holdings: Holdings
    flavour: Flavour
    pages: Pages

    def bind(self, base: str, found: Found, offset: int = 0) -> bytes:
        """One page of a searchset as JSON."""
        size = found.page_size if found.page_size is not None else len(found.matches)
        page = found.matches[offset : offset + size]
        entries = b",".join(self._entries(base, found, page))
        head = b'{"resourceType":"Bundle","type":"searchset","total":%d' % len(found.matches)
        links = b',"link":' + msgspec.json.encode(self._links(base, found, offset, size)) if self.flavour.links else b""
        return head + links + (b',"entry":[' + entries + b"]}" if entries else b"}")

    def _entries(self, base: str, found: Found, page: list[Stored]) -> Iterator[bytes]:
        root = msgspec.json.encode(f"{base}/").removesuffix(b'"')
        for stored in page:
            yield self._entry(root, stored, b"match")
        keys = (key for stored in page for name in found.includes for key in stored.include[name])
        for stored in (*found.extra, *referred(self.holdings, page, keys)):
            yield self._entry(root, stored, b"include")
        if found.warning:
            yield b'{"resource":' + found.warning + b',"search":{"mode":"outcome"}}'

    def _entry(self, root: bytes, stored: Stored, mode: bytes) -> bytes:
        where = b'{"fullUrl":' + root + stored.key.encode() + b'",' if self.flavour.full_urls else b"{"
        return where + b'"resource":' + stored.body + b',"search":{"mode":"' + mode + b'"}}'

    def _links(self, base: str, found: Found, offset: int, size: int) -> list[dict[str, str]]:
        here = f"{base}{found.path}"
        links = [{"relation": "self", "url": f"{here}?{found.text}" if found.text else here}]
        if size and offset + size < len(found.matches):
            links.append({"relation": "next", "url": f"{here}?_page={self.pages.remember(found)}.{offset + size}"})
        return links
