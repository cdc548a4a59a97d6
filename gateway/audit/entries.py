"""How the journal names the entries of a batch: each is a request of its own, by the batch's id and its place."""

from __future__ import annotations

from typing import Final

MOST_ENTRIES: Final = 20
LONGEST: Final = 64
"""Of a request id as a client may give it: the place must still find room."""


def entry_id(request_id: str, place: int) -> str:
    """The request id of the batch's entry at `place`, from 1."""
    suffix = f".{place}"
    return request_id[: LONGEST - len(f".{MOST_ENTRIES}")] + suffix


def entry_ids(request_id: str) -> list[str]:
    """Of every entry that a batch with this id can have had."""
    return [entry_id(request_id, place) for place in range(1, MOST_ENTRIES + 1)]
