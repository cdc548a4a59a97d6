"""A text ends where it ends: no character in it turns round what stands beside it.

Unicode has characters that change the direction of all that follows, up to the end of the paragraph (Unicode Standard
Annex 9). One in a medicine's name would show another organisation's `12 mg` as `gm 21`. Nothing is taken out of a text
that has one, since it may be there for a right-to-left name: the text is isolated.
"""

from __future__ import annotations

import re
from typing import Final

_TURNS: Final = re.compile("[\u202a-\u202e\u2066-\u2069]")
_ISOLATES: Final = re.compile("[\u2066-\u2069]")
_BEGIN, _END = "\u2068", "\u2069"


def isolated(value: object) -> object:
    """A plain text with any such character, between a beginning and an end of its own; whatever else as it is.

    An end within it that has no beginning would end ours, and a beginning that has no end would take it: both get what
    they lack.
    """
    if type(value) is not str or not _TURNS.search(value):
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
