"""A history of operations as their clients saw them, and what must never be in it.

Times are the clients' own, of one clock. An operation whose client never heard the end may have happened or not; it is
never held against the gateway, and never counts as acknowledged.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from math import inf

from gateway.audit.row import Kind, Row


class Did(StrEnum):
    """What a client asked for."""

    LOOK = "look"
    LIVE = "live"
    GRANT = "grant"
    OPT_OUT = "opted-out"
    OPT_IN = "opted-in"


@dataclass(frozen=True, slots=True)
class Operation:
    """`done`: the client got a whole answer that says it happened. `saw`: clinical bytes reached the client, even if
    the answer then broke off. `end` is infinite where no answer came. `parts`: how many parts of a live look came
    whole."""

    did: Did
    patient: str
    start: float
    end: float
    done: bool
    request_id: str
    saw: bool = False
    status: int = 0
    parts: int = 1


def looks_after_an_opt_out(history: Iterable[Operation]) -> list[tuple[Operation, Operation]]:
    """(opt-out, look) for every look that began after the opt-out was acknowledged and showed something, though no
    opting in again could have come between."""
    found = []
    for _, operations in groupby(
        sorted(history, key=lambda one: (one.patient, one.start)), key=lambda one: one.patient
    ):
        theirs = list(operations)
        found += [pair for look in theirs if look.saw for pair in _against(look, theirs)]
    return found


def _against(look: Operation, theirs: Sequence[Operation]) -> list[tuple[Operation, Operation]]:
    outs = (one for one in theirs if one.did is Did.OPT_OUT and one.done and one.end < look.start)
    return [(out, look) for out in outs if not any(_may_lie_between(back, out, look) for back in theirs)]


def _may_lie_between(back: Operation, out: Operation, look: Operation) -> bool:
    return back.did is Did.OPT_IN and back.end > out.start and back.start < look.end


def releases_while_out(rows: Iterable[Row]) -> list[Row]:
    """Release rows whose patient's newest choice, in the journal's own order, was to opt out."""
    out: dict[str | None, bool] = defaultdict(bool)
    wrong = []
    for row in rows:
        if row.kind is Kind.SHARING_CHOICE:
            out[row.patient] = row.detail.startswith(Did.OPT_OUT)
        elif row.kind is Kind.RELEASE and out[row.patient]:
            wrong.append(row)
    return wrong


def unaccounted(history: Iterable[Operation], rows: Iterable[Row]) -> list[Operation]:
    """Looks that showed something and have no release row, or fewer than the parts that came."""
    released = Counter(row.request_id for row in rows if row.kind is Kind.RELEASE)
    return [one for one in history if one.saw and released[one.request_id] < one.parts]


UNHEARD = inf
