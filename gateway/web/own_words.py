"""What patients' own pages say where something can't be done, for a reader of 9 to 11: what happened, and what to do.

Staff are told more, and in other words: by the errors themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from gateway.errors import GatewayError

_PROBLEM: Final = "Sorry, there is a problem"
_LATER: Final = "Sorry, we can't do that right now"


class Plain(NamedTuple):
    """The heading of the page, and what it says."""

    title: str
    told: str


_NOT_SIGNED_IN: Final = Plain(
    "Sign in first",
    "You are not signed in. Or you did nothing for a while, so we signed you out to keep you safe. Sign in, and try "
    "again.",
)
_NO_SIGN_IN: Final = Plain(
    "We could not sign you in",
    "Nothing was changed. Go back to the start and try again. If it happens again, ask your GP practice for help.",
)
_AS_TOLD: Final = frozenset({"signin.not-proven", "signin.too-young", "signin.unclear-patient", "my", "form.once"})
"""Errors that speak to patients already."""
_PLAIN: Final[Mapping[str, Plain]] = {
    "session.none": _NOT_SIGNED_IN,
    "session.csrf": Plain(
        "That page was too old",
        "You may have signed out, or signed in again, since you opened it. We did not do anything. Go to the start and "
        "try again.",
    ),
    "session": _NOT_SIGNED_IN,
    "signin": _NO_SIGN_IN,
    "launch": _NO_SIGN_IN,
    "statement": _NO_SIGN_IN,
    "token": _NO_SIGN_IN,
    "fair-use": Plain("You asked too often", "Wait a minute. Then try again."),
    "report": Plain(_LATER, "We can't make your list. Wait a few minutes. Then try again."),
    "no-audit-no-data": Plain(
        _LATER, "We can't write down what you do here, so we do not do it. Wait a few minutes. Then try again."
    ),
    "permission": Plain(
        "They can't look any more", "That yes has ended, so there is nothing to take back. Go to the start."
    ),
}
"""By rule id, or by its first part."""
_UNAVAILABLE: Final = Plain(_LATER, "Wait a few minutes. Then try again.")
_WRONG: Final = Plain(_PROBLEM, "We could not do that, and nothing was changed. Go to the start and try again.")
SENT_BEFORE: Final = Plain(
    "You sent that page before",
    "It may not have worked. Open My choice. See what stands there now. If it is not what you want, choose again.",
)
ALL: Final = (*_PLAIN.values(), _UNAVAILABLE, _WRONG, SENT_BEFORE)


def plainly(error: GatewayError) -> Plain:
    """The error in words for a patient."""
    family = error.rule.partition(".")[0]
    if {error.rule, family} & _AS_TOLD:
        return Plain(_NO_SIGN_IN.title if family == "signin" else _PROBLEM, error.told)
    found = _PLAIN.get(error.rule) or _PLAIN.get(family)
    return found or (_UNAVAILABLE if error.status >= 500 else _WRONG)
