"""An event's id: made of the log's origin and the row's number, so that a copy can be told from a second event.

It is a UUID (RFC 9562, version 8). Its first ten bytes are those of the name-based UUID of the origin, so no two
gateways' events share an id; its last six are the row's number, so an event is found again without an index.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final
from uuid import NAMESPACE_URL, UUID, uuid5

_SEQ_BITS: Final = 48
_MOST: Final = (1 << _SEQ_BITS) - 1
_VERSION: Final = 8 << 76
_VERSION_MASK: Final = 15 << 76


def event_id(origin: str, seq: int) -> str:
    """The id of the event of one row. Raises ValueError for a number that no row has."""
    if not 0 < seq <= _MOST:
        raise ValueError("not a row's number")
    return str(UUID(int=_base(origin) | seq))


def seq_of(origin: str, id_: str) -> int | None:
    """The number of the row whose event has this id; None where it is no event of this log."""
    try:
        number = UUID(id_).int
    except ValueError:
        return None
    seq = number & _MOST
    # Only the spelling that we give out: `{…}` and capitals are other ids to a client that compares them.
    return seq if seq and id_ == event_id(origin, seq) else None


@lru_cache(maxsize=8)
def _base(origin: str) -> int:
    named = uuid5(NAMESPACE_URL, f"urn:connect-care:log:{origin}").int
    return (named & ~_MOST & ~_VERSION_MASK) | _VERSION
