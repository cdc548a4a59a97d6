"""Answers the connector's own searches from saved payloads: `connectcare connector replay fhir_r4 FILE…`.

A payload is a Bundle. A searchset of one type is what a search for that type brought: alone it answers byte for byte,
pages of one type are put together. Any other Bundle (a collection, `$everything`, a transaction) is all that there is
of a patient: it answers every search, each with what that search's own includes lead to. A search that no payload
answers gets a 404, which leaves a gap: what isn't in the files isn't known; a call for `$everything` is answered with
all of them, as far as they answer for a type. The extra parameters of a configured search
(`category=laboratory`) are not applied: what was saved is what was sent.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import msgspec

from connectors.sdk.errors import WrongContent
from connectors.sdk.model import INCLUDED_BY, SECTION_OF_TYPE, Resource
from connectors.sdk.nhs_number import means_nhs_number, same_number
from connectors.sdk.port import Call, Reply, Transport

_MISSING: Final = "a-page-that-is-not-in-the-files"
_NO_BUNDLE: Final = "a saved payload is not a FHIR Bundle in JSON"
_NO_RESOURCE: Final = b"{}"
_encode: Final = msgspec.json.Encoder().encode


class _Head(msgspec.Struct):
    resourceType: str  # noqa: N815
    id: str = ""


class _Link(msgspec.Struct):
    relation: str
    url: str


class _Search(msgspec.Struct):
    mode: str = "match"


class _Entry(msgspec.Struct):
    resource: msgspec.Raw = msgspec.Raw(_NO_RESOURCE)
    fullUrl: str | None = None  # noqa: N815
    search: _Search = msgspec.field(default_factory=_Search)


class _Bundle(msgspec.Struct):
    resourceType: str  # noqa: N815
    type: str = ""
    total: int | None = None
    link: list[_Link] = []
    entry: list[_Entry] = []


@dataclass(frozen=True, slots=True)
class _Held:
    """One entry of a payload."""

    kind: str
    key: str
    full_url: str | None
    mode: str
    raw: msgspec.Raw

    def resource(self) -> Resource:
        """Decoded for its references and identifiers alone; what is sent is `raw`."""
        decoded: Resource = msgspec.json.decode(self.raw)
        return decoded

    def entry(self, mode: str | None = None) -> dict[str, Any]:
        """As it goes into another Bundle."""
        named = {} if self.full_url is None else {"fullUrl": self.full_url}
        return {**named, "resource": self.raw, "search": {"mode": mode or self.mode}}


@dataclass(frozen=True, slots=True)
class _Page:
    """One Bundle. `about` is the type that it is a search for; None where it is everything."""

    body: bytes
    entries: tuple[_Held, ...]
    about: str | None
    total: int | None
    has_next: bool


def replaying(payloads: Sequence[bytes], nhs_number: str) -> Transport:
    """A Transport that answers from the payloads. Of several Patients in a Bundle of everything, the search for one
    brings those with `nhs_number`; where none has it, all of them.

    Raises WrongContent for a payload that isn't a Bundle, or where none of them holds or answers for a Patient.
    """
    pages = [page for payload in payloads for page in _pages(payload)]
    if not any(page.about in (None, "Patient") for page in pages):
        raise WrongContent(
            "the saved payloads hold no Patient, who proves whose they are: save the search for the Patient too"
        )
    return _Replay(pages, nhs_number)


class _Replay:
    def __init__(self, pages: Sequence[_Page], nhs_number: str) -> None:
        self._pages = [page for page in pages if page.about is not None]
        self._is_whole = len(self._pages) < len(pages)
        self._whole = [held for page in pages if page.about is None for held in page.entries]
        self._nhs_number = nhs_number
        self._named = {name: held for held in self._whole for name in (held.full_url, held.key) if name}

    @asynccontextmanager
    async def send(self, call: Call) -> AsyncIterator[Reply]:
        """See Transport."""
        body = self._batch(call.body or b"") if call.method == "POST" else self._found(call.url)
        yield _Saved(404, b"{}") if body is None else _Saved(200, body)

    async def aclose(self) -> None:
        """Nothing is open."""

    def _batch(self, body: bytes) -> bytes:
        urls = [entry["request"]["url"] for entry in msgspec.json.decode(body)["entry"]]
        entries = [
            {"response": {"status": "404"}}
            if found is None
            else {"response": {"status": "200"}, "resource": msgspec.Raw(found)}
            for found in map(self._found, urls)
        ]
        return _encode({"resourceType": "Bundle", "type": "batch-response", "entry": entries})

    def _found(self, url: str) -> bytes | None:
        """The answer to one search; None where no payload knows it."""
        parts = urlsplit(url)
        kind = parts.path.rpartition("/")[2]
        if kind == "$everything":
            return self._everything(parts.path)
        pages = [page for page in self._pages if page.about == kind]
        matches = self._matches(kind)
        if not pages and not (self._is_whole and kind in SECTION_OF_TYPE):
            return None
        if len(pages) == 1 and not matches:
            return pages[0].body
        includes = [value for name, value in parse_qsl(parts.query) if name == "_include"]
        return _assembled(pages, matches, list(self._included(matches, includes)))

    def _everything(self, path: str) -> bytes:
        """All that was saved. Its own link names the types that the files answer for, so that the others are gaps."""
        by_type: dict[str, list[_Page]] = {}
        for page in self._pages:
            by_type.setdefault(str(page.about), []).append(page)
        known = {kind for kind, pages in by_type.items() if not all(page.has_next for page in pages)}
        known |= SECTION_OF_TYPE.keys() - by_type.keys() if self._is_whole else set()
        held = [*self._whole, *(held for page in self._pages for held in page.entries)]
        link = {"relation": "self", "url": f"{path}?_type={','.join(sorted(known))}"}
        entries = [one.entry() for one in held]
        return _encode({"resourceType": "Bundle", "type": "searchset", "link": [link], "entry": entries})

    def _matches(self, kind: str) -> list[_Held]:
        found = [held for held in self._whole if held.kind == kind]
        if kind != "Patient":
            return found
        return [held for held in found if _carries(held.resource(), self._nhs_number)] or found

    def _included(self, matches: Iterable[_Held], includes: Sequence[str]) -> Iterator[_Held]:
        before: set[str] = set()
        paths = [INCLUDED_BY[include].split(".") for include in includes if include in INCLUDED_BY]
        for held in matches:
            resource = held.resource()
            for reference in (one for path in paths for one in _at(resource, path)):
                target = self._named.get(reference) or self._named.get("/".join(reference.split("/")[-2:]))
                if target is not None and target.key not in before and target.kind not in SECTION_OF_TYPE:
                    before.add(target.key)
                    yield target


class _Saved:
    """One call's reply."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self._body = body

    def header(self, name: str) -> str:
        return "application/fhir+json" if name.lower() == "content-type" else ""

    async def chunks(self) -> AsyncIterator[bytes]:
        yield self._body


