"""Pages of a search by sealed cursor. The gateway keeps no search: each page asks the sources anew.

A cursor holds the whole search, where to go on, and when it was made; it opens for its own caller only and for 15
minutes. So a page can't be combined with other parameters (but for its own size), and a link that leaks is of no use to
anyone.

Pages must add up to one record. Where a source says another thing than it did for the page before (it broke, or it is
back), items could fall between two pages unseen, even those of healthy sources: then no page is given, and the client
begins again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Generic
from urllib.parse import quote, urlencode

from connectors.sdk.model import Outcome
from gateway.errors import Gone
from gateway.manifest import ManifestLine
from gateway.sealed import Sealer, Unsealable
from gateway.search.everything import parse_everything
from gateway.search.match import AnyShown
from gateway.search.parse import parse
from gateway.search.query import Continuation, Position, Query, Summary
from gateway.search.refuse import wrong_cursor

SEARCH_PAGE: Final = 50
EVERYTHING_PAGE: Final = 5000
CURSOR_SECONDS: Final = 15 * 60
_VERSION: Final = 3
_GAVE: Final = frozenset({Outcome.ANSWERED, Outcome.PARTIAL})


@dataclass(frozen=True, slots=True)
class Link:
    """One link of a Bundle: `self`, `first` or `next`, and an absolute address."""

    relation: str
    url: str


@dataclass(frozen=True, slots=True)
class Page(Generic[AnyShown]):
    """What of the matches this answer holds. `total` counts all of them, on whatever page."""

    query: Query
    items: tuple[AnyShown, ...]
    total: int
    links: tuple[Link, ...]


def digest_of(lines: Iterable[ManifestLine]) -> str:
    """What the sources said, as far as pages depend on it: outcomes and gaps, never what is hidden, never a time.

    Why a source gave nothing at all may change between two pages (it was slow, now it isn't asked): it gives nothing
    to either.
    """
    said = [
        (line.source, str(line.outcome), sorted(f"{section}={gap}" for section, gap in line.gaps.items()))
        if line.outcome in _GAVE
        else (line.source, "nothing", sorted(map(str, line.gaps)))
        for line in lines
    ]
    return hashlib.sha256(repr(said).encode()).hexdigest()[:16]


class Pager:
    """Cuts matches into pages and opens cursors. `public_base` is the gateway's own address as clients know it."""

    def __init__(self, sealer: Sealer, public_base: str, clock: Callable[[], datetime]) -> None:
        self._sealer = sealer
        self._fhir = public_base.rstrip("/") + "/fhir/R4"
        self._clock = clock

    def resume(self, continuation: Continuation, bound_to: str) -> Query:
        """The search that a cursor continues. Raises BadRequest where it isn't this caller's, is altered or expired."""
        try:
            state = self._sealer.open_cursor(continuation.cursor, bound_to)
        except Unsealable:
            raise wrong_cursor("is not one that this server gave you.") from None
        if state.get("v") != _VERSION or not self._of_this_search(state, continuation):
            raise wrong_cursor("belongs to another search.")
        if not 0 <= self._now() - state["at"] <= CURSOR_SECONDS:
            raise wrong_cursor("has expired.")
        pairs = [(name, value) for name, value in state["q"]]
        query = parse_everything(state["p"], pairs) if state["p"] else parse(state["t"], pairs)
        if isinstance(query, Continuation):
            raise wrong_cursor("belongs to another search.")
        position, ignored = Position(state["a"], state["s"]), tuple(state["i"])
        return replace(query, position=position, ignored=ignored, count=continuation.count or query.count)

    @staticmethod
    def _of_this_search(state: dict[str, Any], continuation: Continuation) -> bool:
        return state["t"] == continuation.resource_type and (state["p"] or None) == continuation.patient

    def page(self, query: Query, found: Sequence[AnyShown], bound_to: str, said: str) -> Page[AnyShown]:
        """The page of `found` (all matches, sorted) that the query is at. `said` is `digest_of` the manifest's lines.

        Raises Gone where the page before was made of something else.
        """
        if query.summary is Summary.COUNT:
            return Page(query, (), len(found), (Link("self", self._self(query, bound_to)),))
        begin = _begin(query.position, found, said)
        size = query.count or (EVERYTHING_PAGE if query.everything else SEARCH_PAGE)
        items = tuple(found[begin : begin + size])
        links = [Link("self", self._self(query, bound_to))]
        more = begin + size < len(found)
        if more or query.position:
            links.append(Link("first", self._cursor(query, Position(), bound_to)))
        if more:
            after = str(items[-1].resource.get("id"))
            links.append(Link("next", self._cursor(query, Position(after, said), bound_to)))
        return Page(query, items, len(found), tuple(links))

    def unpaged(self, query: Query, found: Sequence[AnyShown], bound_to: str) -> Page[AnyShown]:
        """All matches, for an answer that has no pages."""
        return Page(query, tuple(found), len(found), (Link("self", self._self(query, bound_to)),))

    def _self(self, query: Query, bound_to: str) -> str:
        if query.position:
            return self._cursor(query, query.position, bound_to)
        pairs = [pair for pair in query.pairs if not (query.compartment and pair[0] == "patient")]
        parameters = urlencode(pairs, quote_via=quote, safe="/:,")
        return self._where(query) + ("?" + parameters if parameters else "")

    def _cursor(self, query: Query, position: Position, bound_to: str) -> str:
        state = {
            "v": _VERSION,
            "t": query.resource_type,
            "p": query.patient if query.everything else "",
            "q": query.pairs,
            "a": position.after,
            "s": position.said,
            "i": query.ignored,
            "at": self._now(),
        }
        return f"{self._path(query)}?_cursor={self._sealer.seal_cursor(state, bound_to)}"

    def _where(self, query: Query) -> str:
        """The address that was asked. Later pages of a compartment are pages of the type: no link names the patient."""
        if query.compartment:
            return f"{self._fhir}/Patient/{query.patient}/{query.resource_type}"
        return self._path(query)

    def _path(self, query: Query) -> str:
        path = f"{self._fhir}/{query.resource_type}"
        return f"{path}/{query.patient}/$everything" if query.everything else path

    def _now(self) -> int:
        return int(self._clock().timestamp())


def _begin(position: Position | None, found: Sequence[AnyShown], said: str) -> int:
    """After the last item of the page before."""
    if position is None or not position.after:
        return 0
    if position.said == said:
        for index, item in enumerate(found):
            if item.resource.get("id") == position.after:
                return index + 1
    raise Gone(
        "The record has changed since the page before, so that its pages no longer add up. "
        "Begin again with the first page of the search.",
        rule="search.cursor-stale",
        expression="http._cursor",
    )
