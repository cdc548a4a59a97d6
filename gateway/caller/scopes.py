"""What the SMART scopes of a token leave of a person's role. They only ever narrow it: policy decides what is shown.

Source: SMART App Launch 1.0 (`user/Observation.read`) and 2.2 (`user/Observation.rs`, and finer-grained constraints
`user/Observation.rs?category=…`), "Scopes for requesting FHIR Resources". A scope that can't be read, or asks for what
isn't supported (a modifier, a chain, `_include`, a parameter that the type's own search doesn't have), grants nothing.
It still bounds the token: who was given something odd was not given everything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from connectors.sdk.model import SECTION_OF_TYPE, Resource
from gateway.errors import BadRequest
from gateway.search.match import passes
from gateway.search.pairs import pairs_of
from gateway.search.param import Kind
from gateway.search.query import Filter, Resolve
from gateway.search.table import OFFERED
from gateway.search.terms import date_filter, token_filter

_RESOURCE_SCOPE: Final = re.compile(r"(?:patient|user|system)/", re.IGNORECASE)
_OF_CONTEXT: Final = re.compile(r"patient/", re.IGNORECASE)
# The letters of version 2 must stand in this order (2.2, "Scopes for requesting FHIR Resources").
_GRANT: Final = re.compile(
    r"(?:patient|user)/(\*|[A-Za-z]+)\.(read|write|\*|(?=[cruds])c?r?u?d?s?)(?:\?(.+))?", re.ASCII
)
_LETTERS: Final = {"read": "rs", "write": "cud", "*": "cruds"}
_NEEDED: Final = frozenset("rs")
"""Reading by id (r) and searching (s): every look does both, since a read looks through what a source's search gave."""
_EVERY: Final = "*"


@dataclass(frozen=True, slots=True)
class Part:
    """What one granular scope lets through of its type: items that pass every test. `said` is the scope's own query."""

    letters: frozenset[str]
    tests: tuple[Filter, ...]
    said: str


@dataclass(frozen=True, slots=True)
class Grants:
    """What a token's scopes leave. `whole` and `parts` are by resource type, `*` for all types.

    `bounded` is False where the token has not one scope for FHIR resources (only `openid`, `launch` and the like):
    then it sets no bound. `in_context`: some scope is a `patient/` one, so the token is about `patient` alone, the
    patient in context; None where it names nobody.
    """

    bounded: bool = False
    whole: Mapping[str, frozenset[str]] = field(default_factory=dict)
    parts: Mapping[str, tuple[Part, ...]] = field(default_factory=dict)
    in_context: bool = False
    patient: str | None = field(default=None, repr=False)

    def types(self) -> frozenset[str] | None:
        """The types of the record of which something may be read; None where there is no bound."""
        if not self.bounded:
            return None
        return frozenset(name for name in SECTION_OF_TYPE if self.lets_read(name))

    def lets_read(self, resource_type: str) -> bool:
        """Whether the token lets its client read and search a type, of the record or not: the whole or a part."""
        if not self.bounded:
            return True
        of_parts = (part.letters for part in self.parts.get(resource_type, ()))
        return self._letters(resource_type).union(*of_parts) >= _NEEDED

    def lets_read_whole(self, resource_type: str) -> bool:
        """Whether nothing of the type is left out."""
        return not self.bounded or self._letters(resource_type) >= _NEEDED

    def narrowed(self, resource_type: str) -> tuple[Part, ...] | None:
        """The parts of a type that may be read, where that isn't the whole: empty where nothing may; else None."""
        if self.lets_read_whole(resource_type):
            return None
        return self.parts.get(resource_type, ()) if self.lets_read(resource_type) else ()

    def admits(self, resource: Resource, resolve: Resolve) -> bool:
        """Whether one resource, as the policy left it, is within the grant. Granular scopes of a type add up."""
        kind = str(resource.get("resourceType"))
        narrowed = self.narrowed(kind)
        if narrowed is None:
            return True
        fitting = (part.letters for part in narrowed if passes(part.tests, resource, resolve))
        return bool(narrowed) and self._letters(kind).union(*fitting) >= _NEEDED

    def is_about(self, nhs_number: str) -> bool:
        """False where the token is bound to the patient in context, and this is another."""
        return not self.in_context or self.patient == nhs_number

    def said(self) -> str | None:
        """What the token lets its client read, for the reader; None where it sets no bound. Never of any data."""
        types = self.types()
        if types is None:
            return None
        return ", ".join(map(self._said_of, sorted(types))) or "nothing"

    def _said_of(self, resource_type: str) -> str:
        narrowed = self.narrowed(resource_type)
        if narrowed is None:
            return resource_type
        return f"{resource_type} (only {' or '.join(sorted({part.said for part in narrowed}))})"

    def _letters(self, resource_type: str) -> frozenset[str]:
        none: frozenset[str] = frozenset()
        return self.whole.get(resource_type, none) | self.whole.get(_EVERY, none)


UNBOUNDED: Final = Grants()


@lru_cache(maxsize=1024)
def read_scopes(scopes: frozenset[str]) -> Grants:
    """The grants of a token's scopes, without a patient in context. Raises nothing."""
    bounding = sorted(scope for scope in scopes if _RESOURCE_SCOPE.match(scope))
    if not bounding:
        return UNBOUNDED
    whole: dict[str, frozenset[str]] = {}
    parts: dict[str, tuple[Part, ...]] = {}
    for scope in bounding:
        grant = _GRANT.fullmatch(scope)
        if grant is None:
            continue
        kind, letters = grant[1], frozenset(_LETTERS.get(grant[2], grant[2]))
        if grant[3] is None:
            whole[kind] = whole.get(kind, frozenset()) | letters
        elif (part := _part(kind, letters, grant[3])) is not None:
            parts[kind] = (*parts.get(kind, ()), part)
    in_context = any(_OF_CONTEXT.match(scope) for scope in bounding)
    return Grants(True, whole, parts, in_context)


def _part(kind: str, letters: frozenset[str], query: str) -> Part | None:
    """The part that a granular scope grants; None where it says anything that a search of the type couldn't.

    Its query is read by the search's own parser, so that one text never means two things.
    """
    offered = OFFERED.get(kind)
    try:
        pairs = pairs_of(query.encode())
        names = [name for name, _ in pairs]
        if offered is None or len(set(names)) < len(names):
            return None
        tests = tuple(_filter(kind, name, value) for name, value in pairs)
    except (BadRequest, LookupError, UnicodeEncodeError):
        return None
    return Part(letters, tests, query)


def _filter(kind: str, name: str, value: str) -> Filter:
    """Raises LookupError for what isn't a parameter of the type's own, BadRequest for a value that can't be read."""
    param = OFFERED[kind].params[name]
    return token_filter(param, value) if param.kind is Kind.TOKEN else date_filter(param, value)
