"""From a client's parameters to a Query: parse, allow-list, rebuild.

Whatever is not on the list of its type is refused before anyone is asked, modifiers, chains and joins above all: they
are how other gateways let a caller feel for what they may not see. Nothing raised here but GatewayError.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from connectors.sdk.model import NHS_NUMBER_SYSTEM
from connectors.sdk.nhs_number import parse_nhs_number
from gateway.errors import NotSupported
from gateway.search.query import Continuation, Filter, IdFilter, Query, Reading, Summary
from gateway.search.refuse import not_offered, repeated, wrong
from gateway.search.representation import check_format
from gateway.search.summary import element_names
from gateway.search.table import (
    EVERYTHING_PARAMS,
    LAST_UPDATED,
    OFFERED,
    PERSON_REQUIRED,
    READ_PARAMS,
    SHOWN_TYPES,
    search_names,
)
from gateway.search.terms import alternatives, date_filter, exact_date, sort_keys, token_filter

MAX_COUNT: Final = 1000
MAX_VALUE: Final = 4096
MAX_CURSOR: Final = 12_288

_TEN_DIGITS: Final = re.compile(r"[0-9]{10}", re.ASCII)
_COUNT: Final = re.compile(r"[0-9]{1,4}", re.ASCII)
_ID: Final = re.compile(r"[A-Za-z0-9.-]{1,64}", re.ASCII)
_CURSOR: Final = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_TOTALS: Final = frozenset({"none", "estimate", "accurate"})
_ALWAYS_ALLOWED_WITH_CURSOR: Final = frozenset({"_cursor", "_format"})

Given = Mapping[str, str]
RawPairs = Sequence[tuple[str, str]]


def parse(resource_type: str, pairs: RawPairs) -> Query | Continuation:
    """The search of one type. `pairs` are decoded, those of a form after those of the query string.

    Raises NotSupported for a type or parameter that isn't offered, BadRequest for a value that can't be read,
    NotAcceptable for a `_format` that isn't JSON.
    """
    given = once(pairs, f"{_offered_type(resource_type)} can be searched by", search_names(resource_type))
    if "_cursor" in given:
        return Continuation(resource_type, _cursor(given))
    if resource_type == "Patient":
        return _patient_query(given)
    patient = _required_patient(resource_type, given)
    return Query(
        resource_type,
        patient,
        filters=_filters(resource_type, given),
        sort=sort_keys(given["_sort"], OFFERED[resource_type].sorts) if "_sort" in given else (),
        count=_count(given),
        summary=_search_summary(given),
        elements=_elements(resource_type, given),
        pairs=_kept(given),
    )


def parse_everything(patient_id: str, pairs: RawPairs) -> Query | Continuation:
    """`Patient/{id}/$everything`: `_type`, `_count`, and `_cursor` for further pages."""
    patient = nhs_number(patient_id, "id")
    given = once(pairs, "$everything takes", EVERYTHING_PARAMS)
    if "_cursor" in given:
        return Continuation("Patient", _cursor(given), everything=True, patient=patient)
    return Query(
        "Patient",
        patient,
        everything=True,
        types=_types(given),
        count=_count(given),
        summary=_search_summary(given),
        pairs=_kept(given),
    )


def parse_read(resource_type: str, pairs: RawPairs) -> Reading:
    """The parameters of a read by id: `_summary` (but count) and `_elements`."""
    given = once(pairs, f"Reading {_offered_type(resource_type)} by id takes", READ_PARAMS)
    summary = _summary(given)
    if summary is Summary.COUNT:
        raise wrong("_summary", "counts the matches of a search; a read takes true, text, data or false.")
    return Reading(summary, _elements(resource_type, given))


def nhs_number(text: str, name: str) -> str:
    """The ten digits of a FHIR id or parameter. Unlike a person's typing, it holds no spaces or dashes."""
    if not _TEN_DIGITS.fullmatch(text):
        must = "takes an NHS number: ten digits without spaces (patient=Patient/ and the number is accepted too)."
        raise wrong(name, must, "search.nhs-number")
    try:
        return parse_nhs_number(text)
    except ValueError as error:
        raise wrong(name, f"can't be used. {error}", "search.nhs-number") from None


def _offered_type(resource_type: str) -> str:
    if resource_type not in SHOWN_TYPES:
        told = f"That resource type isn't offered. Offered: {', '.join(SHOWN_TYPES)}."
        raise NotSupported(told, rule="search.unknown-type")
    return resource_type


def once(pairs: RawPairs, where: str, offered: Sequence[str]) -> dict[str, str]:
    """The parameters by name. Raises NotSupported for one that isn't `offered`, BadRequest for one given twice or that
    can't be read."""
    given: dict[str, str] = {}
    for name, value in pairs:
        if name not in offered:
            raise not_offered(name, where, offered)
        if name in given:
            raise repeated(name)
        given[name] = _readable(name, value)
    check_format(given.get("_format"))
    return given


def _readable(name: str, value: str) -> str:
    if not value:
        raise wrong(name, "has no value.")
    if len(value) > (MAX_CURSOR if name == "_cursor" else MAX_VALUE):
        raise wrong(name, f"is too long: at most {MAX_VALUE} characters.")
    if _CONTROL.search(value) or value != value.strip():
        raise wrong(name, "holds white space at its ends or a control character (write a plus sign as %2B).")
    return value


