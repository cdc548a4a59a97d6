"""A patient's choices in plain words: what holds, since when, and what was chosen before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.audit.report.choices import chose
from gateway.audit.report.moments import when
from gateway.audit.report.words import clean
from gateway.choice.model import Channel, Choice, SharingChoice, StatedBy


@dataclass(frozen=True, slots=True)
class Line:
    """One statement: when, what it says, and who wrote it down ("" where the patient did)."""

    when: str
    text: str
    written_by: str


@dataclass(frozen=True, slots=True)
class ToldChoices:
    """`since` is when what holds now was chosen; "" where nothing ever was. `lines` are all of them, newest first."""

    is_out: bool
    since: str
    lines: tuple[Line, ...]


def told_choices(history: Sequence[SharingChoice], place_of: Callable[[str], str]) -> ToldChoices:
    """`history` is oldest first. `place_of` names an organisation by its ODS code."""
    lines = tuple(_line(choice, place_of) for choice in reversed(history))
    is_out = bool(history) and history[-1].choice is not Choice.OPTED_IN
    return ToldChoices(is_out, lines[0].when if lines else "", lines)


def _line(choice: SharingChoice, place_of: Callable[[str], str]) -> Line:
    text = chose(choice.detail)
    return Line(when(choice.recorded_at), text, "" if _is_own(choice) else _written_by(choice, place_of))


def _is_own(choice: SharingChoice) -> bool:
    return choice.stated_by is StatedBy.PATIENT and choice.channel is Channel.ONLINE and not choice.organisation


def _written_by(choice: SharingChoice, place_of: Callable[[str], str]) -> str:
    place = place_of(choice.organisation)
    return clean(f"{choice.recorded_by_name} at {place}" if place else choice.recorded_by_name)
