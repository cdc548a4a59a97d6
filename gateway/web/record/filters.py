"""The classes by which the style sheet lets a reader filter rows, with neither a script nor a rule for each page.

Organisations are told apart by the digits of their place, each digit a class of its own: thirty rules of the style
sheet serve a thousand organisations, and no more classes stand in a row than its page needs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

MOST: Final = 1000
"""Organisations that the style sheet's rules can tell apart. Nobody has as many; a page that had would offer no filter
by organisation, since one that hid too little would be believed."""
_DIGITS: Final = "abc"
"""Names of the digits, the last one first."""


def of_sources(sources: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """By source the marks of its place: `b1`, `a3`. None at all where there are more than can be told apart."""
    listed = list(sources)
    if len(listed) > MOST:
        return {}
    width = len(str(max(len(listed) - 1, 0)))
    return {source: _marks(f"{place:0{width}}") for place, source in enumerate(listed)}


def classes(kind: str, marks: Iterable[str]) -> str:
    """`cc-from-b1 cc-from-a3`"""
    return " ".join(f"cc-{kind}-{mark}" for mark in marks)


def _marks(written: str) -> tuple[str, ...]:
    return tuple(f"{name}{digit}" for name, digit in zip(_DIGITS, reversed(written), strict=False))
