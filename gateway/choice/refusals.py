"""What a caller is told where the patient's say stands in the way: what happened, and what to do next.

The rule ids are the stable names that audit rows carry. No text holds an identifier.
"""

from __future__ import annotations

from typing import Final

from gateway.errors import NoPermission, OptedOut

OPTED_OUT: Final = "choice.opted-out"
NO_PERMISSION: Final = "permission.none"
PERMISSION_ENDED: Final = "permission.ended"

_BACK_IN: Final = (
    "A patient can opt back in at any time: staff who may record the choice do it with POST /sharing-choices."
)
_HOW_TO_ASK: Final = 'Ask the patient, then POST /permissions with "nhsNumber" and "basis": "patient-agreed". '
_IN_BEST_INTERESTS: Final = (
    'Where the patient can\'t answer and it is in their best interests, use "basis": "best-interests" with a '
    '"reasonCode" of the national list and a "reason".'
)
_ASK_A_CLINICIAN: Final = (
    "Where the patient can't answer, ask the doctor or nurse who treats them: your role may not decide that a look is "
    "in the patient's best interests."
)


def opted_out() -> OptedOut:
    """Before anyone was asked."""
    return OptedOut(
        "This patient has opted out of Connect Care. There is no record to show, and no organisation was asked. "
        + _BACK_IN,
        rule=OPTED_OUT,
    )


def opted_out_meanwhile() -> OptedOut:
    """At the moment of release: organisations were asked, nothing of what they said is shown."""
    return OptedOut(
        "This patient opted out of Connect Care while the record was being put together. Nothing of it is shown. "
        + _BACK_IN,
        rule=OPTED_OUT,
    )


def opted_out_under_another_number() -> OptedOut:
    """The number that was asked for has been replaced; the choice stands under the current one, which isn't told."""
    return OptedOut(
        "This patient has opted out of Connect Care, under another NHS number than the one that was asked for. Nothing "
        "of the record is shown. " + _BACK_IN,
        rule=OPTED_OUT,
    )


def opted_out_of_public_interest() -> OptedOut:
    """A statute or a court's order would go ahead; weighing up the public interest overrides nobody's no here."""
    return OptedOut(
        "This patient has opted out of Connect Care, and a disclosure in the public interest doesn't override that. No "
        "organisation was asked. Put the request to the organisations that hold the records; where a statute or a "
        "court requires it, say so in basis and reference.",
        rule=OPTED_OUT,
    )


def no_permission(*, best_interests: bool) -> NoPermission:
    """Before anyone was asked. `best_interests`: whether this caller may act in them."""
    return NoPermission(
        "You have no current permission to see this patient's record. "
        + _HOW_TO_ASK
        + (_IN_BEST_INTERESTS if best_interests else _ASK_A_CLINICIAN),
        rule=NO_PERMISSION,
    )


def permission_ended() -> NoPermission:
    """At the moment of release: it expired or was withdrawn, or is another caller's or another patient's."""
    return NoPermission(
        "Your permission to see this patient's record ended before it could be shown. Get a new one with "
        "POST /permissions, and look again.",
        rule=PERMISSION_ENDED,
    )


def permission_not_extendable() -> NoPermission:
    """For one that has ended: nobody prolongs what doesn't hold any more."""
    return NoPermission(
        "This permission has ended, so it can't be extended. Get a new one with POST /permissions.",
        rule=PERMISSION_ENDED,
    )


def permission_replaced() -> NoPermission:
    """For one that still holds, but isn't what was asked last."""
    return NoPermission(
        "A newer permission has taken this one's place, so this one can't be extended. Extend the newest: "
        "GET /permissions lists yours, newest first.",
        rule="permission.replaced",
    )
