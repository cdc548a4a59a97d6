"""Is it FHIR R4? Every answer is held against the specification: structure, types and cardinality by `fhirkit` (made of
the official definitions of 4.0.1), the codes of what the gateway wrote by the value sets in `fhir.resources`, and the
rules of Bundles and documents that no schema can say.

What the gateway writes (Bundles, outcomes, Linkages, Compositions, its own resources) has to be valid, always. A
source's own resource is passed on as it came: where that is invalid, the fault is the source's, and the gateway neither
mends nor hides it. It's told apart by its tag: everything that came from a source carries that organisation's ODS code.
So two lists come of each answer, and a test decides which of its sources may send what.
"""

from __future__ import annotations

import importlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

import fhirkit
import httpx2
from pydantic import BaseModel

from connectors.sdk.model import ODS_SYSTEM

Json = Mapping[str, Any]
_IN_ENTRY: Final = re.compile(r"^Bundle\.entry\[(\d+)\](?:\.resource|\.response\.outcome)\.?")
_EMPTY_DIV: Final = re.compile(r"<[^>]*>|\s")
_DOCUMENTS: Final = "document"
_SEARCHES: Final = frozenset({"searchset", "history"})
_RESPONSES: Final = frozenset({"batch-response", "transaction-response", "history"})


@dataclass
class Judged:
    """What is wrong with an answer: with what the gateway wrote, and by organisation with what a source sent."""

    own: list[str] = field(default_factory=list)
    of_sources: dict[str, list[str]] = field(default_factory=dict)


def judged(body: bytes) -> Judged:
    """Hold a whole answer against R4: a resource by itself, or a Bundle with all that is in it."""
    found = Judged()
    resource = json.loads(body)
    for issue in fhirkit.validate(body):
        if issue.severity == "error":
            _note(found, _source_at(resource, issue.path), f"{issue.path}: {issue.message}")
    found.own += [f"{where}: {what}" for where, what in _rules(resource, str(resource.get("resourceType")))]
    if not found.own:
        found.own += [what for each in _own(resource) for what in _wrong_codes(each)]
    return found


def _own(resource: Json) -> Iterable[dict[str, Any]]:
    """What the gateway wrote: Bundles without what is in them, and every resource that no source sent."""
    entries = resource.get("entry", ()) if resource.get("resourceType") == "Bundle" else ()
    if entries:
        emptied = [{name: value for name, value in entry.items() if name != "resource"} for entry in entries]
        yield {**resource, "entry": [{"fullUrl": "urn:uuid:0", **entry} for entry in emptied]}
        for entry in entries:
            yield from _own(entry.get("resource", {}))
    elif resource and (resource.get("resourceType") == "Linkage" or source_of(resource) is None):
        yield dict(resource)


def _wrong_codes(resource: dict[str, Any]) -> Iterable[str]:
    """Codes that aren't of the value set that R4 binds them to (`fhirkit` looks at their form alone)."""
    kind = resource["resourceType"]
    model = getattr(importlib.import_module(f"fhir.resources.R4B.{kind.lower()}"), kind)
    return _outside_value_sets(model.model_validate(resource), kind)


_NO_VALUE_SET: Final = frozenset({"format"})
"""Media types, which the models take for the words of R4's own short description."""


def _outside_value_sets(node: Any, where: str) -> Iterable[str]:
    if isinstance(node, list):
        for each in node:
            yield from _outside_value_sets(each, where)
    elif isinstance(node, BaseModel):
        for name, described in type(node).model_fields.items():
            value, extra = getattr(node, name), described.json_schema_extra
            bound = extra.get("enum_values") if isinstance(extra, dict) else None
            if (
                bound
                and name not in _NO_VALUE_SET
                and any(code not in bound for code in (value if isinstance(value, list) else [value]) if code)
            ):
                yield f"{where}.{name}: {value} isn't one of {bound}"
            yield from _outside_value_sets(value, f"{where}.{name}")


def _note(found: Judged, source: str | None, what: str) -> None:
    if source is None:
        found.own.append(what)
    else:
        found.of_sources.setdefault(source, []).append(what)


def _source_at(resource: Json, path: str) -> str | None:
    """The organisation whose resource the path is in; None where it's the gateway's own."""
    entry = _IN_ENTRY.match(path)
    if entry is not None and resource.get("resourceType") == "Bundle":
        inner = resource["entry"][int(entry[1])].get("resource")
        return _source_at(inner, path[entry.end() :]) if isinstance(inner, dict) else None
    return source_of(resource) if resource.get("resourceType") not in ("Bundle", "Linkage") else None


def source_of(resource: Json) -> str | None:
    """The ODS code that a resource carries as its origin."""
    tags = resource.get("meta", {}).get("tag", ())
    return next((tag["code"] for tag in tags if tag.get("system") == ODS_SYSTEM and "code" in tag), None)


def _rules(resource: Json, where: str) -> Iterable[tuple[str, str]]:
    """The invariants of what the gateway writes, by their keys in R4."""
    kind = resource.get("resourceType")
    if kind == "Bundle":
        yield from _of_bundle(resource, where)
        for index, entry in enumerate(resource.get("entry", ())):
            inner = [entry.get("resource"), entry.get("response", {}).get("outcome")]
            for each in (one for one in inner if isinstance(one, dict)):
                yield from _rules(each, f"{where}.entry[{index}]")
    if kind == "Composition":
        yield from _of_sections(resource.get("section", ()), where)
    if source_of(resource) is None and "text" in resource and not says_something(resource["text"]):
        yield where, "txt-2: a narrative says nothing"


