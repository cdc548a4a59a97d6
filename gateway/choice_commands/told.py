"""A recorded choice in plain words."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from gateway.choice.model import Channel, Choice, IdentifiedBy, StatedBy
from gateway.choice.words import CHANNELS, CHOICES, DEFAULT, IDENTIFIED_BY, MEANS, STATED_BY
from gateway.choice_commands.calling import printable

_LONDON: Final = ZoneInfo("Europe/London")


class Recorded(msgspec.Struct, frozen=True, rename="camel"):
    """A recorded choice, as the gateway's API tells it."""

    choice: Choice
    stated_by: StatedBy
    channel: Channel
    recorded_by: str
    organisation: str
    recorded_at: datetime
    reason: str = ""
    proxy: str = ""
    identified_by: IdentifiedBy = IdentifiedBy.NOT_SAID


def recorded(choice: Recorded) -> str:
    """What is in force now that this was recorded."""
    head = f"In force now, everywhere: the patient has {CHOICES[choice.choice]} Connect Care ({_moment(choice)})."
    return "\n".join([head, MEANS[choice.choice], _whence(choice)])


def history(choices: list[Recorded]) -> str:
    """Every statement, oldest first, and what is in force."""
    if not choices:
        return DEFAULT
    lines = [f"{_moment(one)}: {CHOICES[one.choice]} Connect Care. {_whence(one)}" for one in choices]
    return "\n".join([*lines, f"In force now: the patient has {CHOICES[choices[-1].choice]} Connect Care."])


def _whence(choice: Recorded) -> str:
    """Who stated it, how, how they were identified, who recorded it, and why."""
    proxy, reason = printable(choice.proxy), printable(choice.reason)
    by = STATED_BY[choice.stated_by] + (f" ({proxy})" if proxy else "")
    recorder = f"{printable(choice.recorded_by)}, {printable(choice.organisation)}"
    identified = f", identified {IDENTIFIED_BY[choice.identified_by]}" if choice.identified_by else ""
    told = f"Stated by {by}, {CHANNELS[choice.channel]}{identified}; recorded by {recorder}."
    return f"{told} Reason: {reason}" if reason else told


def _moment(choice: Recorded) -> str:
    moment = choice.recorded_at.astimezone(_LONDON)
    return f"{moment.day} {moment:%B %Y, %H:%M}"
