"""Made-up NHS numbers in every way that somebody or something may write one, for property tests."""

from __future__ import annotations

import unicodedata

from hypothesis import strategies as st

from connectors.sdk.nhs_number import is_nhs_number

BETWEEN_ANY = (
    "",
    " ",
    "-",
    "  ",
    "\u00a0",
    "\u2011",
    "\u2013",
    "%20",
    "%2D",
    "+",
    "\t",
    "\\n",
    "&nbsp;",
    "\u200b",
    " - ",
)
"""What may stand between any two digits."""
BETWEEN_GROUPS = (*BETWEEN_ANY, ".", "/", "_", ",", ", ", ":", "|", "~", " / ", '","')
"""And between the groups of three, three and four."""
SCRIPTS = ("0123456789", "٠١٢٣٤٥٦٧٨٩", "０１２３４５６７８９", "०१२३४५६७८९")


def _with_check(first: int) -> str | None:
    return next((f"{first}{check}" for check in range(10) if is_nhs_number(f"{first}{check}")), None)


NUMBERS = st.integers(999_000_000, 999_999_999).map(_with_check).filter(bool).map(str)


@st.composite
def written(draw: st.DrawFn) -> str:
    """One number, as somebody may write it."""
    number = draw(NUMBERS)
    if draw(st.booleans()):
        text = draw(st.sampled_from(BETWEEN_GROUPS)).join((number[:3], number[3:6], number[6:]))
    else:
        text = draw(st.sampled_from(BETWEEN_ANY)).join(number)
    script = draw(st.sampled_from(SCRIPTS))
    return text.translate(str.maketrans(SCRIPTS[0], script)) if "%2" not in text else text


WORDS = st.text(st.characters(exclude_categories=["Nd", "Cs", "Cc"]), max_size=20)
"""Text around a number: without digits of any script, so that none of it belongs to the number."""


def digits(text: str) -> str:
    """The digits of a text in any script, and nothing else."""
    return "".join(str(unicodedata.decimal(sign)) for sign in text if sign.isdecimal())
