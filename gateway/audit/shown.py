"""Was just this shown? A rendering of a resource is held against the digests of what one request released.

A digest is over the resource's bytes as they left (`gateway.api.bundle.Sending`): compact JSON, elements in the order
and numbers with the digits in which they were sent. So white space and the spelling of escapes may differ in what is
held against it; a digit, a unit, a code, a date, the order of elements may not.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

import msgspec

from connectors.sdk.model import SECTION_OF_TYPE, SUPPORTING_TYPES, Resource
from connectors.sdk.nhs_number import is_nhs_number
from gateway.audit.row import PATIENT, Kind, Row
from gateway.sealed import Sealer, Unsealable
from gateway.store.interface import Kept

SHOWING: Final = frozenset({Kind.RELEASE, Kind.DISCLOSURE, Kind.PERSON_ANSWERED})
"""Rows behind which resources left."""
_CLINICAL: Final = frozenset(SECTION_OF_TYPE) | SUPPORTING_TYPES
_DATA: Final = b"data: "
"""How the line of an event begins that holds its resource. No JSON begins so."""
_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")


class NotReadable(ValueError):
    """The file isn't a rendering that could be held against anything. The text says why, and what to do."""


class Verdict(StrEnum):
    """What is known of one rendering."""

    SHOWN = "shown"
    DIFFERENT = "shown-differently"
    NOT_SHOWN = "not-shown"
    NOT_CLINICAL = "not-clinical"


@dataclass(frozen=True, slots=True)
class Found:
    """One resource of the file. `reference` never holds an NHS number. `rows` are those that showed it, or showed
    another rendering of it."""

    reference: str
    verdict: Verdict
    rows: tuple[int, ...] = ()


def read_resources(content: bytes) -> list[Resource]:
    """The resources of a file: one by itself, those of a Bundle, those of every answer in a batch-response, or those of
    every event in an event stream. Raises NotReadable."""
    events = [line.removeprefix(_DATA) for line in content.splitlines() if line.startswith(_DATA)]
    return [resource for each in events or [content] for resource in _read(each)]


def _read(content: bytes) -> list[Resource]:
    try:
        node = json.loads(
            content.decode("utf-8-sig"), object_pairs_hook=_distinct, parse_float=Decimal, parse_constant=_no_constant
        )
    except (ValueError, RecursionError) as error:
        reason = str(error) if isinstance(error, NotReadable) else "it isn't JSON in UTF-8"
        raise NotReadable(f"The file can't be compared: {reason}. Give it as it was received.") from error
    if not isinstance(node, dict) or not isinstance(node.get("resourceType"), str):
        raise NotReadable("The file holds no FHIR resource. Give a resource as JSON, or a Bundle.")
    if node["resourceType"] != "Bundle":
        return [node]
    if node.get("type") == "batch-response":
        return _of_batch(node.get("entry"))
    return _of_bundle(node)


def _of_batch(entries: Any) -> list[Resource]:
    """An entry that was refused holds no resource; one that was answered holds one, or a Bundle of its own."""
    answers = (
        [entry.get("resource") for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    )
    found: list[Resource] = []
    for answer in answers:
        if isinstance(answer, dict) and isinstance(answer.get("resourceType"), str):
            found += _of_bundle(answer) if answer["resourceType"] == "Bundle" else [answer]
    if not found:
        raise NotReadable("No entry of the batch-response holds a resource. Give the Bundle as it was received.")
    return found


def _of_bundle(node: Resource) -> list[Resource]:
    entries = node.get("entry", [])
    found = [entry.get("resource") for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    resources = [each for each in found if isinstance(each, dict) and isinstance(each.get("resourceType"), str)]
    if not resources or len(resources) < len(entries):
        raise NotReadable("An entry of the Bundle holds no resource. Give the Bundle as it was received.")
    return resources


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of a member that stands twice a reader sees one and a comparison the other."""
    members = dict(pairs)
    if len(members) < len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise NotReadable(f"a member stands twice in one object ({twice[:40]!r})")
    return members


def _no_constant(name: str) -> None:
    raise NotReadable(f"{name} is no JSON")


def compare(resources: Iterable[Resource], kept: Sequence[Kept], sealer: Sealer) -> list[Found]:
    """Each resource against the rows of one request, in the file's order."""
    rows = [each for each in kept if each.row.kind in SHOWING]
    return [_compare(resource, rows, sealer) for resource in resources]


def _compare(resource: Resource, rows: Sequence[Kept], sealer: Sealer) -> Found:
    kind, id_ = str(resource["resourceType"]), resource.get("id")
    sealed = id_ if isinstance(id_, str) else ""
    reference = _reference(kind, sealed)
    if kind not in _CLINICAL:
        return Found(reference, Verdict.NOT_CLINICAL)
    digest = _digest(resource, sealer)
    held = {each.seq: _digests_of(each.row, kind, sealed, sealer) for each in rows}
    exact = tuple(seq for seq, digests in held.items() if digest in digests)
    if exact:
        return Found(reference, Verdict.SHOWN, exact)
    other = tuple(seq for seq, digests in held.items() if digests)
    return Found(reference, Verdict.DIFFERENT if other else Verdict.NOT_SHOWN, other)


def _digest(resource: Resource, sealer: Sealer) -> str:
    """What no gateway could have sent (half a surrogate pair, say) equals nothing."""
    try:
        return sealer.sent_digest(_ENCODER.encode(resource))
    except (UnicodeEncodeError, OverflowError, RecursionError):
        return ""


def _digests_of(row: Row, kind: str, sealed: str, sealer: Sealer) -> Sequence[str]:
    """What the row has of this very resource: by its sealed id; of Patients all, where it is this patient."""
    if kind == PATIENT:
        return row.sent.get(PATIENT, ()) if _is_about(row, sealed, sealer) else ()
    prefix, _, digest = sealed.partition(".")
    ids = row.seen_ids.get(prefix, ())
    sent = row.sent.get(prefix, ())
    return [as_sent for each, as_sent in zip(ids, sent, strict=False) if each == digest]


def _is_about(row: Row, sealed: str, sealer: Sealer) -> bool:
    """One Patient carries the NHS number as its id, the other sources' have sealed ones, which open to the number."""
    try:
        number = sealed if is_nhs_number(sealed) else sealer.open_id(sealed)[0]
    except Unsealable:
        return False
    return row.patient == sealer.patient_tag(number)


def _reference(kind: str, sealed: str) -> str:
    named = kind if kind.isascii() and kind.isalpha() and len(kind) <= 40 else "resource"
    plain = sealed if len(sealed) <= 64 and sealed.isprintable() and not is_nhs_number(sealed) else ""
    return f"{named}/{plain}" if plain else named


def counts(found: Iterable[Found]) -> Mapping[Verdict, int]:
    """How many of each."""
    tallied = Counter(each.verdict for each in found)
    return {verdict: tallied[verdict] for verdict in Verdict}
