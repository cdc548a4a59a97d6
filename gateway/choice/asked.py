"""What somebody asks for who asks for a permission, and what must be right about it before it is granted."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from gateway.choice.model import Basis, Scope
from gateway.choice.reasons import AT_THE_POINT_OF_CARE, DISPLAY, ReasonCode
from gateway.errors import BadRequest

SHORTEST_REASON: Final = 5
LONGEST_REASON: Final = 500
_WORD: Final = re.compile(r"[^\W_]{3,}")
_OFFERED: Final = "; ".join(f'"{code}" ({when})' for code, when in AT_THE_POINT_OF_CARE.items())


@dataclass(frozen=True, slots=True)
class Asked:
    """The answer at the point of care: on what basis, what for, how much."""

    basis: Basis
    scope: Scope = Scope.STANDARD
    reason: str = ""
    reason_code: ReasonCode | None = None


def check_asked(asked: Asked) -> None:
    """Raises BadRequest with the member that is wrong, and what to give instead."""
    check_length(asked.reason)
    if asked.basis is Basis.BEST_INTERESTS:
        _check_code(asked.reason_code)
        check_reason(asked.reason)
    elif asked.reason_code is not None:
        raise BadRequest(
            'A reason of the national list goes with the basis "best-interests" alone: where the patient agreed, none '
            "is needed. Leave out reasonCode.",
            rule="permission.reason-code-not-needed",
            expression="reasonCode",
        )
    if asked.scope is Scope.INCLUDING_SENSITIVE and asked.basis is not Basis.PATIENT_AGREED:
        raise BadRequest(
            "Sensitive information is shown only where the patient agreed to just that, so the scope "
            '"including-sensitive" goes with the basis "patient-agreed" alone.',
            rule="permission.sensitive-needs-agreement",
            expression="scope",
        )


def check_length(reason: str, rule: str = "permission.reason-too-long") -> None:
    """Raises BadRequest for more than a few sentences."""
    if len(reason) > LONGEST_REASON:
        raise BadRequest(
            f"The reason is too long. Say it in {LONGEST_REASON} characters.", rule=rule, expression="reason"
        )


def check_reason(reason: str) -> None:
    """Whether somebody wrote something: "GCS 3" says it all, and nobody should be sent back to count words."""
    said = reason.strip()
    if len(said) >= SHORTEST_REASON and any(map(str.isalpha, said)) and _WORD.search(said) is not None:
        return
    raise BadRequest(
        "Best-interests access needs a reason: why the patient can't be asked, and why it can't wait. Write at "
        f"least {SHORTEST_REASON} characters, a letter and a word of 3 letters or digits among them. A privacy "
        "officer will read it.",
        rule="permission.reason-missing",
        expression="reason",
    )


def _check_code(code: ReasonCode | None) -> None:
    if code is None:
        raise BadRequest(
            f"Best-interests access needs a reasonCode of the national list, and a reason in words. Give {_OFFERED}.",
            rule="permission.reason-code-missing",
            expression="reasonCode",
        )
    if code not in AT_THE_POINT_OF_CARE:
        raise BadRequest(
            f'"{DISPLAY[code]}" is a reason for a disclosure that the law requires, which a privacy officer makes with '
            f"POST /disclosures. At the point of care give {_OFFERED}.",
            rule="permission.reason-code-not-here",
            expression="reasonCode",
        )
