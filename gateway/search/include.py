"""Supporting resources that a page's matches refer to: a prescription's Medication, a result's Practitioner."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from connectors.sdk.model import SUPPORTING_TYPES, Findings
from gateway.search.match import AnyShown
from gateway.search.page import Page
from gateway.search.query import Query, Shown, Summary
from gateway.search.summary import shaped

_NONE_WITH: Final = frozenset({Summary.TEXT, Summary.COUNT})


def may_include(query: Query) -> bool:
    """False where nothing comes along with the matches: R4 allows none with `_summary=text`, a count holds nothing."""
    return query.summary not in _NONE_WITH


def referred(page: Page[AnyShown], lookup: Callable[[str], AnyShown | None]) -> list[AnyShown]:
    """What the page's own elements refer to, and what that refers to, each once, in order of first mention.

    `lookup` knows only what this caller is shown. What counts is the resource as it will be sent: a reference that an
    outline or `_elements` took out must not bring its target along.
    """
    query = page.query
    if not may_include(query):
        return []
    found: dict[str, AnyShown] = {}
    cut = query.summary is not Summary.FALSE or bool(query.elements)
    for item in page.items:
        mentions = _references(shaped(item.resource, query.summary, query.elements)) if cut else _mentions(item)
        _follow(mentions, lookup, found)
    return list(found.values())


def _follow(mentions: Iterable[str], lookup: Callable[[str], AnyShown | None], found: dict[str, AnyShown]) -> None:
    waiting = [mentions]
    while waiting:
        for reference in waiting.pop():
            if reference in found or reference.partition("/")[0] not in SUPPORTING_TYPES:
                continue
            target = lookup(reference)
            if target is not None:
                found[reference] = target
                waiting.append(_mentions(target))


def _mentions(item: Shown) -> Iterable[str]:
    """From what the guard found on its walk, where the item still carries it; else by walking the resource again.

    The policy takes the findings off an item whose resource it changed, so they never tell of what is hidden.
    """
    findings: Findings | None = getattr(item, "findings", None)
    if findings is None:
        return _references(item.resource)
    return [str(reference.get("reference", "")) for reference in findings.references]


def _references(value: object) -> Iterator[str]:
    """Every `reference` in a resource, in document order, without recursion: data may be deep."""
    stack = [value]
    while stack:
        current = stack.pop()
        if isinstance(current, dict):
            reference = current.get("reference")
            if isinstance(reference, str):
                yield reference
            stack.extend(inner for inner in reversed(current.values()) if isinstance(inner, (dict, list)))
        elif isinstance(current, list):
            stack.extend(inner for inner in reversed(current) if isinstance(inner, (dict, list)))
