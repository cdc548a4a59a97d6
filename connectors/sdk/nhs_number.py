"""NHS numbers: ten digits, the last a modulus-11 check digit (NHS Data Dictionary, NHS NUMBER)."""

from __future__ import annotations

import re

_LOOSE = re.compile(r"[ \-\u2010-\u2015\u00a0]")
_TEN = re.compile(r"[0-9]{10}", re.ASCII)


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
