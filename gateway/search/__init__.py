"""Search: the client's own filters, sort, count and page, run over what the policy left, never over what is hidden.

`parse` reads the request before anyone is asked; `find` and `Pager.page` run once the record is known.
"""

from __future__ import annotations

from collections.abc import Iterable

from gateway.search.match import AnyShown, matching, nothing_resolves
from gateway.search.query import Query, Resolve
from gateway.search.sort import ordered


def find(query: Query, shown: Iterable[AnyShown], resolve: Resolve = nothing_resolves) -> list[AnyShown]:
    """All matches in the order asked for."""
    return ordered(query, matching(query, shown, resolve), resolve)
