"""A search, once it is understood: nothing of the client's own text but normalised pairs travels further."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from connectors.sdk.model import SECTION_OF_TYPE, Resource, Section
from gateway.search.dates import Span
from gateway.search.param import Param
from gateway.search.supporting import Include

Pairs = tuple[tuple[str, str], ...]
Resolve = Callable[[str], Resource | None]
"""From a FHIR reference to the resource it names, among those that this caller is shown; None where there is none."""


class Shown(Protocol):
    """Anything that carries one resource as the policy left it (an `Item` does)."""

    @property
    def resource(self) -> Resource: ...


class Summary(StrEnum):
    """The values of `_summary`."""

    FALSE = "false"
    TRUE = "true"
    TEXT = "text"
    DATA = "data"
    COUNT = "count"


class Prefix(StrEnum):
    """How a date is compared (FHIR R4, Search, Prefixes)."""

    EQ = "eq"
    NE = "ne"
    GT = "gt"
    LT = "lt"
    GE = "ge"
    LE = "le"
    SA = "sa"
    EB = "eb"
    AP = "ap"


@dataclass(frozen=True, slots=True)
class Token:
    """One alternative of a token search. `system` None: any; empty: none. `code` None: any. `code` is case-folded."""

    system: str | None
    code: str | None


@dataclass(frozen=True, slots=True)
class DateTest:
    """One alternative of a date search: the comparison and the span that the value covers."""

    prefix: Prefix
    span: Span


@dataclass(frozen=True, slots=True)
class TokenFilter:
    """Matches where any alternative does."""

    param: Param
    choices: tuple[Token, ...]


@dataclass(frozen=True, slots=True)
class DateFilter:
    """Matches where any alternative does."""

    param: Param
    choices: tuple[DateTest, ...]


@dataclass(frozen=True, slots=True)
class IdFilter:
    """Matches where the sealed id is one of these."""

    ids: frozenset[str]


@dataclass(frozen=True, slots=True)
class CareFilter:
    """Matches what was care of the patient within `span`, and what gives no date (`gateway.search.care`)."""

    span: Span


@dataclass(frozen=True, slots=True)
class SinceFilter:
    """Matches what its source changed at or after `low` (as in Span), and what doesn't say when it was changed."""

    low: int


Filter = TokenFilter | DateFilter | IdFilter | CareFilter | SinceFilter


@dataclass(frozen=True, slots=True)
class SortKey:
    """One name of `_sort`."""

    name: str
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Position:
    """Where a page begins: after the item with this sealed id, at the first where there is none (empty).

    `said` is the digest of what the sources had said when the page before was made (`page.digest_of`).
    """

    after: str = ""
    said: str = ""


@dataclass(frozen=True, slots=True)
class Query:
    """One search of one patient. `patient` is an NHS number whose check digit agrees; it stays out of the repr.

    `birth_date` is the second fact of a Patient search. `types` narrows `$everything`; None there means all.
    `includes` are the supporting resources that come along; None where the client didn't say, so all that a page refers
    to. `pairs` are the client's parameters in its own order and spelling, for the self link and the cursor; `ignored`
    names those that weren't used (`gateway.search.lenient`). `compartment`: the patient stood in the address.
    """

    resource_type: str
    patient: str = field(repr=False)
    filters: tuple[Filter, ...] = field(default=(), repr=False)
    sort: tuple[SortKey, ...] = ()
    count: int | None = None
    summary: Summary = Summary.FALSE
    elements: tuple[str, ...] = ()
    everything: bool = False
    types: frozenset[str] | None = None
    birth_date: str | None = field(default=None, repr=False)
    includes: tuple[Include, ...] | None = None
    ignored: tuple[str, ...] = ()
    compartment: bool = False
    pairs: Pairs = field(default=(), repr=False)
    position: Position | None = field(default=None, repr=False)

    @property
    def sections(self) -> frozenset[Section]:
        """The sections that the answer can draw on: no other need be asked for."""
        if not self.everything:
            return frozenset({SECTION_OF_TYPE[self.resource_type]})
        if self.types is None:
            return frozenset(Section)
        return frozenset(SECTION_OF_TYPE[name] for name in self.types)

    def wants(self, resource_type: str) -> bool:
        """True where resources of this type can be in the answer as matches."""
        if self.everything:
            return resource_type in SECTION_OF_TYPE if self.types is None else resource_type in self.types
        return resource_type == self.resource_type


@dataclass(frozen=True, slots=True)
class Continuation:
    """A request for a further page: the cursor says everything else. `Pager.resume` makes a Query of it.

    `patient` is the NHS number in the path of `$everything`, which must be the cursor's; None in a search of a type.
    `count` is how many matches this page may hold, where it should be another number than the search began with.
    """

    resource_type: str
    cursor: str = field(repr=False)
    everything: bool = False
    patient: str | None = field(default=None, repr=False)
    count: int | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """How much of a single resource is wanted."""

    summary: Summary = Summary.FALSE
    elements: tuple[str, ...] = ()