def _kept(given: Given) -> tuple[tuple[str, str], ...]:
    """What the self link and the cursor repeat: all but how the answer is written."""
    kept = tuple((name, value) for name, value in given.items() if name != "_format")
    if sum(len(name) + len(value) for name, value in kept) > MAX_VALUE:
        raise wrong(
            max(given, key=lambda name: len(given[name])), f"makes the search longer than {MAX_VALUE} characters."
        )
    return kept


def _cursor(given: Given) -> str:
    others = [name for name in given if name not in _ALWAYS_ALLOWED_WITH_CURSOR]
    if others:
        raise wrong("_cursor", "already says the whole search: it can't be combined with other parameters.")
    if not _CURSOR.fullmatch(given["_cursor"]):
        raise wrong("_cursor", "is not one that this server gave. Take the link of the page before.", "search.cursor")
    return given["_cursor"]


def _required_patient(resource_type: str, given: Given) -> str:
    if "patient" not in given:
        told = f"is required: {resource_type} is searched within one patient's record, as patient= and the NHS number."
        raise wrong("patient", told, "search.patient-required")
    return nhs_number(given["patient"].removeprefix("Patient/"), "patient")


def _patient_query(given: Given) -> Query:
    birth_date = exact_date(given["birthdate"]) if "birthdate" in given else None
    # Several sources hold a Patient with this NHS number; only the one that carries the record has it as its id. The
    # birth date is no filter: `gateway.known` compares it with every source's Patient, and one that agrees is enough.
    filters: tuple[Filter, ...] = (IdFilter(frozenset({given["_id"]})),) if "_id" in given else ()
    return Query(
        "Patient",
        _patient_by_number(given),
        filters=filters,
        count=_count(given),
        summary=_search_summary(given),
        elements=_elements("Patient", given),
        birth_date=birth_date,
        pairs=_kept(given),
    )


def _patient_by_number(given: Given) -> str:
    """The NHS number of `identifier` or `_id`, or of both where they agree."""
    numbers = set()
    if "identifier" in given:
        system, bar, value = given["identifier"].partition("|")
        if not bar or system != NHS_NUMBER_SYSTEM:
            # A bare number could be a hospital's own number that happens to pass the check digit.
            raise wrong("identifier", f"takes {NHS_NUMBER_SYSTEM}| followed by the NHS number.", "search.nhs-number")
        numbers.add(nhs_number(value, "identifier"))
    if "_id" in given:
        numbers.add(nhs_number(given["_id"], "_id"))
    if not numbers:
        told = (
            f"is required: a patient is found as identifier={NHS_NUMBER_SYSTEM}| and the NHS number. Where nobody "
            f"knows the number: by {', '.join(PERSON_REQUIRED)}."
        )
        raise wrong("identifier", told, "search.patient-required")
    if len(numbers) > 1:
        raise wrong("identifier", "and `_id` name different patients.", "search.nhs-number")
    return numbers.pop()


def _filters(resource_type: str, given: Given) -> tuple[Filter, ...]:
    params = {**OFFERED[resource_type].params, LAST_UPDATED.name: LAST_UPDATED}
    found: list[Filter] = [IdFilter(_ids(given["_id"]))] if "_id" in given else []
    for name, value in given.items():
        if name in params:
            param = params[name]
            found.append(token_filter(param, value) if param.kind == "token" else date_filter(param, value))
    return tuple(found)


def _ids(value: str) -> frozenset[str]:
    ids = alternatives("_id", value)
    if not all(_ID.fullmatch(one) for one in ids):
        raise wrong("_id", "takes ids: letters, digits, dashes and dots, at most 64, separated by commas.")
    return frozenset(ids)


def _types(given: Given) -> frozenset[str] | None:
    if "_type" not in given:
        return None
    types = alternatives("_type", given["_type"])
    if any(one not in SHOWN_TYPES for one in types):
        raise wrong("_type", f"takes resource types separated by commas: {', '.join(SHOWN_TYPES)}.")
    return frozenset(types)


def _count(given: Given) -> int | None:
    if "_count" not in given:
        return None
    if not _COUNT.fullmatch(given["_count"]) or int(given["_count"]) > MAX_COUNT:
        raise wrong("_count", f"takes a whole number from 0 to {MAX_COUNT}.")
    return int(given["_count"])


def _summary(given: Given) -> Summary:
    if "_summary" not in given:
        return Summary.FALSE
    if "_elements" in given:
        raise wrong("_summary", "can't be combined with `_elements`.")
    try:
        return Summary(given["_summary"])
    except ValueError:
        raise wrong("_summary", "takes true, text, data, count or false.") from None


def _search_summary(given: Given) -> Summary:
    """As `_summary`, but that `_count=0` asks for the count alone. Checks `_total` too, which changes nothing."""
    if given.get("_total", "accurate") not in _TOTALS:
        raise wrong("_total", "takes none, estimate or accurate.")
    if given.get("_totalMethod", "count") != "count":
        raise wrong("_totalMethod", "takes count.")
    summary = _summary(given)
    return Summary.COUNT if _count(given) == 0 else summary


def _elements(resource_type: str, given: Given) -> tuple[str, ...]:
    if "_elements" not in given:
        return ()
    elements = alternatives("_elements", given["_elements"])
    if any(one not in element_names(resource_type) for one in elements):
        raise wrong("_elements", f"takes names of top-level elements of {resource_type}, separated by commas.")
    return tuple(elements)
