"""What every store checks inside the transaction that would release or grant: plain functions of what was just read.

Only an explicit yes passes: anything missing, mismatched or not understood is a refusal.
"""

from __future__ import annotations

from collections.abc import Container
from datetime import datetime
from typing import Final

import msgspec

from gateway.audit.row import Kind, Row
from gateway.choice.model import Choice, Permission, SharingChoice
from gateway.choice.refusals import (
    opted_out,
    opted_out_meanwhile,
    opted_out_of_public_interest,
    permission_ended,
    permission_not_extendable,
    permission_replaced,
)
from gateway.errors import Refusal

RELEASES: Final = frozenset({Kind.RELEASE, Kind.PERSON_ANSWERED, Kind.DISCLOSURE})
"""Rows behind which something leaves the gateway."""

_DESPITE_AN_OPT_OUT: Final = frozenset({"statute", "court-order"})
_LAWFUL: Final = _DESPITE_AN_OPT_OUT | {"public-interest"}


def release_objection(
    row: Row, choice: SharingChoice | None, permission: Permission | None, now: datetime
) -> Refusal | None:
    """Why what the row is about may not be released at this moment; None where it may.

    The answer to a search for a person shows no record, so it needs no permission; a disclosure needs what the law says
    instead. An opt-out bars all but what a statute or a court requires: it isn't overridden by what somebody weighs up
    to be in the public interest.
    """
    if row.kind is Kind.DISCLOSURE:
        return _disclosure_objection(row, choice)
    if _is_out(choice):
        return opted_out_meanwhile()
    if row.kind is Kind.PERSON_ANSWERED:
        return None
    return _permission_objection(row, permission, now)


def _disclosure_objection(row: Row, choice: SharingChoice | None) -> Refusal | None:
    if _is_out(choice) and not _is_on(row, _DESPITE_AN_OPT_OUT):
        return opted_out_of_public_interest()
    return None if _is_on(row, _LAWFUL) and row.patient is not None else permission_ended()


def _permission_objection(row: Row, permission: Permission | None, now: datetime) -> Refusal | None:
    """It must hold when the row was made and now, by the store's own clock: neither a slow queue nor a row dated back
    can outlive it."""
    if permission is None or not _is_for(permission, row):
        return permission_ended()
    if not (permission.holds_at(row.at) and permission.holds_at(now)):
        return permission_ended()
    return None


def grant_objection(
    permission: Permission,
    choice: SharingChoice | None,
    extended: Permission | None,
    standing: Permission | None,
    now: datetime,
) -> Refusal | None:
    """Why the permission may not be given at this moment; None where it may.

    Nobody can be given permission to see the record of a patient who opted out, in an emergency neither. One that
    extends another prolongs it and changes nothing else; the other one, `extended`, holds, and is what was asked last:
    it is the `standing` one.
    """
    if _is_out(choice):
        return opted_out()
    if permission.extends is None:
        return None
    if extended is None or not _prolongs(permission, extended):
        return permission_not_extendable()
    if not (extended.holds_at(permission.granted_at) and extended.holds_at(now)):
        return permission_not_extendable()
    return None if standing == extended else permission_replaced()


def refusal_in_place_of(row: Row, refusal: Refusal) -> Row:
    """The row that is written instead: who asked for what, and why not. It counts nothing as seen, and nothing else was
    written with it."""
    return msgspec.structs.replace(
        row,
        kind=Kind.REFUSAL,
        status=refusal.status,
        rule=refusal.rule,
        detail=refusal.detail,
        seen={},
        seen_ids={},
        sent={},
        total=None,
        withheld={},
        outlined={},
        cases=[],
        bound={},
    )


def _is_out(choice: SharingChoice | None) -> bool:
    return choice is not None and choice.choice is not Choice.OPTED_IN


def _is_on(row: Row, bases: Container[str]) -> bool:
    return row.lawful is not None and row.lawful.basis in bases


def _is_for(permission: Permission, row: Row) -> bool:
    """This caller, this patient, and the basis and scope under which the policy decided what is shown."""
    return (
        row.who is not None
        and row.patient is not None
        and (permission.caller, permission.organisation) == (row.who.key, row.who.organisation)
        and permission.patient == row.patient
        and (permission.basis, permission.scope) == (row.basis, row.scope)
    )


def _prolongs(permission: Permission, extended: Permission) -> bool:
    """All but when is the same."""
    return (extended.id, extended.caller, extended.organisation, extended.patient, extended.basis, extended.scope) == (
        permission.extends,
        permission.caller,
        permission.organisation,
        permission.patient,
        permission.basis,
        permission.scope,
    )
