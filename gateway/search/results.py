"""The parameters that shape an answer, and the ids: read alike in every search and read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from gateway.search.query import Pairs, Summary
from gateway.search.refuse import joined, wrong
from gateway.search.summary import element_names
from gateway.search.supporting import Include, include, includes_of
from gateway.search.terms import alternatives

MAX_COUNT: Final = 1000
MAX_VALUE: Final = 4096

_COUNT: Final = re.compile(r"[0-9]{1,4}", re.ASCII)
_ID: Final = re.compile(r"[A-Za-z0-9.-]{1,64}", re.ASCII)
_TOTALS: Final = frozenset({"none", "estimate", "accurate"})

Given = Mapping[str, str]


def ids(value: str) -> frozenset[str]:
    """The ids of `_id`. Raises BadRequest."""
    found = alternatives("_id", value)
    if not all(_ID.fullmatch(one) for one in found):
        raise wrong("_id", "takes ids: letters, digits, dashes and dots, at most 64, separated by commas.")
    return frozenset(found)


def count(given: Given) -> int | None:
    """`_count`; None where it isn't given. Raises BadRequest."""
    if "_count" not in given:
        return None
    if not _COUNT.fullmatch(given["_count"]) or int(given["_count"]) > MAX_COUNT:
        raise wrong("_count", f"takes a whole number from 0 to {MAX_COUNT}.")
    return int(given["_count"])


def summary(given: Given) -> Summary:
    """`_summary`. Raises BadRequest, also where it stands beside `_elements`."""
    if "_summary" not in given:
        return Summary.FALSE
    if "_elements" in given:
        raise wrong("_summary", "can't be combined with `_elements`.")
    try:
        return Summary(given["_summary"])
    except ValueError:
        raise wrong("_summary", "takes true, text, data, count or false.") from None


def search_summary(given: Given) -> Summary:
    """As `_summary`, but that `_count=0` asks for the count alone. Checks `_total` too, which changes nothing."""
    if given.get("_total", "accurate") not in _TOTALS:
        raise wrong("_total", "takes none, estimate or accurate.")
    if given.get("_totalMethod", "count") != "count":
        raise wrong("_totalMethod", "takes count.")
    asked = summary(given)
    return Summary.COUNT if count(given) == 0 else asked


def elements(resource_type: str, given: Given) -> tuple[str, ...]:
    """The names of `_elements`. Raises BadRequest for one that the type doesn't have."""
    if "_elements" not in given:
        return ()
    names = alternatives("_elements", given["_elements"])
    if any(one not in element_names(resource_type) for one in names):
        raise wrong("_elements", f"takes names of top-level elements of {resource_type}, separated by commas.")
    return tuple(names)


def includes(resource_type: str, given: Given) -> tuple[Include, ...] | None:
    """What `_include` names; None where it isn't given. Raises NotSupported for one that isn't listed."""
    if "_include" not in given:
        return None
    found = [include(resource_type, one) for one in given["_include"].split(",")]
    if None in found:
        raise joined("_include", includes_of(resource_type))
    return tuple(one for one in found if one is not None)


def kept(given: Given) -> Pairs:
    """What the self link and the cursor repeat: all but how the answer is written."""
    pairs = tuple(
        (name, one)
        for name, value in given.items()
        if name != "_format"
        for one in (value.split(",") if name == "_include" else (value,))
    )
    if sum(len(name) + len(value) for name, value in pairs) > MAX_VALUE:
        raise wrong(
            max(given, key=lambda name: len(given[name])), f"makes the search longer than {MAX_VALUE} characters."
        )
    return pairs
