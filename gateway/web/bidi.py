"""A text ends where it ends: no character in it turns round what stands beside it.

Unicode has characters that change the direction of all that follows, up to the end of the paragraph (Unicode Standard
Annex 9). One in a medicine's name would show another organisation's `12 mg` as `gm 21`. Nothing is taken out of a text
that has one, since it may be there for a right-to-left name: the text is isolated, each of its paragraphs by itself,
for an isolate ends with its paragraph (rule X8), and what turns in the next one would turn all that follows there.
"""

from __future__ import annotations

import re
from typing import Final

_TURNS: Final = re.compile("[\u202a-\u202e\u2066-\u2069]")
_ISOLATES: Final = re.compile("[\u2066-\u2069]")
_PARAGRAPH: Final = re.compile("([\n\r\x1c-\x1e\x85\u2029])")
"""What ends one (bidirectional class B)."""
_BEGIN, _END = "\u2068", "\u2069"


def isolated(value: object) -> object:
    """A plain text with any such character, between a beginning and an end of its own; whatever else as it is."""
    if type(value) is not str or not _TURNS.search(value):
        return value
    return "".join(map(_closed, _PARAGRAPH.split(value)))


def _closed(value: str) -> str:
    """One paragraph. An end within it that has no beginning would end ours, and a beginning that has no end would take
    it: both get what they lack."""
    if not _TURNS.search(value):
        return value
    began = unbegun = 0
    for character in _ISOLATES.findall(value):
        if character != _END:
            began += 1
        elif began:
            began -= 1
        else:
            unbegun += 1
    return _BEGIN * (unbegun + 1) + value + _END * (began + 1)
