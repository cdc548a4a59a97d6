"""The last net: NHS numbers that slipped into free text are taken out before it is kept, logged, counted or traced.

The first net is that no such text is made (allow-listed keys, route templates). This one catches what a person typed
into a reason, or a library put into an error: every ten digits, in any script, whose modulus-11 check digit agrees

- written in one, or with spaces and dashes wherever they stand (also as a URL, HTML or JSON writes a space), or
- in the groups 3-3-4 that letters and cards use, whatever stands between them: `999.000.0018`, `999 / 000 / 0018`.

It costs one number in eleven that merely looks like one: a count of ten digits, say. A date with a time isn't taken
for one, nor is an address such as 192.168.100.1.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

from connectors.sdk.nhs_number import is_nhs_number

SCRUBBED: Final = "[nhs-number]"

# Space and dash as people, word processors, URLs, HTML and JSON write them.
_WRITTEN_OUT: Final = r"%20|%2[Dd]|%[Cc]2%[Aa]0|&nbsp;|&#(?:160|xa0|XA0);|\\[tn]|\\u(?:00[aA][0dD]|20[01][0-9a-fA-F])"
_BETWEEN: Final = rf"(?:[\s\-+\u00ad\u180e\u200b-\u200f\u2010-\u2015\u2060\u2212\ufeff]|{_WRITTEN_OUT}){{0,3}}"
_BETWEEN_GROUPS: Final = rf"(?:[^0-9A-Za-z]|{_WRITTEN_OUT}){{1,3}}"

# Look-aheads, so that candidates may overlap: a date and an NHS number beside each other share digits of a candidate.
_CANDIDATE: Final = re.compile(
    rf"(?<![0-9])(?=((?:[0-9]{_BETWEEN}){{9}}[0-9])(?![0-9]))"
    rf"|(?<![0-9])(?=([0-9]{{3}}(?P<by>{_BETWEEN_GROUPS})[0-9]{{3}}(?P=by)[0-9]{{4}})(?![0-9]))"
)
_SEPARATING: Final = re.compile(rf"{_WRITTEN_OUT}|[^0-9]")
_MOMENT: Final = re.compile(r"(?:19|20)[0-9]{2}-[01][0-9]-[0-3][0-9] [0-2][0-9](?=:[0-5][0-9])")
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def scrub(text: str) -> str:
    """The text with `[nhs-number]` in the place of each NHS number."""
    if text.isascii() and sum(map(text.count, "0123456789")) < 10:
        return text  # most texts: doors, rules, types
    kept, end = [], 0
    for start, stop in _found(text):
        if start >= end:
            kept += [text[end:start], SCRUBBED]
        end = max(end, stop)
    return "".join([*kept, text[end:]])


def scrub_id(text: str) -> str:
    """As `scrub`, for an identifier that a client chose; a UUID stays what it is, whatever digits it is made of."""
    return text if is_uuid(text) else scrub(text)


def scrub_figure(figure: float) -> int | float | str:
    """As `scrub`, for a number: a whole one of ten digits may be somebody's, a fraction is nobody's."""
    is_whole = isinstance(figure, int) or figure.is_integer()
    return SCRUBBED if is_whole and is_nhs_number(str(abs(int(figure)))) else figure


def is_uuid(text: str) -> bool:
    """True for a UUID as it is usually written."""
    return _UUID.fullmatch(text) is not None


def _found(text: str) -> list[tuple[int, int]]:
    plain = text if text.isascii() else _with_plain_digits(text)
    return [
        (start, stop)
        for start, stop in _candidates(plain)
        if is_nhs_number(_SEPARATING.sub("", plain[start:stop])) and not _is_moment(plain, start, stop)
    ]


def _is_moment(text: str, start: int, stop: int) -> bool:
    found = _MOMENT.match(text, start)
    return found is not None and found.end() == stop


def _candidates(text: str) -> Iterator[tuple[int, int]]:
    for match in _CANDIDATE.finditer(text):
        yield match.span(1 if match.group(1) is not None else 2)


def _with_plain_digits(text: str) -> str:
    """Digits of other scripts as 0 to 9, each in its place: a number typed with them is the same number."""
    return "".join(str(unicodedata.decimal(sign)) if sign.isdecimal() else sign for sign in text)
