"""What a privacy officer should look into, noticed at each look: before release, from the whole record, in memory.

The caller as a private person is compared with the patient, by the words that the issuer and the sources use. Nothing
of what was compared is kept: a case says which kind it is, and no more. A restricted patient's address is compared
like any other's, and told to nobody.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from connectors.sdk.model import Resource, Section
from gateway.audit.bound import bound_to
from gateway.audit.row import Row
from gateway.caller.model import Caller
from gateway.desk.addresses import same_address
from gateway.desk.cases import new_case
from gateway.desk.model import Case, CaseKind
from gateway.desk.names import same_person, same_surname
from gateway.merge import Record
from gateway.relationship import Evidence, evidence
from gateway.sealed import Sealer
from gateway.store.interface import StaffStore
from gateway.store.moments import Clock

_REMEMBERED: Final = 4096
"""Members of staff whose tag this process knows to be noted already."""


@dataclass(frozen=True, slots=True)
class Noticed:
    """What was noticed about one look: the evidence of a care relationship, and the kinds of case to open. Nothing is
    looked for in a disclosure, which isn't for care."""

    relationship: Evidence | None = None
    kinds: tuple[CaseKind, ...] = ()

    def onto(self, row: Row) -> tuple[Row, Sequence[Case]]:
        """The release's row with what was noticed, and the cases to open in its transaction."""
        cases = [new_case(kind, row) for kind in self.kinds]
        written = msgspec.structs.replace(
            row,
            relationship=self.relationship.value if self.relationship else "",
            cases=[*row.cases, *(case.id for case in cases)],
            bound={**row.bound, **bound_to(*cases)},
        )
        return written, cases


class Alerts:
    """Compares callers with patients. `offered` says which sections an organisation offers as a live source."""

    def __init__(
        self, store: StaffStore, sealer: Sealer, offered: Callable[[str], frozenset[Section]], clock: Clock
    ) -> None:
        self._store = store
        self._sealer = sealer
        self._offered = offered
        self._clock = clock
        self._noted: OrderedDict[tuple[str, str, str], None] = OrderedDict()

    async def notice(self, caller: Caller, record: Record, *, is_care: bool = True, so_far: bool = False) -> Noticed:
        """Ask before policy hides any of the record. Raises AuditUnavailable where the store can't be asked.

        `so_far`: this is a part of a look, and others are still to answer. What nothing shows yet is then looked into
        later (`gateway.desk.follow_up`), should the look never come to its end.
        """
        if not is_care:
            return Noticed()
        shown = evidence(record, caller, self._offered(caller.organisation), self._clock())
        if so_far and not shown.is_shown and shown is not Evidence.NOT_CONNECTED:
            shown = Evidence.NOT_ASKED
        kinds = await self._about_the_person(caller, record)
        if shown is Evidence.SELF_CLAIMED:
            kinds.append(CaseKind.NO_RELATIONSHIP)
        return Noticed(shown, tuple(kinds))

    async def _about_the_person(self, caller: Caller, record: Record) -> list[CaseKind]:
        patients = [item.resource for item in record.patients]
        tag = self._sealer.patient_tag(record.nhs_number)
        own = self._own_tag(caller)
        await self._note(caller, own)
        if own == tag or (own is None and any(same_person(caller.themselves, one) for one in patients)):
            return [CaseKind.OWN_RECORD]  # which says surname and address too
        return [*_compared(caller, patients), *await self._colleague(caller, tag)]

    async def _colleague(self, caller: Caller, tag: str) -> list[CaseKind]:
        known = await self._store.works_at(caller.organisation, tag, other_than=self._staff_tag(caller))
        return [CaseKind.COLLEAGUE] if known else []

    async def _note(self, caller: Caller, own: str | None) -> None:
        """Remember that a member of this organisation's staff is this patient: both by tag alone."""
        if own is None:
            return
        member = (caller.organisation, self._staff_tag(caller), own)
        if member in self._noted:
            return
        await self._store.note_staff(*member)
        self._noted[member] = None
        if len(self._noted) > _REMEMBERED:
            self._noted.popitem(last=False)

    def _own_tag(self, caller: Caller) -> str | None:
        number = caller.themselves.nhs_number
        return self._sealer.patient_tag(number) if number else None

    def _staff_tag(self, caller: Caller) -> str:
        return self._sealer.question_tag(json.dumps(["staff", caller.issuer, caller.user_id]))


def _compared(caller: Caller, patients: Sequence[Resource]) -> list[CaseKind]:
    kinds = []
    if any(same_surname(caller.themselves, one) for one in patients):
        kinds.append(CaseKind.SAME_SURNAME)
    if any(same_address(caller.themselves, one) for one in patients):
        kinds.append(CaseKind.SAME_ADDRESS)
    return kinds
