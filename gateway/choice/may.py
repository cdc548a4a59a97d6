"""Who may record, ask and read is policy: the parts that need to know are given the question, not the answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gateway.caller.model import Caller
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


def allowed(may: May, action: str, caller: Caller) -> bool:
    """Whether the policy lets this caller do it."""
    return may(action, caller).shown is Shown.WHOLE


def demand(may: May, action: str, caller: Caller) -> None:
    """Raises Refusal with the rule's own sentence where the policy doesn't allow the action."""
    decision = may(action, caller)
    if decision.shown is not Shown.WHOLE:
        raise Refusal(decision.why, rule=decision.rule, detail=f"policy refused {action}")
