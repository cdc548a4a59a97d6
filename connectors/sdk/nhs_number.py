"""NHS numbers: ten digits, the last a modulus-11 check digit (NHS Data Dictionary, NHS NUMBER)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_LOOSE = re.compile(r"[ \-\u2010-\u2015\u00a0]")
_TEN = re.compile(r"[0-9]{10}", re.ASCII)
_NOT_LETTER_OR_DIGIT: Final = re.compile(r"[^a-z0-9]")
_NAMED: Final = ("nhsnumber", "nhsno", "21684011138832141")
"""How a system that means the NHS number ends, in whatever spelling: a URI of any age and case, or its OID."""


def is_nhs_number(text: str) -> bool:
    """True for ten digits whose check digit agrees. Ten equal digits pass the arithmetic but are never issued."""
    if not _TEN.fullmatch(text) or len(set(text)) == 1:
        return False
    check = 11 - sum((10 - place) * int(digit) for place, digit in enumerate(text[:9])) % 11
    return check % 11 == int(text[9]) and check != 10


def parse_nhs_number(text: str) -> str:
    """The ten digits of an NHS number as a person writes it (spaces and dashes accepted).

    Raises ValueError with a sentence for the person; it doesn't repeat what they typed.
    """
    digits = _LOOSE.sub("", text.strip())
    if not _TEN.fullmatch(digits):
        raise ValueError("An NHS number has ten digits. Check it against a letter or the NHS App.")
    if not is_nhs_number(digits):
        raise ValueError("This is not a valid NHS number: its check digit is wrong. Check each digit.")
    return digits


@lru_cache(maxsize=512)
def means_nhs_number(system: str) -> bool:
    """True for an identifier system that seems to mean NHS numbers, in whatever spelling (`…/Id/nhs-number/`, the OID).

    For finding other people's numbers only: a patient is proven by the one official system alone.
    """
    return _NOT_LETTER_OR_DIGIT.sub("", system.casefold()).endswith(_NAMED)


def same_number(text: str, nhs_number: str) -> bool:
    """True where `text` is this NHS number, also as people write it (`999 000 0018`)."""
    return text == nhs_number or _LOOSE.sub("", text.strip()) == nhs_number
