"""What a reader must know of a search itself: what limits it, and what of it was left out. Never of any data."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.search.query import CareFilter, Query, SinceFilter


def limits(query: Query) -> Iterator[str]:
    """What a range of `$everything` leaves out, so that nobody takes the answer for the whole record."""
    given = dict(query.pairs)
    if any(isinstance(one, CareFilter) for one in query.filters):
        span = " ".join(f"{name} {given[name]}" for name in ("start", "end") if name in given)
        yield (
            f"Limited to care within these dates: {span}. What began earlier and still stands (allergies, problems, "
            "medicines) is in the answer, and so is what its source gives no date for."
        )
    if any(isinstance(one, SinceFilter) for one in query.filters):
        yield (
            f"Limited to what its source changed since {given['_since']}. What doesn't say when it was changed is in "
            "the answer too. What a source has removed since then isn't told."
        )
    if query.everything and query.types is not None:
        yield f"Limited to these types: {', '.join(sorted(query.types))}."


def left_out(query: Query) -> str:
    """The parameters that weren't used, where the client asked for lenience; "" where all were."""
    if not query.ignored:
        return ""
    names = ", ".join(query.ignored)
    return (
        f"Not used, since your client asks for lenient handling and this server doesn't know them: {names}. The answer "
        "may hold more, or less that explains it, than was asked for."
    )
