"""What the SMART scopes of a token leave of a person's role. They only ever narrow it: policy decides what is shown.

Source: SMART App Launch 1.0 (`user/Observation.read`) and 2.2 (`user/Observation.rs`), "Scopes for requesting FHIR
Resources". A scope that can't be read, or asks for what isn't supported, grants nothing.
"""

from __future__ import annotations

import re
from typing import Final

from connectors.sdk.model import SECTION_OF_TYPE

_RESOURCE_SCOPE: Final = re.compile(r"(?:patient|user|system)/", re.IGNORECASE)
# A granular scope (`?category=…`) grants part of a type: until the filter can hold to that part, it doesn't match.
# The letters of version 2 must stand in this order (2.2, "Scopes for requesting FHIR Resources").
_GRANT: Final = re.compile(r"(?:patient|user)/(\*|[A-Za-z]+)\.(read|write|\*|(?=[cruds])c?r?u?d?s?)", re.ASCII)
_LETTERS: Final = {"read": "rs", "write": "cud", "*": "cruds"}
_NEEDED: Final = frozenset("rs")
"""Reading by id (r) and searching (s): every look does both, since a read looks through what a source's search gave."""


def types_allowed(scopes: frozenset[str]) -> frozenset[str] | None:
    """The resource types of the record that a person's token lets its client read; None where it sets no such bound.

    No bound: not one scope for FHIR resources, only `openid`, `profile`, `launch` and the like. A scope of a system
    (`system/…`) is never a person's, but a token that carries one does set bounds.
    """
    granted = _granted(scopes)
    if granted is None:
        return None
    everywhere = granted.get("*", set())
    return frozenset(name for name in SECTION_OF_TYPE if granted.get(name, set()) | everywhere >= _NEEDED)


def lets_read(scopes: frozenset[str], resource_type: str) -> bool:
    """Whether a person's token lets its client read and search one type, of the record or not."""
    granted = _granted(scopes)
    return granted is None or granted.get(resource_type, set()) | granted.get("*", set()) >= _NEEDED


def _granted(scopes: frozenset[str]) -> dict[str, set[str]] | None:
    """The letters granted by type, `*` for all; None where the token sets no bound."""
    bounding = [scope for scope in scopes if _RESOURCE_SCOPE.match(scope)]
    if not bounding:
        return None
    granted: dict[str, set[str]] = {}
    for scope in bounding:
        if grant := _GRANT.fullmatch(scope):
            granted.setdefault(grant[1], set()).update(_LETTERS.get(grant[2], grant[2]))
    return granted