def _of_bundle(bundle: Json, where: str) -> Iterable[tuple[str, str]]:
    kind, entries = bundle.get("type"), bundle.get("entry", [])
    if "entry" in bundle and not entries:
        yield where, "an empty list isn't FHIR"
    if "total" in bundle and kind not in _SEARCHES:
        yield where, "bdl-1: total only of a search or history"
    if any("search" in entry for entry in entries) and kind != "searchset":
        yield where, "bdl-2: entry.search only of a search"
    if any("request" in entry for entry in entries):
        yield where, "bdl-3: no entry.request in an answer"
    if any(("response" in entry) is not (kind in _RESPONSES) for entry in entries):
        yield where, "bdl-4: entry.response in a response, and there alone"
    if any("resource" not in entry and "response" not in entry for entry in entries):
        yield where, "bdl-5: an entry holds nothing"
    urls = [entry["fullUrl"] for entry in entries if "fullUrl" in entry]
    if len(set(urls)) < len(urls):
        yield where, "bdl-7: a fullUrl stands twice"
    if any("/_history/" in url for url in urls):
        yield where, "bdl-8: a fullUrl names a version"
    if kind == _DOCUMENTS:
        yield from _of_document(bundle, where)


def _of_document(bundle: Json, where: str) -> Iterable[tuple[str, str]]:
    identifier = bundle.get("identifier", {})
    if not (identifier.get("system") and identifier.get("value")):
        yield where, "bdl-9: a document has an identifier with its system"
    if "timestamp" not in bundle:
        yield where, "bdl-10: a document has a timestamp"
    first = bundle["entry"][0].get("resource", {}) if bundle.get("entry") else {}
    if first.get("resourceType") != "Composition":
        yield where, "bdl-11: a document begins with its Composition"
    if any("fullUrl" not in entry for entry in bundle.get("entry", ())):
        yield where, "entries of a document have a fullUrl"


def _of_sections(sections: Iterable[Json], where: str) -> Iterable[tuple[str, str]]:
    for section in sections:
        if not (section.get("text") or section.get("entry") or section.get("section")):
            yield where, "cmp-1: a section has text, entries or sections"
        if "emptyReason" in section and "entry" in section:
            yield where, "cmp-2: a section with an emptyReason is empty"
        if "text" in section and not says_something(section["text"]):
            yield where, "txt-2: a section's narrative says nothing"
        yield from _of_sections(section.get("section", ()), where)


def says_something(text: Json) -> bool:
    """True where a narrative holds more than markup (R4 txt-2)."""
    return bool(_EMPTY_DIV.sub("", str(text.get("div", ""))))


_WITH_DIGITS: Final = re.compile(r"(?<=/)(?!R4(?:/|$))[^/]*[0-9][^/]*")


@dataclass
class Run:
    """How much of a test run is held against R4: `every` answer, or the first `sample` of each kind (method, address
    without ids, status), which is enough to find a broken door."""

    every: bool = True
    sample: int = 3
    seen: Counter[tuple[str, str, int]] = field(default_factory=Counter)

    def wants(self, response: httpx2.Response) -> bool:
        """Whether this answer is one of those."""
        request = response.request
        if "fhir+json" not in response.headers.get("content-type", "") or request.method == "HEAD":
            return False
        kind = (request.method, _WITH_DIGITS.sub("{id}", request.url.path), response.status_code)
        self.seen[kind] += 1
        return self.every or self.seen[kind] <= self.sample


RUN: Final = Run()
"""This run: its stacks share it, so that a sample is one of all of them."""


AS_THEY_COME: Final = MappingProxyType({"X26": r"\.address\[\d+\]\.line\[\d+\]: "})
"""The national register's addresses have five lines by their place: one that isn't used is an empty string, which R4
doesn't know. Nobody here rewrites an address."""


@dataclass
class Answers:
    """Every FHIR answer that a stack's client gets, held against R4 as it comes: a hook of that client.

    `tolerated`: what of a source's own isn't R4 and is passed on as it came, as a pattern of the place, by ODS code.
    """

    run: Run = field(default_factory=lambda: RUN)
    tolerated: dict[str, str] = field(default_factory=lambda: dict(AS_THEY_COME))

    async def __call__(self, response: httpx2.Response) -> None:
        """Raises AssertionError, in the test that asked."""
        if self.run.wants(response):
            self.hold(await response.aread())

    def hold(self, body: bytes) -> None:
        """Raises AssertionError where the answer isn't R4."""
        found = judged(body)
        assert not found.own, f"the gateway's own isn't R4: {found.own[:5]}"
        broken = {source: self._not_tolerated(source, what) for source, what in found.of_sources.items()}
        broken = {source: what[:3] for source, what in broken.items() if what}
        assert not broken, f"a source's resources aren't R4: {broken}"

    def _not_tolerated(self, source: str, what: list[str]) -> list[str]:
        pattern = self.tolerated.get(source)
        return what if pattern is None else [each for each in what if not re.search(pattern, each)]
