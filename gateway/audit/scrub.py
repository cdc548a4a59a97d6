"""The last net: NHS numbers that slipped into free text are taken out before it is kept or logged.

The first net is that no such text is made (allow-listed keys, route templates). This one catches what a person typed
into a reason, or a library put into an error: every ten digits, written with or without spaces and dashes, whose
modulus-11 check digit agrees. It costs one number in eleven that merely looks like one.
"""

from __future__ import annotations

import re
from typing import Final

from connectors.sdk.nhs_number import is_nhs_number

SCRUBBED: Final = "[nhs-number]"

# Space and dash as people, word processors and URLs write them.
_BETWEEN: Final = r"(?:[\s\-+\u00ad\u200b\u2010-\u2015\u2212]|%20|%2[Dd]){0,3}"

# A look-ahead, so that candidates may overlap: a date and an NHS number beside each other share digits of a candidate.
_CANDIDATE: Final = re.compile(rf"(?<![0-9])(?=((?:[0-9]{_BETWEEN}){{9}}[0-9])(?![0-9]))")
_ENCODED: Final = re.compile(r"%20|%2[Dd]|[^0-9]")
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def scrub(text: str) -> str:
    """The text with `[nhs-number]` in the place of each NHS number."""
    kept, end = [], 0
    for start, stop in _found(text):
        if start >= end:
            kept += [text[end:start], SCRUBBED]
        end = max(end, stop)
    return "".join([*kept, text[end:]])


def scrub_id(text: str) -> str:
    """As `scrub`, for an identifier that a client chose; a UUID stays what it is, whatever digits it is made of."""
    return text if _UUID.fullmatch(text) else scrub(text)


def _found(text: str) -> list[tuple[int, int]]:
    return [match.span(1) for match in _CANDIDATE.finditer(text) if is_nhs_number(_ENCODED.sub("", match.group(1)))]
