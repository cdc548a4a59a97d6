"""Who may record, ask and read is policy: the parts that need to know are given the question, not the answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from gateway.caller.model import Caller, Role
from gateway.choice.number import nhs_number_of
from gateway.errors import Refusal
from gateway.policy.model import Decision, Shown

May = Callable[[str, Caller], Decision]
"""(action, caller) -> decision. Anything but WHOLE is a no."""

OPEN_RECORD: Final = "open-record"
RECORD_CHOICE: Final = "record-sharing-choice"
READ_CHOICES: Final = "read-sharing-choices"
ASK_PERMISSION: Final = "ask-permission"
ASK_BEST_INTERESTS: Final = "ask-best-interests"
READ_OWN_PERMISSIONS: Final = "read-own-permissions"
READ_PERMISSIONS: Final = "read-permissions"
WITHDRAW_PERMISSIONS: Final = "withdraw-permissions"
READ_CONSENTS: Final = "read-consents"
READ_AUDIT: Final = "read-audit"
MAKE_REPORT: Final = "make-access-report"
DISCLOSE: Final = "disclose"
READ_DESK: Final = "read-desk"
JUDGE_CASE: Final = "judge-case"
READ_POLICY: Final = "read-policy"
SEE_SOURCES: Final = "see-sources"
READ_OWN_REPORT: Final = "read-own-report"
READ_OWN_CHOICES: Final = "read-own-choices"
RECORD_OWN_CHOICE: Final = "record-own-choice"

_OF_ONESELF: Final[Mapping[str, str]] = MappingProxyType(
    {
        MAKE_REPORT: READ_OWN_REPORT,
        READ_CHOICES: READ_OWN_CHOICES,
        READ_PERMISSIONS: READ_OWN_CHOICES,
        RECORD_CHOICE: RECORD_OWN_CHOICE,
        WITHDRAW_PERMISSIONS: RECORD_OWN_CHOICE,
    }
)
"""What a patient may do about themselves is an action of its own: whoever may do it about others is asked another."""


def allowed(may: May, action: str, caller: Caller) -> bool:
    """Whether the policy lets this caller do it."""
    return may(action, caller).shown is Shown.WHOLE


def demand(may: May, action: str, caller: Caller) -> None:
    """Raises Refusal with the rule's own sentence where the policy doesn't allow the action."""
    decision = may(action, caller)
    if decision.shown is not Shown.WHOLE:
        raise Refusal(decision.why, rule=decision.rule, detail=f"policy refused {action}")


def demand_about(may: May, action: str, caller: Caller, nhs_number: str) -> str:
    """The ten digits of the patient about whom this caller may do it; of a patient, nobody but themselves.

    Raises Refusal as `demand`, BadRequest for a wrong NHS number.
    """
    if caller.role is not Role.PATIENT:
        demand(may, action, caller)
        return nhs_number_of(nhs_number)
    demand(may, _OF_ONESELF[action], caller)
    patient = nhs_number_of(nhs_number)
    if patient != caller.patient:
        raise Refusal("This is about somebody else. You can only ask about yourself here.", rule="patient.another")
    return patient
