"""The report's words, plain enough for a reader of 9 to 11 (NHS digital service manual, "How we write").

What isn't known here gets a cautious sentence, never a code that means nothing to a patient.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from typing import Final

LONGEST: Final = 200

ROLES: Final[Mapping[str, str]] = {
    "gp": "a GP",
    "hospital-doctor": "a hospital doctor",
    "nurse": "a nurse",
    "district-nurse": "a district nurse",
    "occupational-therapist": "an occupational therapist",
    "social-worker": "a social worker",
    "privacy-officer": "a privacy officer",
    "commissioner": "a person who plans care",
    "patient": "the patient",
}
STAFF: Final = "a member of staff"
YOU: Final = "You"
"""The patient, on their own pages."""
SOMEBODY: Final = "one of the staff"
OTHER_PLACE: Final = "Place not known"

SECTIONS: Final[Mapping[str, str]] = {
    "demographics": "your name, address and birth date",
    "allergies": "your allergies",
    "medicines": "your medicines",
    "contacts": "your visits and appointments",
    "results": "your test results",
    "problems": "your health problems",
    "immunisations": "your vaccines",
    "care-team": "who looks after you",
    "supporting": "names of staff and places",
}
OTHER_SECTION: Final = "other parts of your record"

PURPOSES: Final[Mapping[str, str]] = {
    "TREAT": "To give you care.",
    "ETREAT": "To give you care in an emergency.",
    "BTG": "To give you care in an emergency.",
}
OTHER_PURPOSE: Final = "For the work that they do."

GROUNDS: Final[Mapping[str, str]] = {
    "statute": "a law says that it must be shared",
    "court-order": "a court ordered it",
    "public-interest": "it keeps other people safe",
}
OTHER_GROUND: Final = "the law says that it must be shared"

_WRONG_QUESTION: Final = "the question could not be answered"
_NOT_PROVEN: Final = "the list could not be proven just then"
_JOB: Final = "their job does not let them"

REFUSALS: Final[Mapping[str, str]] = {
    "choice.opted-out": "you had opted out",
    "permission.none": "they had not asked you first",
    "permission.ended": "your permission had ended",
    "patient.unknown": "nobody had a record with that number",
    "patient.another": "it was about somebody else",
    "patient.birth-date-differs": "they gave a wrong birth date",
    "register.superseded": "your NHS number has changed",
    "register.invalidated": "the number is no longer used",
    "sources.nobody-answered": "no place that holds your record could answer",
    "sources.none": "no place could answer",
    "register.silent": "the NHS list of patients could not answer",
    "fault": "our computer made a mistake",
    "disclosure": "the law did not clearly ask for it",
    "policy": _JOB,
    "privacy-officer": _JOB,
    "commissioner": _JOB,
    "door": _JOB,
    "scope": "their computer may not ask for it",
    "purpose": "it was not to give you care",
    "caller": "we could not be sure of their job",
    "token.revoked": "they had signed out",
    "token.expired": "they had to sign in again",
    "token": "we could not be sure who they were",
    "certificate": "we could not be sure who they were",
    "permission": "what they wrote was not good enough",
    "choice": "what they wrote was not good enough",
    "search": _WRONG_QUESTION,
    "body": _WRONG_QUESTION,
    "batch": _WRONG_QUESTION,
    "cds.slow": "our computer was too slow",
    "cds": _WRONG_QUESTION,
    "cors": "their computer may not ask for it",
    "docs": _WRONG_QUESTION,
    "fair-use": "they had asked too often",
    "form": _WRONG_QUESTION,
    "gateway": "Connect Care had too much to do",
    "policy.not-kept": _WRONG_QUESTION,
    "office": _WRONG_QUESTION,
    "status": _WRONG_QUESTION,
    "my": _WRONG_QUESTION,
    "home": _WRONG_QUESTION,
    "signin": "we could not be sure who they were",
    "static": _WRONG_QUESTION,
    "launch": "we could not be sure who they were",
    "live": _WRONG_QUESTION,
    "live.cut-short": "they went away before it had come",
    "session": "they had to sign in again",
    "type": _JOB,
    "viewer": _WRONG_QUESTION,
    "read": _WRONG_QUESTION,
    "route": _WRONG_QUESTION,
    "resource": _WRONG_QUESTION,
    "smart": _WRONG_QUESTION,
    "representation": _WRONG_QUESTION,
    "audit": _WRONG_QUESTION,
    "desk": _WRONG_QUESTION,
    "consent": _WRONG_QUESTION,
    "report": _WRONG_QUESTION,
    "report.not-proven": _NOT_PROVEN,
    "checkpoint": _NOT_PROVEN,
    "sources": "no place that holds your record could answer",
    "register": "we could not be sure that it was you",
}
"""By rule id, or by its first part: why somebody was shown nothing."""
OTHER_REFUSAL: Final = "our rules did not let them"

LINKS: Final[Mapping[str, str]] = {
    "registered": "You are a patient there.",
    "attendance": "You were being seen there.",
    "appointment": "You had an appointment there.",
    "allocation": "They had been chosen to look after you.",
    "self-claimed": "We found nothing that shows that they care for you.",
}
"""The evidence of a care relationship (`gateway.relationship.Evidence`). A look for which none could be sought, or had
from where it is, says nothing about it."""

REASONS: Final[Mapping[str, str]] = {
    "emergency": "It was an emergency.",
    "self-claimed-emergency": "They said that it was an emergency.",
    "other": "It was not an emergency, but you could not be asked.",
    "public-interest": "It was to keep other people safe.",
    "statute": "A law says that it must be done.",
    "court-order": "A court ordered it.",
}
"""The national reasons for a look without the patient's word (`gateway.choice.reasons`)."""

CASES: Final[Mapping[str, str]] = {
    "best-interests": "a look when you could not be asked",
    "own-record": "a look by somebody at their own record",
    "same-surname": "a look by somebody with the same last name as you",
    "same-address": "a look by somebody who lives where you live",
    "colleague": "a look by somebody who works where you work",
    "unusual-volume": "somebody who looked at many records",
    "no-relationship": "a look by somebody who may not care for you",
}
"""What a privacy officer checks, by kind of case."""
OTHER_CASE: Final = "a look at your record"

OUTCOMES: Final[Mapping[str, str]] = {
    "questioned": "asked questions about {}.",
    "justified": "checked {}. They found that it was right.",
    "not-justified": "checked {}. They found that it was wrong.",
}
"""What a privacy officer came to."""
OTHER_OUTCOME: Final = "wrote more about {}."


def clean(text: str) -> str:
    """Text that somebody typed, fit to be shown: one line, and nothing that turns, hides or swallows its neighbours."""
    visible = "".join(" " if character.isspace() else character for character in text if not _is_hidden(character))
    return " ".join(visible.split())[:LONGEST]


def _is_hidden(character: str) -> bool:
    return not character.isspace() and unicodedata.category(character) in ("Cc", "Cf", "Cs")


def refused_because(rule: str) -> str:
    """Why somebody was shown nothing, as the end of a sentence."""
    return REFUSALS.get(rule) or REFUSALS.get(rule.partition(".")[0], OTHER_REFUSAL)


def listed(parts: Iterable[str]) -> str:
    """`a, b and c`."""
    *most, last = list(parts) or [""]
    return f"{', '.join(most)} and {last}" if most else last


def counted(number: int, one: str, many: str = "") -> str:
    """`1 entry`, `12 entries`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def times(number: int) -> str:
    """`once`, `twice`, `12 times`."""
    return {1: "once", 2: "twice"}.get(number, f"{number:,} times")
