"""Rows that tell of one event, put together: an intent, and what came of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.audit.row import Kind, Row
from gateway.errors import CUT_SHORT


@dataclass(frozen=True, slots=True)
class Numbered:
    """A row of the patient with its own number, from 1, and its number in the whole log. `row` is None once erased."""

    number: int
    seq: int
    row: Row | None


@dataclass(frozen=True, slots=True)
class Group:
    """Rows of one event, in order: `rows` says what, `numbers` are the patient's own numbers of all of them.

    An erased stretch has no rows. `intent` is the row that announced a look; it is first among `rows` where nothing
    came of it, and left out otherwise, since what came says the same and more. `is_rest`: it's what became of the
    rest of a look of which something was shown.
    """

    numbers: tuple[int, ...]
    rows: tuple[Row, ...]
    intent: Row | None = None
    is_rest: bool = False


_ENDS: Final = frozenset({Kind.RELEASE, Kind.DISCLOSURE, Kind.SOURCE_TRIED})
"""What shows something: several of one intent (a record that comes in parts) are one look. That whoever looked went
away before its last part is no refusal, and belongs to it."""


def grouped(rows: Iterable[Numbered]) -> list[Group]:
    """Each row in exactly one group, in the order of their first rows."""
    return sorted((group for thread in _threads(rows) for group in _groups(thread)), key=lambda group: group.numbers[0])


def _threads(rows: Iterable[Numbered]) -> list[list[Numbered]]:
    """Rows by the intent that they name; each other row, and each erased stretch, by itself."""
    threads: list[list[Numbered]] = []
    begun: dict[int, list[Numbered]] = {}
    for one in rows:
        row = one.row
        if row is None and threads and threads[-1][-1].row is None and threads[-1][-1].number == one.number - 1:
            threads[-1].append(one)
        elif row is not None and row.intent in begun:
            begun[row.intent].append(one)
        else:
            threads.append([one])
            if row is not None and row.kind is Kind.INTENT:
                begun[one.seq] = threads[-1]
    return threads


def _groups(thread: Sequence[Numbered]) -> list[Group]:
    first, *ends = thread
    if first.row is None:
        return [Group(tuple(one.number for one in thread), ())]
    if first.row.kind is not Kind.INTENT:
        return [_group(thread)]
    if not ends:
        return [Group((first.number,), (first.row,), first.row)]
    shown = [one for one in ends if one.row is not None and one.row.kind in _ENDS]
    if shown:
        shown += [one for one in ends if one.row is not None and one.row.rule == CUT_SHORT]
    others = [one for one in ends if one not in shown]
    leading = shown or [others.pop(0)]
    return [_group(leading, first), *(_group([one], is_rest=bool(shown)) for one in others)]


def _group(ones: Sequence[Numbered], intent: Numbered | None = None, *, is_rest: bool = False) -> Group:
    numbers = sorted(one.number for one in ([intent, *ones] if intent else ones))
    rows = tuple(one.row for one in ones if one.row is not None)
    return Group(tuple(numbers), rows, intent.row if intent else None, is_rest)
