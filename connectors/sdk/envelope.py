"""What R4 puts around resources: a Bundle, its links and its entries. Anything else is let pass, after a closer look at
the keys."""

from __future__ import annotations

from typing import Annotated, Any, Required, TypedDict

import msgspec


class Link(TypedDict, total=False):
    relation: Required[str]
    url: Required[Annotated[str, msgspec.Meta(min_length=1)]]


class Search(TypedDict, total=False):
    mode: str
    score: Any


class RawEntry(TypedDict, total=False):
    fullUrl: str
    resource: msgspec.Raw
    search: Search


class Envelope(TypedDict, total=False):
    """A Bundle of search results."""

    resourceType: Required[str]
    id: str
    meta: Any
    type: str
    timestamp: str
    total: Annotated[int, msgspec.Meta(ge=0)]
    link: list[Link]
    entry: list[RawEntry]
