"""Is it an International Patient Summary? What `Composition-uv-ips` and `Bundle-uv-ips` of IPS 2.0.0 demand of the
document that the gateway writes, rule by rule.

Source: HL7 IPS 2.0.0, StructureDefinition-Composition-uv-ips, StructureDefinition-Bundle-uv-ips, invariants ips-comp-1
and bdl-ips-1; FHIR R4, Documents, and Bundle, Resolving references.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from tests.r4 import says_something, source_of

Json = Mapping[str, Any]
LOINC: Final = "http://loinc.org"
PROFILE: Final = "http://hl7.org/fhir/uv/ips/StructureDefinition/Composition-uv-ips"
_DOCUMENT: Final = "DocumentReference"
MAY_HOLD: Final[Mapping[str, frozenset[str]]] = {
    "10160-0": frozenset(
        {"MedicationStatement", "MedicationRequest", "MedicationAdministration", "MedicationDispense", _DOCUMENT}
    ),
    "48765-2": frozenset({"AllergyIntolerance", _DOCUMENT}),
    "11450-4": frozenset({"Condition", _DOCUMENT}),
    "11369-6": frozenset({"Immunization", _DOCUMENT}),
    "30954-2": frozenset({"Observation", "DiagnosticReport", "Media", _DOCUMENT}),
    "8716-3": frozenset({"Observation", _DOCUMENT}),
    "29762-2": frozenset({"Observation", _DOCUMENT}),
    "47519-4": frozenset({"Procedure", _DOCUMENT}),
    "46264-8": frozenset({"DeviceUseStatement", _DOCUMENT}),
}
"""The types that each section of IPS may refer to."""
_IPS: Final = "/uv/ips/"
REQUIRED: Final = ("10160-0", "48765-2", "11450-4")


def sections(bundle: Json) -> dict[str, Json]:
    """The Composition's sections by LOINC code; those without one by their title."""
    return {code_of(section) or section["title"]: section for section in bundle["entry"][0]["resource"]["section"]}


def code_of(section: Json) -> str:
    """The section's LOINC code, or none."""
    codings = section.get("code", {}).get("coding", ())
    return next((coding["code"] for coding in codings if coding.get("system") == LOINC), "")


def violations(bundle: Json) -> list[str]:
    """What isn't as IPS has it; nothing where the document is an IPS."""
    composition = bundle["entry"][0]["resource"]
    return [*_of_bundle(bundle), *_of_composition(composition), *_of_references(bundle), *_reachable(bundle)]


def _of_bundle(bundle: Json) -> Iterator[str]:
    entries = bundle["entry"]
    types = [entry["resource"]["resourceType"] for entry in entries]
    if bundle.get("type") != "document" or "timestamp" not in bundle or not bundle.get("identifier"):
        yield "a document with identifier and timestamp"
    if types.count("Composition") != 1 or types[0] != "Composition":
        yield "bdl-ips-1: one Composition, the first"
    if types.count("Patient") != 1 or types[1:2] != ["Patient"]:
        yield "one Patient, after the Composition"
    if any(name in entry for entry in entries for name in ("search", "request", "response")):
        yield "no search, request or response"
    if any("fullUrl" not in entry for entry in entries):
        yield "every entry has a fullUrl"
    if any(
        _IPS in profile for entry in entries[1:] for profile in entry["resource"].get("meta", {}).get("profile", ())
    ):
        yield "no profile of IPS is claimed for what sources sent"


def _of_composition(composition: Json) -> Iterator[str]:
    if composition.get("meta", {}).get("profile") != [PROFILE]:
        yield "the profile that the Composition claims"
    if [coding.get("code") for coding in composition["type"]["coding"]] != ["60591-5"]:
        yield "type 60591-5"
    for name in ("status", "subject", "date", "author", "title", "text", "identifier"):
        if not composition.get(name):
            yield f"Composition.{name}"
    found = [code_of(section) for section in composition["section"]]
    yield from (f"section {code} once" for code in REQUIRED if found.count(code) != 1)
    yield from (f"section {code} more than once" for code in set(found) - {""} if found.count(code) > 1)
    for section in composition["section"]:
        yield from _of_section(section)


def _of_section(section: Json) -> Iterator[str]:
    title = section.get("title", "a section without title")
    if not section.get("title") or not says_something(section.get("text", {})):
        yield f"{title}: title and text"
    if "section" in section:
        yield f"{title}: no sections within sections"
    if bool(section.get("entry")) == ("emptyReason" in section):
        yield f"{title}: ips-comp-1, cmp-2: either entries or an emptyReason"
    may = MAY_HOLD.get(code_of(section))
    types = {reference["reference"].rsplit("/", 2)[-2] for reference in section.get("entry", ())} if may else set()
    if may and not types <= may:
        yield f"{title}: may not refer to {sorted(types - may)}"


def _of_references(bundle: Json) -> Iterator[str]:
    """Every reference in the document leads to an entry of it, by R4's rules: an absolute one to the same fullUrl, a
    relative one to that below the base of the entry that it stands in."""
    urls = {entry["fullUrl"] for entry in bundle["entry"]}
    for entry in bundle["entry"]:
        contained = {f"#{each.get('id')}" for each in entry["resource"].get("contained", ())} | {"#"}
        for reference in references(entry["resource"]):
            if not (reference in contained or absolute(reference, entry["fullUrl"]) in urls):
                yield f"{entry['resource']['resourceType']} refers to {reference}, which isn't in the document"


def absolute(reference: str, full_url: str) -> str | None:
    """Where a reference leads; None for a relative one in an entry whose own address has no base."""
    if urlsplit(reference).scheme:
        return reference
    if not full_url.startswith("http"):
        return None
    return f"{full_url.rsplit('/', 2)[0]}/{reference}"


def references(node: object) -> Iterable[str]:
    """Every `reference` in a resource."""
    if isinstance(node, dict):
        own = [node["reference"]] if isinstance(node.get("reference"), str) else []
        return own + [each for value in node.values() for each in references(value)]
    return [each for value in node for each in references(value)] if isinstance(node, list) else []


def _reachable(bundle: Json) -> Iterator[str]:
    """A document holds what its Composition leads to, directly or not, and nothing else."""
    by_url = {entry["fullUrl"]: entry["resource"] for entry in bundle["entry"]}
    waiting, seen = [bundle["entry"][0]["fullUrl"]], set[str]()
    while waiting:
        url = waiting.pop()
        if url not in seen and url in by_url:
            seen.add(url)
            waiting += [absolute(each, url) or "" for each in references(by_url[url])]
    yield from (f"nothing leads to {url}" for url in by_url.keys() - seen)


def clinical(bundle: Json) -> list[Json]:
    """What came from a source."""
    return [
        entry["resource"]
        for entry in bundle["entry"]
        if source_of(entry["resource"]) and entry["resource"]["resourceType"] != "Linkage"
    ]
