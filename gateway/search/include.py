"""Supporting resources that a page's matches refer to: a prescription's Medication, a result's Practitioner."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from connectors.sdk.model import SUPPORTING_TYPES, Findings, Resource
from gateway.search.match import AnyShown
from gateway.search.page import Page
from gateway.search.query import Query, Shown, Summary
from gateway.search.references import references_in
from gateway.search.summary import shaped
from gateway.search.supporting import Include
from gateway.search.tokens import values

_NONE_WITH: Final = frozenset({Summary.TEXT, Summary.COUNT})


def may_include(query: Query) -> bool:
    """False where nothing comes along with the matches: R4 allows none with `_summary=text`, a count holds nothing."""
    return query.summary not in _NONE_WITH


def referred(page: Page[AnyShown], lookup: Callable[[str], AnyShown | None]) -> list[AnyShown]:
    """What the page's own elements refer to, and what that refers to, each once, in order of first mention; where the
    client says `_include`, only what those elements refer to.

    `lookup` knows only what this caller is shown. What counts is the resource as it will be sent: a reference that an
    outline or `_elements` took out must not bring its target along.
    """
    query = page.query
    if not may_include(query):
        return []
    found: dict[str, AnyShown] = {}
    cut = query.summary is not Summary.FALSE or bool(query.elements)
    for item in page.items:
        resource = shaped(item.resource, query.summary, query.elements) if cut else item.resource
        if query.includes is not None:
            _add(_asked_for(query.includes, resource), lookup, found)
        else:
            _follow(references_in(resource) if cut else _mentions(item), lookup, found)
    return list(found.values())


def explained(items: Iterable[AnyShown], lookup: Callable[[str], AnyShown | None]) -> dict[str, AnyShown]:
    """Every supporting resource that one of these items refers to, by its reference."""
    found: dict[str, AnyShown] = {}
    for item in items:
        _follow(_mentions(item), lookup, found)
    return found


def _asked_for(includes: Iterable[Include], resource: Resource) -> Iterator[str]:
    """The references that stand at the elements of these includes and lead to one of their types."""
    for one in includes:
        for node in values(resource, one.path):
            reference = node.get("reference") if isinstance(node, dict) else None
            if isinstance(reference, str) and reference.partition("/")[0] in one.targets:
                yield reference


def _add(mentions: Iterable[str], lookup: Callable[[str], AnyShown | None], found: dict[str, AnyShown]) -> None:
    for reference in mentions:
        target = lookup(reference)
        if target is not None:
            found.setdefault(reference, target)


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
        return references_in(item.resource)
    return [str(reference.get("reference", "")) for reference in findings.references]
