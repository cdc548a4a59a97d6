"""Reading a source's FHIR JSON: split, decoded once, within bounds, with one walk over each resource.

Decimals become `Decimal` (digits kept). A body with duplicate keys, with nesting beyond `MAX_DEPTH`, or with more than
the allowed entries is refused whole: which of two values a parser keeps must not decide what a clinician sees.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import msgspec

from connectors.sdk import shape
from connectors.sdk.errors import TooMuch, WrongContent
from connectors.sdk.model import NHS_NUMBER_SYSTEM, Findings, Resource

MAX_DEPTH: Final = 64
MAX_ENTRIES: Final = 5_000
MAX_RESOURCE_BYTES: Final = 4 * 1024 * 1024

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_array = msgspec.json.Decoder(list[msgspec.Raw])
_any = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)
_small = msgspec.json.Decoder(Any)


class _Head(msgspec.Struct):
    resourceType: str  # noqa: N815


_head = msgspec.json.Decoder(_Head)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a Bundle: the resource, what the walk found in it, and how the source labelled it."""

    resource: Resource
    findings: Findings
    full_url: str | None
    mode: str


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
    members = _split(body)
    if _value(members, "resourceType") != "Bundle":
        raise WrongContent("the answer is not a Bundle")
    raw_entries = _decode(_array, members["entry"]) if "entry" in members else []
    if len(raw_entries) > max_entries:
        raise TooMuch("entries over the cap")
    links = {str(link.get("relation")): str(link.get("url")) for link in _objects(_value(members, "link"))}
    total = _value(members, "total")
    held_back: Counter[str] = Counter()
    return Page(
        entries=[entry for raw in raw_entries if (entry := _read_entry(raw, held_back)) is not None],
        held_back=held_back,
        total=total if isinstance(total, int) and not isinstance(total, bool) else None,
        next=links.get("next"),
        self_link=links.get("self"),
    )


def read_resource(raw: bytes) -> tuple[Resource, Findings]:
    """One resource and its findings. Raises WrongContent or TooMuch, or BrokenShape for a type that we know."""
    if len(raw) > MAX_RESOURCE_BYTES:
        raise TooMuch("a resource over the cap")
    kind = _decode(_head, raw).resourceType
    try:
        resource = shape.decode(kind, raw) if kind in shape.KNOWN_TYPES else _decode(_any, raw)
    except RecursionError as error:
        raise TooMuch("nesting over the cap") from error
    except (msgspec.DecodeError, ValueError) as error:
        raise _as_ours(error) from error
    findings, colons = examine(resource)
    if raw.count(b":") != colons:
        # A doubled key, an escaped colon, or an element that R4 doesn't know and that we carry along all the same.
        _refuse_duplicate_keys(raw)
        resource = _decode(_any, raw)
        findings, _ = examine(resource)
    for contained in _objects(resource.get("contained")):
        shape.check(contained)
    return resource, findings


def _as_ours(error: Exception) -> Exception:
    return error if isinstance(error, shape.BrokenShape) else WrongContent("not the JSON that FHIR asks for")


def examine(resource: Resource) -> tuple[Findings, int]:
    """Walk a resource once. Returns what was found, and the number of colons that its JSON has if no key is doubled.

    Raises TooMuch beyond `MAX_DEPTH`.
    """
    found = Findings()
    colons = 0
    level: list[Any] = [resource]
    for _ in range(MAX_DEPTH):
        deeper: list[Any] = []
        for node in level:
            if type(node) is dict:
                colons += len(node)
                _note(node, found)
                values: Any = node.values()
                for key in node:
                    if ":" in key:
                        colons += key.count(":")
            else:
                values = node
            for value in values:
                kind = type(value)
                if kind is str:
                    colons += value.count(":")
                elif kind is dict or kind is list:
                    deeper.append(value)
        if not deeper:
            _note_security(resource, found)
            return found, colons
        level = deeper
    raise TooMuch("nesting over the cap")


def _note(node: dict[str, Any], found: Findings) -> None:
    if "reference" in node:
        found.references.append(node)
    system = node.get("system")
    if type(system) is str:
        code = node.get("code")
        if type(code) is str:
            found.codings.append((system, code))
        if system == NHS_NUMBER_SYSTEM:
            found.nhs_numbers.add(str(node.get("value", "")))


def _note_security(resource: Resource, found: Findings) -> None:
    for holder in (resource, *_objects(resource.get("contained"))):
        meta = holder.get("meta")
        if isinstance(meta, dict):
            for label in _objects(meta.get("security")):
                found.security.append((str(label.get("system", "")), str(label.get("code", ""))))


def _read_entry(raw: msgspec.Raw, held_back: Counter[str]) -> Entry | None:
    members = _split(raw)
    if "resource" not in members:
        return None
    body = bytes(members["resource"])
    try:
        resource, findings = read_resource(body)
    except shape.BrokenShape:
        held_back[_decode(_head, body).resourceType] += 1
        return None
    search = _value(members, "search")
    full_url = _value(members, "fullUrl")
    return Entry(
        resource=resource,
        findings=findings,
        full_url=full_url if isinstance(full_url, str) else None,
        mode=str(search.get("mode", "match")) if isinstance(search, dict) else "match",
    )


def _split(body: bytes | msgspec.Raw) -> dict[str, msgspec.Raw]:
    """The members of an object, undecoded. A doubled key would take its colon with it, so the colons must add up."""
    members: dict[str, msgspec.Raw] = _decode(_members, body)
    inside = sum(bytes(value).count(b":") for value in members.values()) + sum(key.count(":") for key in members)
    if bytes(body).count(b":") != inside + len(members):
        raise WrongContent("a key stands twice in one object")
    return members


def _decode(decoder: msgspec.json.Decoder[Any], body: bytes | msgspec.Raw) -> Any:
    try:
        return decoder.decode(body)
    except RecursionError as error:
        raise TooMuch("nesting over the cap") from error
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        raise WrongContent("the answer is not the JSON that FHIR asks for") from error


def _value(members: dict[str, msgspec.Raw], name: str) -> Any:
    return _decode(_small, members[name]) if name in members else None


def _objects(value: Any) -> list[dict[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _refuse_duplicate_keys(raw: bytes) -> None:
    """The slow, exact check, for when the colons don't add up (an escaped colon is the innocent reason)."""

    def distinct(pairs: list[tuple[str, Any]]) -> None:
        if len({key for key, _ in pairs}) != len(pairs):
            raise WrongContent("a key stands twice in one object")

    json.loads(raw, object_pairs_hook=distinct)
