"""Which door a row went through: the action that the policy was asked about."""

from __future__ import annotations

import re
from typing import Final

from gateway.audit.row import Kind, Row
from gateway.caller.model import Role
from gateway.choice.may import (
    ASK_BEST_INTERESTS,
    ASK_PERMISSION,
    DISCLOSE,
    OPEN_RECORD,
    RECORD_CHOICE,
    RECORD_OWN_CHOICE,
)
from gateway.choice.model import Basis

_FIND_PERSON: Final = "find-person"
_REFUSED: Final = re.compile(r"policy refused ([a-z][a-z-]{1,63})", re.ASCII)
_OF_KIND: Final = {
    Kind.RELEASE: OPEN_RECORD,
    Kind.DISCLOSURE: DISCLOSE,
    Kind.PERSON_ANSWERED: _FIND_PERSON,
    Kind.SHARING_CHOICE: RECORD_CHOICE,
    Kind.PERMISSION_REFUSED: ASK_PERMISSION,
}
_OF_BASIS: Final = {Basis.PATIENT_AGREED.value: ASK_PERMISSION, Basis.BEST_INTERESTS.value: ASK_BEST_INTERESTS}


def action_of(row: Row) -> str | None:
    """The door that was opened, or that refused; None where the row doesn't say."""
    if row.kind is Kind.REFUSAL:
        refused = _REFUSED.fullmatch(row.detail)
        return refused.group(1) if refused else None
    if row.kind in (Kind.PERMISSION_GRANTED, Kind.PERMISSION_EXTENDED):
        return _OF_BASIS.get(row.basis or "")
    if row.kind is Kind.SHARING_CHOICE and row.who is not None and row.who.role == Role.PATIENT:
        return RECORD_OWN_CHOICE
    return _OF_KIND.get(row.kind)
