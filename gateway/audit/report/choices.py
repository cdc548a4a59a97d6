"""A sharing choice in plain words, from what its row says of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.choice.model import Channel, Choice, StatedBy

_CHOSE: Final[Mapping[str, str]] = {
    Choice.OPTED_OUT.value: "chose that nobody may look at your record in Connect Care (opted out)",
    Choice.OPTED_IN.value: "chose that staff may ask to look at your record in Connect Care (opted in)",
}
_WHO: Final[Mapping[str, str]] = {
    StatedBy.PATIENT.value: "You",
    StatedBy.PROXY.value: "Somebody who speaks for you",
    StatedBy.REPRESENTATIVE.value: "Somebody who speaks for you after your death",
}
_HOW: Final[Mapping[str, str]] = {
    Channel.PHONE.value: "by phone",
    Channel.IN_PERSON.value: "face to face",
    Channel.LETTER.value: "by letter",
    Channel.EMAIL.value: "by email",
    Channel.ONLINE.value: "online",
}


def chose(detail: str) -> str:
    """From `opted-out, stated by patient, by phone` (`gateway.choice.sharing`): who chose what, and how we heard."""
    choice = _first(detail, _CHOSE) or "made a choice about your record"
    return _stated(detail, choice)


def took_back(detail: str, whose: str) -> str:
    """From `all, stated by patient, by phone` (`gateway.choice.held`): that every permission ended; from `one, …` that
    one person's did (`whose`: `Dr Ada Obi, a GP at The Surgery,`); "" for one that its holder ended."""
    match detail.partition(",")[0]:
        case "all":
            return _stated(detail, "took back each yes, so nobody may use one any more")
        case "one":
            return _stated(detail, f"said that {whose} may not look any more")
        case _:
            return ""


def _stated(detail: str, what: str) -> str:
    how = _first(detail, _HOW)
    return f"{_first(detail, _WHO) or 'Somebody'} {what}{', ' + how if how else ''}."


def _first(detail: str, known: Mapping[str, str]) -> str:
    said = [part.strip().removeprefix("stated ").removeprefix("by ") for part in detail.split(",")]
    return next((known[word] for word in said if word in known), "")