def _pages(payload: bytes) -> Iterator[_Page]:
    """The payload; each of the answers in it, where it is one to a batch. Raises WrongContent."""
    try:
        bundle = msgspec.json.decode(payload, type=_Bundle)
        if bundle.resourceType != "Bundle":
            raise WrongContent(_NO_BUNDLE)
        if bundle.type == "batch-response":
            for entry in bundle.entry:
                if bytes(entry.resource) != _NO_RESOURCE:
                    yield from _pages(bytes(entry.resource))
            return
        entries = tuple(_held(entry) for entry in bundle.entry if bytes(entry.resource) != _NO_RESOURCE)
    except (ValueError, RecursionError) as error:
        raise WrongContent(_NO_BUNDLE) from error
    has_next = any(link.relation == "next" for link in bundle.link)
    yield _Page(payload, entries, _about(bundle, entries), bundle.total, has_next)


def _held(entry: _Entry) -> _Held:
    head = msgspec.json.decode(entry.resource, type=_Head)
    return _Held(head.resourceType, f"{head.resourceType}/{head.id}", entry.fullUrl, entry.search.mode, entry.resource)


def _about(bundle: _Bundle, entries: Iterable[_Held]) -> str | None:
    """The type that a searchset answers for, by its own link or else by its matches; "" where nothing tells."""
    path = next((urlsplit(link.url).path for link in bundle.link if link.relation == "self"), "")
    if bundle.type != "searchset" or path.endswith("$everything"):
        return None
    if (named := path.rpartition("/")[2]) in SECTION_OF_TYPE:
        return named
    kinds = {held.kind for held in entries if held.mode == "match" and held.kind in SECTION_OF_TYPE}
    return None if len(kinds) > 1 else next(iter(kinds), "")


def _assembled(pages: Sequence[_Page], matches: Sequence[_Held], included: Sequence[_Held]) -> bytes:
    """One searchset. It keeps what the source counted, and says so where the last page was not saved."""
    entries = [held.entry() for page in pages for held in page.entries]
    entries += [held.entry("match") for held in matches] + [held.entry("include") for held in included]
    counted = [page.total for page in pages if page.total is not None]
    bundle: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset", "entry": entries}
    if not pages:
        bundle["total"] = len({held.key for held in matches})
    elif counted:
        bundle["total"] = max(counted)
    if pages and all(page.has_next for page in pages):
        bundle["link"] = [{"relation": "next", "url": _MISSING}]
    return _encode(bundle)


def _carries(patient: Resource, nhs_number: str) -> bool:
    identifiers = patient.get("identifier")
    return any(
        means_nhs_number(str(one.get("system", ""))) and same_number(str(one.get("value", "")), nhs_number)
        for one in (identifiers if isinstance(identifiers, list) else ())
        if isinstance(one, dict)
    )


def _at(value: Any, path: Sequence[str]) -> Iterator[str]:
    """The literal references at a path, whichever of its steps are lists."""
    if isinstance(value, list):
        for one in value:
            yield from _at(one, path)
    elif isinstance(value, dict):
        if path:
            yield from _at(value.get(path[0]), path[1:])
        elif isinstance(value.get("reference"), str):
            yield value["reference"]
