"""Reading a source's FHIR JSON: split, decoded once, within bounds, with one walk over each resource.

Decimals become `Decimal` (digits kept). A body with duplicate keys, with nesting beyond `MAX_DEPTH`, or with more than
the allowed entries is refused whole: which of two values a parser keeps must not decide what a clinician sees.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from connectors.sdk import kernel, shape
from connectors.sdk.envelope import Envelope, Link
from connectors.sdk.errors import TooMuch, WrongContent
from connectors.sdk.model import Findings, Resource
from connectors.sdk.nhs_number import means_nhs_number
from connectors.sdk.number import read_number
from connectors.sdk.objects import objects

MAX_DEPTH: Final = 64
MAX_ENTRIES: Final = 5_000
MAX_RESOURCE_BYTES: Final = 4 * 1024 * 1024
MAX_VALUES: Final = 1_000_000

_ROUND: Final = 1024 * 1024
"""Bodies under this many bytes can't hold enough values to matter, so theirs aren't counted."""

_NO_RESOURCE: Final = "(no resource)"
_NOTHING: Final[Mapping[str, Any]] = {}
_CONTAINERS: Final = frozenset({dict, list})
_TYPE_FIRST: Final = re.compile(rb'\{\s*"resourceType"\s*:\s*"([A-Za-z]{1,40})"')
"""How nearly every source begins a resource: it saves a pass over the rest, only to learn its type."""


class _Head(msgspec.Struct):
    resourceType: str  # noqa: N815


class _Entries(msgspec.Struct):
    entry: list[msgspec.Raw] = []


_entries: Final = msgspec.json.Decoder(_Entries)
_head: Final = msgspec.json.Decoder(_Head)
_envelope: Final = msgspec.json.Decoder(Envelope, float_hook=read_number)
_any: Final = msgspec.json.Decoder(dict[str, Any], float_hook=read_number)
_encode: Final = msgspec.json.Encoder().encode


@dataclass(slots=True)
class Entry:
    """One entry of a Bundle: the resource, what the walk found in it, and how the source labelled it.

    `score` is the source's own, as it came: 1 for a certain match; None where it gave none.
    """

    resource: Resource
    findings: Findings
    full_url: str | None
    mode: str
    score: Any = None


@dataclass(frozen=True, slots=True)
class Page:
    """One Bundle. `next` and `self_link` are the source's own links, unchecked.

    `held_back` counts, by resource type, the resources whose shape is broken: they are never passed on, since one of
    them makes many clients refuse the whole Bundle, and never forgotten, since their absence is a gap.
    """

    entries: list[Entry]
    held_back: Counter[str]
    total: int | None
    next: str | None
    self_link: str | None


def read_bundle(body: bytes, *, max_entries: int = MAX_ENTRIES) -> Page:
    """Raises WrongContent or TooMuch; a body that isn't a Bundle is wrong content."""
    refuse_crowds(body)
    _refuse_too_many(body, max_entries)
    native = kernel.reader()
    envelope = native.bundle(body, max_entries) if native is not None else None
    if envelope is None:
        return _read_bundle(body, max_entries)
    _require_bundle(envelope, max_entries)
    held_back: Counter[str] = Counter()
    entries = []
    for entry in envelope.get("entry", ()):
        if "resource" not in entry:
            held_back[_NO_RESOURCE] += 1
        elif _is_whole(entry["resource"][0], held_back):
            entries.append(_entry(entry, *entry["resource"]))
    return _page(envelope, entries, held_back)


def _read_bundle(body: bytes, max_entries: int) -> Page:
    """The reference: what every body means, and every one that isn't well in every way."""
    envelope = decode_within_bounds(_envelope, body)
    _require_bundle(envelope, max_entries)
    resources = [bytes(entry.pop("resource", b"")) for entry in envelope.get("entry", ())]
    held_back: Counter[str] = Counter()
    drafts = [_draft(raw, held_back) for raw in resources]
    _settle(body, _encode(envelope).count(b":"), resources, drafts)
    entries = [
        _entry(entry, read.resource, read.findings)
        for entry, read in zip(envelope.get("entry", ()), drafts, strict=True)
        if read is not None and _is_whole(read.resource, held_back)
    ]
    return _page(envelope, entries, held_back)


def _refuse_too_many(body: bytes, max_entries: int) -> None:
    """Raises TooMuch for a big body with more entries than may be, before each is made an object that weighs several
    times what it is written with. A body that can't be read is left to the reader, which says what is wrong."""
    if len(body) <= _ROUND:
        return
    try:
        found = _entries.decode(body)
    except (ValueError, RecursionError):
        return
    if len(found.entry) > max_entries:
        raise TooMuch("entries over the cap")


