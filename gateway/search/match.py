"""Which of the items that this caller is shown a search asks for.

It runs after the policy, over what is left: an element that an outline leaves out matches nothing, so that a search
can't feel for what is hidden. No shape of data raises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from connectors.sdk.model import Resource
from gateway.search.care import cared_within
from gateway.search.dates import Span, span_of
from gateway.search.param import LAST_UPDATED, Param
from gateway.search.query import (
    CareFilter,
    DateFilter,
    DateTest,
    Filter,
    IdFilter,
    Prefix,
    Query,
    Resolve,
    Shown,
    SinceFilter,
    TokenFilter,
)
from gateway.search.tokens import TokenTest, values

AnyShown = TypeVar("AnyShown", bound=Shown)
Test = Callable[[Resource], bool]


def nothing_resolves(_: str) -> Resource | None:
    """A `Resolve` for where there are no supporting resources."""
    return None


def matching(query: Query, shown: Iterable[AnyShown], resolve: Resolve = nothing_resolves) -> list[AnyShown]:
    """The items of the query's type, or types, that pass all of its filters; in their own order."""
    tests = [_test(one, resolve) for one in query.filters]
    return [
        item
        for item in shown
        if query.wants(str(item.resource.get("resourceType"))) and all(test(item.resource) for test in tests)
    ]


def passes(filters: Iterable[Filter], resource: Resource, resolve: Resolve) -> bool:
    """Whether one resource passes all of these."""
    return all(_test(one, resolve)(resource) for one in filters)


def _test(one: Filter, resolve: Resolve) -> Test:
    if isinstance(one, IdFilter):
        return lambda resource: str(resource.get("id")) in one.ids
    if isinstance(one, DateFilter):
        return _date_test(one)
    if isinstance(one, CareFilter):
        return lambda resource: cared_within(resource, one.span)
    if isinstance(one, SinceFilter):
        return lambda resource: _changed_since(resource, one.low)
    return _token_test(one, resolve)


def _date_test(one: DateFilter) -> Test:
    def test(resource: Resource) -> bool:
        held = held_spans(one.param, resource)
        return any(date_matches(choice, each) for each in held for choice in one.choices)

    return test


def _changed_since(resource: Resource, low: int) -> bool:
    """The Patient always comes along: whose record it is must be seen whenever that was last changed."""
    held = held_spans(LAST_UPDATED, resource)
    return resource.get("resourceType") == "Patient" or not held or any(one.high > low for one in held)


def _token_test(one: TokenFilter, resolve: Resolve) -> Test:
    wanted = TokenTest.of(one.choices)

    def test(resource: Resource) -> bool:
        for value in coded_values(one.param, resource, resolve):  # noqa: SIM110 - as in TokenTest.holds
            if wanted.holds(value, one.param.system):
                return True
        return False

    return test


def held_spans(param: Param, resource: Resource) -> list[Span]:
    """The spans of every date that the parameter looks at."""
    there = [path for path in param.paths if path in resource or "." in path]
    return [one for path in there for value in values(resource, path) if (one := span_of(value)) is not None]


def coded_values(param: Param, resource: Resource, resolve: Resolve) -> list[object]:
    """Every coded value that the parameter looks at; a medicine's reference is followed to its Medication's code."""
    if len(param.paths) == 1:
        return values(resource, param.paths[0])
    found: list[object] = []
    for path in param.paths:
        held = values(resource, path)
        if param.medicine and path.endswith("Reference"):
            held = [code for value in held for code in _medication_code(value, resource, resolve)]
        found += held
    return found


def _medication_code(value: object, resource: Resource, resolve: Resolve) -> list[object]:
    reference = value.get("reference") if isinstance(value, dict) else None
    if not isinstance(reference, str):
        return []
    medication = _contained(resource, reference[1:]) if reference.startswith("#") else resolve(reference)
    return [] if medication is None else values(medication, "code")


def _contained(resource: Resource, local_id: str) -> Resource | None:
    for inner in values(resource, "contained"):
        if isinstance(inner, dict) and inner.get("id") == local_id:
            return inner
    return None


def date_matches(test: DateTest, held: Span) -> bool:
    """The comparison of FHIR R4's table of prefixes, `held` being what the resource says."""
    asked = test.span
    match test.prefix:
        case Prefix.EQ:
            return asked.contains(held)
        case Prefix.NE:
            return not asked.contains(held)
        case Prefix.GT:
            return held.high > asked.high
        case Prefix.LT:
            return held.low < asked.low
        case Prefix.GE:
            return held.high > asked.high or asked.contains(held)
        case Prefix.LE:
            return held.low < asked.low or asked.contains(held)
        case Prefix.SA:
            return held.low >= asked.high
        case Prefix.EB:
            return held.high <= asked.low
        case Prefix.AP:
            # R4 leaves the size to the server. One unit of the value's own precision either side needs no clock, so
            # that a page fetched later agrees with the one before.
            unit = asked.high - asked.low
            return Span(asked.low - unit, asked.high + unit).overlaps(held)
