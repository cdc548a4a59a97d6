"""How a case comes to be: from the row of the very event that it is about, in the same transaction."""

from __future__ import annotations

import uuid
from typing import Final

from gateway.audit.row import Row
from gateway.desk.model import Case, CaseKind
from gateway.desk.working_days import due

_ABOUT_THE_CALLER: Final = frozenset({CaseKind.UNUSUAL_VOLUME})
"""Kinds that are about how much somebody looks, not about whom: such a case names no patient."""


def new_case(kind: CaseKind, row: Row) -> Case:
    """A case of this kind about what `row` records, opened at the row's time.

    Caller, patient, request and permission are the row's: so the case says of the event what the journal says. Put its
    id into the row's `cases` and its digest into `bound` before both are written. Raises ValueError for a row that
    names no caller, since then nobody could be asked.
    """
    who = row.who
    if who is None:
        raise ValueError("a case needs a row that says who it was")
    names_the_patient = kind not in _ABOUT_THE_CALLER
    return Case(
        id=str(uuid.uuid4()),
        kind=kind,
        patient=row.patient if names_the_patient else None,
        sealed_patient=row.sealed_patient if names_the_patient else None,
        caller=who.key,
        user_id=who.user_id,
        name=who.name,
        role=who.role,
        organisation=who.organisation,
        request_id=row.request_id,
        permission=row.permission if names_the_patient else None,
        opened_at=row.at,
        due_at=due(row.at),
    )
