"""`Patient/{id}/$everything`: its parameters, from the address or from a Parameters resource.

R4, OperationDefinition/Patient-everything: `start`, `end` (dates of care), `_since`, `_type`, `_count`.
"""

from __future__ import annotations

import json
from typing import Any, Final

from gateway.search import results
from gateway.search.dates import BEGINNING, END, Span, span
from gateway.search.lenient import without_unknown
from gateway.search.pairs import MAX_PARAMETERS
from gateway.search.parse import RawPairs, cursor, nhs_number, once
from gateway.search.query import CareFilter, Continuation, Filter, Query, SinceFilter
from gateway.search.refuse import malformed, wrong
from gateway.search.results import Given
from gateway.search.table import EVERYTHING_PARAMS, SHOWN_TYPES
from gateway.search.terms import alternatives

_JOINED: Final = frozenset({"_type"})
"""R4 lets it be repeated; in an address it stands once, with commas."""
_VALUE: Final = "value"


def parse_everything(patient_id: str, pairs: RawPairs, *, lenient: bool = False) -> Query | Continuation:
    """The whole record, or what of it the parameters leave; `_cursor` for further pages. Raises as `parse` does."""
    patient = nhs_number(patient_id, "id")
    ignored: tuple[str, ...] = ()
    if lenient:
        pairs, ignored = without_unknown(pairs, EVERYTHING_PARAMS, lambda _: False)
    given = once(pairs, "$everything takes", EVERYTHING_PARAMS)
    if "_cursor" in given:
        return Continuation("Patient", cursor(given), everything=True, patient=patient, count=results.count(given))
    return Query(
        "Patient",
        patient,
        filters=(*_care(given), *_since(given)),
        everything=True,
        types=_types(given),
        count=results.count(given),
        summary=results.search_summary(given),
        ignored=ignored,
        pairs=results.kept(given),
    )


def _care(given: Given) -> tuple[Filter, ...]:
    if not given.keys() & {"start", "end"}:
        return ()
    low = _date("start", given["start"]).low if "start" in given else BEGINNING
    high = _date("end", given["end"]).high if "end" in given else END
    if low >= high:
        raise wrong("end", "is before `start`.")
    return (CareFilter(Span(low, high)),)


def _since(given: Given) -> tuple[Filter, ...]:
    return (SinceFilter(_date("_since", given["_since"]).low),) if "_since" in given else ()


def _date(name: str, value: str) -> Span:
    found = span(value)
    if found is None:
        raise wrong(name, "takes a date or a time with its zone: YYYY, YYYY-MM, YYYY-MM-DD, YYYY-MM-DDThh:mm:ssZ.")
    return found


def _types(given: Given) -> frozenset[str] | None:
    if "_type" not in given:
        return None
    types = alternatives("_type", given["_type"])
    if any(one not in SHOWN_TYPES for one in types):
        raise wrong("_type", f"takes resource types separated by commas: {', '.join(SHOWN_TYPES)}.")
    return frozenset(types)


def pairs_of_parameters(body: bytes) -> list[tuple[str, str]]:
    """The pairs of a Parameters resource; none for an empty body. Raises BadRequest for anything else.

    Each part has one value and no parts of its own.
    """
    if not body:
        return []
    try:
        sent: Any = json.loads(body, object_pairs_hook=_distinct)
    except (ValueError, RecursionError):
        sent = None
    if not isinstance(sent, dict) or sent.get("resourceType") != "Parameters":
        raise malformed("The body of this operation is a Parameters resource in FHIR JSON, or nothing.")
    parts = sent.get("parameter", [])
    if not isinstance(parts, list) or len(parts) > MAX_PARAMETERS:
        raise malformed(f"Parameters holds a list of at most {MAX_PARAMETERS} parameters.")
    return _joined([_pair(part) for part in parts])


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member stands twice")
    return members


def _pair(part: object) -> tuple[str, str]:
    held = part if isinstance(part, dict) else {}
    name = held.get("name")
    valued = [value for key, value in held.items() if key.startswith(_VALUE) and len(key) > len(_VALUE)]
    if not isinstance(name, str) or len(valued) != 1 or len(held) != len(("name", _VALUE)):
        raise malformed("Each parameter of Parameters has a name and one value[x], and nothing else.")
    if isinstance(valued[0], bool) or not isinstance(valued[0], (str, int)):
        raise malformed("Each value[x] of Parameters is a code, a number, a date or an instant.")
    return name, str(valued[0])


def _joined(pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    found = [pair for pair in pairs if pair[0] not in _JOINED]
    for name in _JOINED:
        values = [value for each, value in pairs if each == name]
        if values:
            found.append((name, ",".join(values)))
    return found
