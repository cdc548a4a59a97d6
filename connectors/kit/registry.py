"""The numbered cases: what each is called, whether it may be skipped, and which function plays it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from connectors.kit.stand import Stand

GUIDE: Final = "docs/connector-kit.md"


class Fell(AssertionError):
    """A case fell: the text says what the connector did, in words without an identifier."""


@dataclass(frozen=True, slots=True)
class Case:
    """One case. `play` returns what was seen, or raises Fell.

    `skippable`: it can't apply to every dialect, so a manifest may skip it with a reason. `alone`: it keeps the
    processor busy, so nothing that is about time runs beside it.
    """

    number: str
    title: str
    play: Callable[[Stand], Awaitable[str]]
    skippable: bool
    alone: bool

    @property
    def paragraph(self) -> str:
        """Where the guide defines it."""
        return f"{GUIDE}#{self.number.lower()}"


CASES: Final[dict[str, Case]] = {}
"""Every case by its number, in order."""


def case(
    number: str, title: str, *, skippable: bool = False, alone: bool = False
) -> Callable[[Callable[[Stand], Awaitable[str]]], Callable[[Stand], Awaitable[str]]]:
    """Make a function a case."""

    def register(play: Callable[[Stand], Awaitable[str]]) -> Callable[[Stand], Awaitable[str]]:
        if number in CASES:
            raise ValueError(f"{number} stands twice")
        CASES[number] = Case(number, title, play, skippable, alone)
        return play

    return register


def require(condition: object, said: str) -> None:
    """Raises Fell with `said` where the condition doesn't hold."""
    if not condition:
        raise Fell(said)