def _require_bundle(envelope: Mapping[str, Any], max_entries: int) -> None:
    if envelope["resourceType"] != "Bundle":
        raise WrongContent("the answer is not a Bundle")
    if len(envelope.get("entry", ())) > max_entries:
        raise TooMuch("entries over the cap")


def _page(envelope: Mapping[str, Any], entries: list[Entry], held_back: Counter[str]) -> Page:
    links = envelope.get("link", [])
    return Page(
        entries=entries,
        held_back=held_back,
        total=envelope.get("total"),
        next=_url(links, "next"),
        self_link=_url(links, "self"),
    )


def _entry(entry: Mapping[str, Any], resource: Resource, findings: Findings) -> Entry:
    search = entry.get("search", _NOTHING)
    return Entry(resource, findings, entry.get("fullUrl"), search.get("mode", "match"), search.get("score"))


@dataclass(slots=True)
class _Draft:
    """A resource as first read, and its colons if no key is doubled and no element is unknown to R4."""

    resource: Resource
    findings: Findings
    colons: int

    def carry_along(self, raw: bytes) -> None:
        """Read it again, where its colons don't add up, with every element that R4 doesn't know.

        Raises WrongContent for a doubled key.
        """
        if not _adds_up(raw, self.colons):
            _look_at_each_key(raw)
            self.resource = decode_within_bounds(_any, raw)
            self.findings, self.colons = examine(self.resource)


def _settle(body: bytes, colons: int, resources: list[bytes], drafts: list[_Draft | None]) -> None:
    """Refuse doubled keys anywhere in the body; `colons` are the envelope's own. Raises WrongContent.

    What is written anew never has more colons than it came with. So where the sums of the whole body agree, those of
    each resource do, and one count proves them all. Otherwise each is looked at by itself.
    """
    known = colons + sum(
        1 + (raw.count(b":") if draft is None else draft.colons)
        for raw, draft in zip(resources, drafts, strict=True)
        if raw
    )
    if _adds_up(body, known):
        return
    refuse_doubled_keys(body, colons + sum(1 + raw.count(b":") for raw in resources if raw))
    for raw, draft in zip(resources, drafts, strict=True):
        if draft is not None:
            draft.carry_along(raw)


def _draft(raw: bytes, held_back: Counter[str]) -> _Draft | None:
    """A resource, or None where it must be held back. Raises WrongContent or TooMuch."""
    if not raw:
        held_back[_NO_RESOURCE] += 1
        return None
    try:
        return _read(raw)
    except shape.BrokenShape:
        held_back[_kind_of(raw)] += 1
        return None


def _is_whole(resource: Resource, held_back: Counter[str]) -> bool:
    """False, and counted, where a contained resource is broken."""
    if "contained" not in resource:
        return True
    try:
        _check_contained(resource)
    except shape.BrokenShape:
        held_back[str(resource["resourceType"])] += 1
        return False
    return True


def read_resource(raw: bytes) -> tuple[Resource, Findings]:
    """One resource and its findings. Raises WrongContent or TooMuch, or BrokenShape for a type that we know."""
    native = kernel.reader()
    resource, findings = (native and native.resource(raw)) or _read_resource(raw)
    _check_contained(resource)
    return resource, findings


def _read_resource(raw: bytes) -> tuple[Resource, Findings]:
    draft = _read(raw)
    draft.carry_along(raw)
    return draft.resource, draft.findings


def read_object(body: bytes) -> Resource:
    """A JSON object of no shape that we know (FHIR of another version), within the same bounds.

    Raises WrongContent, for a doubled key too, or TooMuch. Whoever maps it must check what comes of it.
    """
    refuse_crowds(body)
    native = kernel.reader()
    found = native.object(body) if native is not None else None
    return _read_object(body) if found is None else found


def _read_object(body: bytes) -> Resource:
    decoded: Resource = decode_within_bounds(_any, body)
    refuse_doubled_keys(body, examine(decoded)[1])
    return decoded


def _read(raw: bytes) -> _Draft:
    if len(raw) > MAX_RESOURCE_BYTES:
        raise TooMuch("a resource over the cap")
    resource = _decode_as(_kind_of(raw), raw)
    return _Draft(resource, *examine(resource))


def _kind_of(raw: bytes) -> str:
    """The resource type. (Where a doubled key makes it the wrong one, the colons don't add up.)"""
    first = _TYPE_FIRST.match(raw)
    return first[1].decode() if first else decode_within_bounds(_head, raw).resourceType


