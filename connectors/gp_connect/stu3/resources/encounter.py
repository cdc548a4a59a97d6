"""Encounter: an attendance, a call, a visit, or a note that somebody made in the record without any of these."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from connectors.gp_connect.stu3.naming import TERMINOLOGY, absent
from connectors.gp_connect.stu3.rules import Draft, Rules, To, code, kept, objects, renamed
from connectors.sdk.model import Resource

_STATUS: Final = frozenset(
    {
        "planned",
        "arrived",
        "triaged",
        "in-progress",
        "onleave",
        "finished",
        "cancelled",
        "entered-in-error",
        "unknown",
    }
)
_CLASSES: Final[Mapping[str, tuple[str, re.Pattern[str]]]] = {
    "AMB": ("ambulatory", re.compile(r"\b(?:surgery|face[ -]to[ -]face|clinic|walk[ -]in)\b")),
    "VR": ("virtual", re.compile(r"\b(?:telephone|phone|video|online|e-?consultation|remote)\b")),
    "HH": ("home health", re.compile(r"\b(?:home|domiciliary|residential)\b.*\bvisit\b|\bhome visit\b")),
}
"""GP Connect sends no class, and R4 demands one. The type's own words tell it, where they tell just one."""

_NO_ATTENDANCE: Final = re.compile(
    r"\b(?:admin\w*|cancel\w*|abandon\w*|fail\w*|missed|unsuccessful|not|no|without|dna|letters?|reports?|mail|"
    r"e-?mails?|sms|texts?|messages?|correspondence|referrals?|third party)\b"
)
"""Words of what wasn't an attendance, or perhaps none: a letter from a clinic, a visit that was cancelled."""


def _words(source: Resource) -> Iterator[str]:
    for kind in source.get("type", ()):
        yield str(kind.get("text", ""))
        yield from (str(coding.get("display", "")) for coding in kind.get("coding", ()))


def _finish(draft: Draft) -> None:
    """Without a class that the words tell, R4's class is one whose code nobody sent: a note isn't an attendance."""
    if "class" in draft.r4:
        return
    words = " ".join(_words(draft.source)).casefold()
    found = [(code, display) for code, (display, pattern) in _CLASSES.items() if pattern.search(words)]
    if len(found) == 1 and not _NO_ATTENDANCE.search(words):
        class_code, display = found[0]
        draft.r4["class"] = {"system": f"{TERMINOLOGY}v3-ActCode", "code": class_code, "display": display}
    else:
        draft.r4["class"] = {"extension": [absent()]}


def _diagnoses(draft: Draft, value: Any) -> None:
    draft.r4["diagnosis"] = [renamed(one, {"role": "use"}, "diagnosis") for one in objects(value, "diagnosis")]


ENCOUNTER: Final = Rules(
    "Encounter",
    {
        **kept("identifier", "statusHistory", "class", "classHistory", "type", "priority", "subject", "episodeOfCare"),
        **kept(
            "participant", "period", "length", "account", "hospitalization", "location", "serviceProvider", "partOf"
        ),
        "status": code("status", _STATUS),
        "incomingReferral": To("basedOn", many=True),
        "appointment": To("appointment", many=True),
        "reason": To("reasonCode"),
        "diagnosis": _diagnoses,
    },
    demanded=("status",),
    finish=_finish,
)
