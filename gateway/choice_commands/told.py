"""A recorded choice in plain words."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from gateway.choice.model import Channel, Choice, StatedBy
from gateway.choice_commands.calling import printable

_LONDON: Final = ZoneInfo("Europe/London")
_BY: Final = {
    StatedBy.PATIENT: "the patient",
    StatedBy.PROXY: "a proxy",
    StatedBy.REPRESENTATIVE: "the representative of a patient who has died",
}
_CHANNELS: Final = {
    Channel.PHONE: "by phone",
    Channel.IN_PERSON: "in person",
    Channel.LETTER: "by letter",
    Channel.EMAIL: "by email",
    Channel.ONLINE: "online",
}
_CHOICES: Final = {Choice.OPTED_OUT: "opted out of", Choice.OPTED_IN: "opted in to"}
_MEANS: Final = {
    Choice.OPTED_OUT: "No organisation is asked any more, and nobody is shown the record. Every permission to look has "
    "ended. They can opt back in at any time.",
    Choice.OPTED_IN: "Staff who care for them may look once they have asked. A permission from before an opt-out "
    "doesn't hold.",
}
_DEFAULT: Final = "No choice was ever recorded. In force now: opted in, as everybody is who hasn't said otherwise."


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


def recorded(choice: Recorded) -> str:
    """What is in force now that this was recorded."""
    head = f"In force now, everywhere: the patient has {_CHOICES[choice.choice]} Connect Care ({_moment(choice)})."
    return "\n".join([head, _MEANS[choice.choice], _whence(choice)])


def history(choices: list[Recorded]) -> str:
    """Every statement, oldest first, and what is in force."""
    if not choices:
        return _DEFAULT
    lines = [f"{_moment(one)}: {_CHOICES[one.choice]} Connect Care. {_whence(one)}" for one in choices]
    return "\n".join([*lines, f"In force now: the patient has {_CHOICES[choices[-1].choice]} Connect Care."])


def _whence(choice: Recorded) -> str:
    """Who stated it, how, who recorded it, and why."""
    proxy, reason = printable(choice.proxy), printable(choice.reason)
    by = _BY[choice.stated_by] + (f" ({proxy})" if proxy else "")
    recorder = f"{printable(choice.recorded_by)}, {printable(choice.organisation)}"
    told = f"Stated by {by}, {_CHANNELS[choice.channel]}; recorded by {recorder}."
    return f"{told} Reason: {reason}" if reason else told


def _moment(choice: Recorded) -> str:
    moment = choice.recorded_at.astimezone(_LONDON)
    return f"{moment.day} {moment:%B %Y, %H:%M}"
