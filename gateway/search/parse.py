"""From a client's parameters to a Query: parse, allow-list, rebuild.

Whatever is not on the list of its type is refused before anyone is asked, modifiers, chains and joins above all: they
are how other gateways let a caller feel for what they may not see. Nothing raised here but GatewayError.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from connectors.sdk.model import NHS_NUMBER_SYSTEM
from connectors.sdk.nhs_number import parse_nhs_number
from gateway.errors import NotSupported
from gateway.search import results
from gateway.search.lenient import known_include, without_unknown
from gateway.search.param import LAST_UPDATED
from gateway.search.query import Continuation, Filter, IdFilter, Query, Reading, Summary
from gateway.search.refuse import not_offered, repeated, wrong
from gateway.search.representation import check_format
from gateway.search.results import MAX_VALUE, Given
from gateway.search.supporting import READABLE, SUPPORTING_READS
from gateway.search.table import OFFERED, PERSON_REQUIRED, READ_PARAMS, REPEATABLE, SHOWN_TYPES, search_names
from gateway.search.terms import date_filter, exact_date, sort_keys, token_filter

MAX_CURSOR: Final = 12_288

_TEN_DIGITS: Final = re.compile(r"[0-9]{10}", re.ASCII)
_CURSOR: Final = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
# Some clients add their own page size to each link they follow. It does no harm: a cursor says after which item to go
# on, whatever the size of the page.
_ALWAYS_ALLOWED_WITH_CURSOR: Final = frozenset({"_cursor", "_count", "_format"})

RawPairs = Sequence[tuple[str, str]]


def parse(
    resource_type: str, pairs: RawPairs, *, lenient: bool = False, patient: str | None = None
) -> Query | Continuation:
    """The search of one type. `pairs` are decoded, those of a form after those of the query string.

    `lenient`: leave out what isn't known (`gateway.search.lenient`). `patient` is the id in the address of a
    compartment search, which then says whose record it is; no parameter does. Raises NotSupported for a type or
    parameter that isn't offered, BadRequest for a value that can't be read, NotAcceptable for a `_format` that isn't
    JSON.
    """
    offered = search_names(_searchable(resource_type))
    ignored: tuple[str, ...] = ()
    if lenient and resource_type != "Patient":
        pairs, ignored = without_unknown(pairs, offered, known_include(resource_type))
    if patient is not None:
        return _typed(resource_type, _in_compartment(pairs, offered, patient), ignored, compartment=True)
    given = once(pairs, f"{resource_type} can be searched by", offered)
    if "_cursor" in given:
        return Continuation(resource_type, cursor(given), count=results.count(given))
    return _patient_query(given) if resource_type == "Patient" else _typed(resource_type, given, ignored)


def _in_compartment(pairs: RawPairs, offered: Sequence[str], patient: str) -> Given:
    """The parameters, with the address's own patient first. Pages go on from the search of the type."""
    names = tuple(name for name in offered if name not in ("patient", "_cursor"))
    given = once(pairs, "Within the address of one patient it can be searched by", names)
    return {"patient": nhs_number(patient, "id"), **given}


def _typed(resource_type: str, given: Given, ignored: tuple[str, ...], *, compartment: bool = False) -> Query:
    return Query(
        resource_type,
        _required_patient(resource_type, given),
        filters=_filters(resource_type, given),
        sort=sort_keys(given["_sort"], OFFERED[resource_type].sorts) if "_sort" in given else (),
        count=results.count(given),
        summary=results.search_summary(given),
        elements=results.elements(resource_type, given),
        includes=results.includes(resource_type, given),
        ignored=ignored,
        compartment=compartment,
        pairs=results.kept(given),
    )


def parse_read(resource_type: str, pairs: RawPairs) -> Reading:
    """The parameters of a read by id: `_summary` (but count) and `_elements`."""
    if resource_type not in READABLE:
        raise _unknown_type(READABLE)
    given = once(pairs, f"Reading {resource_type} by id takes", READ_PARAMS)
    summary = results.summary(given)
    if summary is Summary.COUNT:
        raise wrong("_summary", "counts the matches of a search; a read takes true, text, data or false.")
    return Reading(summary, results.elements(resource_type, given))


def nhs_number(text: str, name: str) -> str:
    """The ten digits of a FHIR id or parameter. Unlike a person's typing, it holds no spaces or dashes."""
    if not _TEN_DIGITS.fullmatch(text):
        must = "takes an NHS number: ten digits without spaces (patient=Patient/ and the number is accepted too)."
        raise wrong(name, must, "search.nhs-number")
    try:
        return parse_nhs_number(text)
    except ValueError as error:
        raise wrong(name, f"can't be used. {error}", "search.nhs-number") from None


def _searchable(resource_type: str) -> str:
    if resource_type in SUPPORTING_READS:
        told = (
            f"{resource_type} isn't searched on its own: it explains items of a record. Read it by the id that an item "
            "refers to, or let it come along with a search (_include)."
        )
        raise NotSupported(told, rule="search.supporting")
    if resource_type not in SHOWN_TYPES:
        raise _unknown_type(SHOWN_TYPES)
    return resource_type


def _unknown_type(offered: Sequence[str]) -> NotSupported:
    return NotSupported(f"That resource type isn't offered. Offered: {', '.join(offered)}.", rule="search.unknown-type")


def once(pairs: RawPairs, where: str, offered: Sequence[str]) -> dict[str, str]:
    """The parameters by name; those that may be repeated are joined by commas. Raises NotSupported for one that isn't
    `offered`, BadRequest for one given twice or that can't be read."""
    given: dict[str, str] = {}
    for name, value in pairs:
        if name not in offered:
            raise not_offered(name, where, offered)
        if name not in given:
            given[name] = _readable(name, value)
        elif name in REPEATABLE:
            given[name] += f",{_readable(name, value)}"
        else:
            raise repeated(name)
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


def cursor(given: Given) -> str:
    """The cursor, which stands alone but for the size of its page. Raises BadRequest."""
    others = [name for name in given if name not in _ALWAYS_ALLOWED_WITH_CURSOR]
    if others or results.count(given) == 0:
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
        count=results.count(given),
        summary=results.search_summary(given),
        elements=results.elements("Patient", given),
        birth_date=birth_date,
        pairs=results.kept(given),
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
    found: list[Filter] = [IdFilter(results.ids(given["_id"]))] if "_id" in given else []
    for name, value in given.items():
        if name in params:
            param = params[name]
            found.append(token_filter(param, value) if param.kind == "token" else date_filter(param, value))
    return tuple(found)
