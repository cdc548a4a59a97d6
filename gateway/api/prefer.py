"""The `Prefer` header (RFC 7240), as far as FHIR R4 gives it a meaning for searches: `handling=strict` or `lenient`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from starlette.requests import Request

LENIENT: Final[Mapping[str, str]] = MappingProxyType({"Preference-Applied": "handling=lenient"})
"""The header of an answer to a search that was handled so."""


def is_lenient(request: Request) -> bool:
    """True where the client asks for it. Strict is what it gets otherwise, whatever else the header says.

    The first of several preferences of a name counts (RFC 7240, 2). A name and a value are compared without regard to
    letter case; a value may be quoted.
    """
    for header in request.headers.getlist("prefer"):
        for preference in header.split(","):
            name, _, value = preference.partition(";")[0].partition("=")
            if name.strip().lower() == "handling":
                return value.strip().strip('"').lower() == "lenient"
    return False