def _check_contained(resource: Resource) -> None:
    if "contained" in resource:
        for contained in objects(resource["contained"]):
            shape.check(contained)


def _decode_as(kind: str, raw: bytes) -> Resource:
    if kind not in shape.KNOWN_TYPES:
        resource: Resource = decode_within_bounds(_any, raw)
        return resource
    try:
        return shape.decode(kind, raw)
    except shape.BrokenShape:
        raise
    except RecursionError as error:
        raise TooMuch("nesting over the cap") from error
    except ValueError as error:  # what only shows when the values are read: wrong UTF-8, a number out of range
        raise WrongContent("the answer is not the JSON that FHIR asks for") from error


def examine(resource: Resource) -> tuple[Findings, int]:
    """Walk a resource once. Returns what was found, and the number of colons that its JSON has if no key is doubled.

    Raises TooMuch beyond `MAX_DEPTH`.
    """
    found = Findings()
    level: list[Any] = [resource]
    for _ in range(MAX_DEPTH):
        deeper: list[Any] = []
        for node in level:
            values: Any = node
            if type(node) is dict:
                values = node.values()
                if "reference" in node:
                    found.references.append(node)
                elif "type" in node and type(node["type"]) is str:
                    found.states_type = True
                    if node["type"] == "Patient":
                        found.logical.append(node)
                if "system" in node:
                    _note_system(node, found)
            for value in values:
                if type(value) in _CONTAINERS:
                    deeper.append(value)  # noqa: PERF401 (a comprehension takes half as long again here)
        if not deeper:
            _note_security(resource, found)
            return found, _encode(resource).count(b":")
        level = deeper
    raise TooMuch("nesting over the cap")


def _note_system(node: dict[str, Any], found: Findings) -> None:
    system, code = node["system"], node.get("code")
    if type(system) is str and type(code) is str:
        found.codings.append((system, code))
    if type(system) is str and "value" in node and means_nhs_number(system):
        found.nhs_numbers.add(str(node["value"]))


def _note_security(resource: Resource, found: Findings) -> None:
    for holder in (resource, *objects(resource.get("contained"))):
        meta = holder.get("meta")
        if isinstance(meta, dict) and "security" in meta:
            for label in objects(meta.get("security")):
                found.security.append((str(label.get("system", "")), str(label.get("code", ""))))


def _url(links: Sequence[Link], relation: str) -> str | None:
    """The one link of this relation. Raises WrongContent where there are two: which one counts is anybody's guess."""
    urls = [link["url"] for link in links if link["relation"] == relation]
    if len(urls) > 1:
        raise WrongContent(f"two {relation} links in one Bundle")
    return urls[0] if urls else None


def refuse_crowds(body: bytes) -> None:
    """Refuse, before anything is decoded, a body of `{},{},…`: its values cost thirty times the bytes it came in."""
    if len(body) > _ROUND and body.count(b",") + body.count(b"{") + body.count(b"[") > MAX_VALUES:
        raise TooMuch("values over the cap")


def refuse_doubled_keys(body: bytes, colons: int) -> None:
    """Raises WrongContent where a key stands twice in one object; `colons` as in `_adds_up`."""
    if not _adds_up(body, colons):
        _look_at_each_key(body)


def _adds_up(body: bytes, colons: int) -> bool:
    """True where no key can be doubled: a parser that drops one of two values drops a colon with it.

    `colons` are those of the same JSON, written anew from what was parsed. An escaped colon would make up for a
    dropped one, so a body that has any goes the long way.
    """
    if body.count(b":") != colons:
        return False
    return b"\\" not in body or (b"\\u003a" not in body and b"\\u003A" not in body)


def _look_at_each_key(body: bytes) -> None:
    """The slow, exact check. Raises WrongContent."""

    def distinct(pairs: list[tuple[str, Any]]) -> None:
        if len({key for key, _ in pairs}) != len(pairs):
            raise WrongContent("a key stands twice in one object")

    try:
        json.loads(body, object_pairs_hook=distinct, parse_int=str, parse_float=str)
    except RecursionError as error:
        raise TooMuch("nesting over the cap") from error
    except ValueError as error:
        raise WrongContent("the answer is not the JSON that FHIR asks for") from error


def decode_within_bounds(decoder: msgspec.json.Decoder[Any], body: bytes) -> Any:
    """What the decoder makes of the body. Raises TooMuch or WrongContent."""
    try:
        return decoder.decode(body)
    except RecursionError as error:
        raise TooMuch("nesting over the cap") from error
    except ValueError as error:  # msgspec's own errors and wrong UTF-8 are ValueErrors too
        raise WrongContent("the answer is not the JSON that FHIR asks for") from error
