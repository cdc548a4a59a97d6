"""What every store checks inside the transaction that would release or grant: plain functions of what was just read.

Only an explicit yes passes: anything missing, mismatched or not understood is a refusal.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from gateway.audit.row import Kind, Row
from gateway.choice.model import Choice, Permission, SharingChoice
from gateway.choice.refusals import opted_out, opted_out_meanwhile, permission_ended
from gateway.errors import Refusal


def release_objection(
    row: Row, choice: SharingChoice | None, permission: Permission | None, now: datetime
) -> Refusal | None:
    """Why the row's record may not be released at this moment; None where it may.

    The permission must hold when the row was made and now, by the store's own clock: neither a slow queue nor a row
    dated back can outlive it. The answer to a search for a person shows no record, so it needs none.
    """
    if _is_out(choice):
        return opted_out_meanwhile()
    if row.kind is Kind.PERSON_ANSWERED:
        return None
    if permission is None or not _is_for(permission, row):
        return permission_ended()
    if not (permission.holds_at(row.at) and permission.holds_at(now)):
        return permission_ended()
    return None


def grant_objection(choice: SharingChoice | None) -> Refusal | None:
    """Nobody can be given permission to see the record of a patient who opted out, in an emergency neither."""
    return opted_out() if _is_out(choice) else None


def refusal_in_place_of(row: Row, refusal: Refusal) -> Row:
    """The row that is written instead: who asked for what, and why not. It counts nothing as seen."""
    return msgspec.structs.replace(
        row,
        kind=Kind.REFUSAL,
        status=refusal.status,
        rule=refusal.rule,
        detail=refusal.detail,
        seen={},
        seen_ids={},
        total=None,
        withheld={},
        outlined={},
    )


def _is_out(choice: SharingChoice | None) -> bool:
    return choice is not None and choice.choice is not Choice.OPTED_IN


def _is_for(permission: Permission, row: Row) -> bool:
    """This caller, this patient, and the basis and scope under which the policy decided what is shown."""
    return (
        row.who is not None
        and row.patient is not None
        and (permission.caller, permission.organisation) == (row.who.key, row.who.organisation)
        and permission.patient == row.patient
        and (permission.basis, permission.scope) == (row.basis, row.scope)
    )
