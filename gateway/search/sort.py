"""Order of the matches. Without `_sort` they stay in the record's own order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from connectors.sdk.model import Resource
from gateway.search.match import AnyShown, coded_values, held_spans, nothing_resolves
from gateway.search.param import LAST_UPDATED, Kind
from gateway.search.query import Query, Resolve, SortKey
from gateway.search.table import OFFERED
from gateway.search.tokens import codings


def ordered(query: Query, shown: Sequence[AnyShown], resolve: Resolve = nothing_resolves) -> list[AnyShown]:
    """Sorted by each key of `_sort`; stable; what lacks a value comes last in both directions."""
    result = list(shown)
    # A stable sort by the last key first is a sort by all of them.
    for key in reversed(query.sort):
        result = _by(key, query.resource_type, result, resolve)
    return result


def _by(key: SortKey, resource_type: str, shown: list[AnyShown], resolve: Resolve) -> list[AnyShown]:
    valued, missing = [], []
    for item in shown:
        value = _value(key.name, resource_type, item.resource, resolve)
        if value is None:
            missing.append(item)
        else:
            valued.append((value, item))
    valued.sort(key=lambda pair: pair[0], reverse=key.descending)
    return [item for _, item in valued] + missing


def _value(name: str, resource_type: str, resource: Resource, resolve: Resolve) -> Any:
    """What is compared: the beginning of a date, the id, or the folded code (its text where it has none)."""
    if name == "_id":
        return str(resource["id"]) if "id" in resource else None
    if name == "_lastUpdated":
        return min((span.low for span in held_spans(LAST_UPDATED, resource)), default=None)
    param = OFFERED[resource_type].params[name]
    if param.kind is Kind.DATE:
        return min((span.low for span in held_spans(param, resource)), default=None)
    return next(filter(None, map(_text, coded_values(param, resource, resolve))), None)


def _text(value: object) -> str | None:
    for _, code in codings(value):
        return code
    text = value.get("text") if isinstance(value, dict) else None
    return text.casefold() if isinstance(text, str) else None
