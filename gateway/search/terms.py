"""The values of search parameters: alternatives, tokens, dates with their prefixes, sort keys."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from gateway.search.dates import span
from gateway.search.param import Param
from gateway.search.query import DateFilter, DateTest, Prefix, SortKey, TokenFilter
from gateway.search.refuse import wrong
from gateway.search.tokens import parse_token, split

MAX_ALTERNATIVES: Final = 50
_DATE_FORMS: Final = "YYYY, YYYY-MM, YYYY-MM-DD, or a time with its zone"
_MAX_FRACTION: Final = 9
_PREFIXED: Final = re.compile(r"([a-z]{2})?([0-9].*)", re.ASCII)
_FINE: Final = re.compile(rf"\.[0-9]{{{_MAX_FRACTION + 1},}}", re.ASCII)
_EXACT_DATE: Final = re.compile(r"(?:eq)?([0-9]{4}-[0-9]{2}-[0-9]{2})", re.ASCII)


def alternatives(name: str, value: str) -> list[str]:
    """The comma-separated alternatives of a value, escapes left in. Raises BadRequest for an empty one or over 50."""
    try:
        found = split(value, ",")
    except ValueError:
        raise wrong(name, "holds a backslash that escapes nothing.") from None
    if not all(found):
        raise wrong(name, "holds an empty alternative: a comma too many.")
    if len(found) > MAX_ALTERNATIVES:
        raise wrong(name, f"holds more than {MAX_ALTERNATIVES} alternatives.")
    return found


def token_filter(param: Param, value: str) -> TokenFilter:
    """`code`, `system|code`, `|code` or `system|`, alternatives after a comma."""
    try:
        return TokenFilter(param, tuple(parse_token(one) for one in alternatives(param.name, value)))
    except ValueError:
        raise wrong(param.name, "takes a code, or a system, one bar and a code; alternatives after a comma.") from None


def date_filter(param: Param, value: str) -> DateFilter:
    """A date or time, with a prefix if wanted; alternatives after a comma."""
    return DateFilter(param, tuple(_date_test(param, one) for one in alternatives(param.name, value)))


def _date_test(param: Param, text: str) -> DateTest:
    match = _PREFIXED.fullmatch(text)
    found = span(match[2]) if match and not _FINE.search(text) else None
    try:
        prefix = Prefix((match and match[1]) or "eq")
    except ValueError:
        found = None
    if found is None:
        raise wrong(param.name, f"takes a date: {_DATE_FORMS}, after one of {', '.join(Prefix)} if wanted.")
    return DateTest(prefix, found)


def exact_date(value: str) -> str:
    """A whole date, as `birthdate` takes it: a second fact about the patient isn't a range."""
    match = _EXACT_DATE.fullmatch(value)
    if match is None or span(match[1]) is None:
        raise wrong("birthdate", "takes one exact date, YYYY-MM-DD.")
    return match[1]


def sort_keys(value: str, offered: Sequence[str]) -> tuple[SortKey, ...]:
    """The keys of `_sort`, each at most once. Raises BadRequest that lists the names."""
    keys = tuple(SortKey(one.removeprefix("-"), one.startswith("-")) for one in alternatives("_sort", value))
    names = [key.name for key in keys]
    if len(set(names)) != len(names) or any(name not in offered for name in names):
        raise wrong("_sort", f"takes {', '.join(offered)}, each once, a dash before a name to reverse it.")
    return keys
