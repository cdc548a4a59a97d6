"""Which rows a case is about: numbers in the journal, so that whoever judges can read there what was seen and why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from gateway.audit.row import Kind
from gateway.choice.model import Basis
from gateway.desk.model import CaseFile, CaseKind
from gateway.store.interface import JournalStore, Kept

MOST: Final = 500
_BEFORE: Final = timedelta(hours=24)
_INSTANT: Final = timedelta(microseconds=1)
_PERMITTED: Final = frozenset({Kind.PERMISSION_GRANTED, Kind.PERMISSION_EXTENDED, Kind.RELEASE})
_RELEASED: Final = frozenset({Kind.RELEASE})


@dataclass(frozen=True, slots=True)
class Looks:
    """Rows in order, of a look in parts the last one: the others are found by its request id. `more`: there are other
    looks, which a search of the audit finds."""

    rows: tuple[Kept, ...]
    more: bool


async def looks(store: JournalStore, file: CaseFile) -> Looks:
    """The caller's looks at the patient from a day before the case was opened until it was judged; of a best-interests
    case, what was granted and shown on that basis; of unusual volume, whatever the caller was shown that day."""
    case = file.case
    in_best_interests = case.kind is CaseKind.BEST_INTERESTS
    found = await store.rows(
        patient=case.patient,
        kinds=_PERMITTED if in_best_interests else _RELEASED,
        user_id=case.user_id,
        organisation=case.organisation,
        since=case.opened_at if in_best_interests else case.opened_at - _BEFORE,
        until=_until(file),
        limit=MOST + 1,
    )
    basis = Basis.BEST_INTERESTS.value if in_best_interests else None
    rows = [kept for kept in found[:MOST] if _is_about(kept, case.caller, basis)]
    last = {kept.row.intent or -kept.seq: kept for kept in rows}
    return Looks(tuple(sorted(last.values(), key=lambda kept: kept.seq)), len(found) > MOST)


def _until(file: CaseFile) -> datetime | None:
    if file.case.kind is CaseKind.UNUSUAL_VOLUME:
        return file.case.opened_at + _INSTANT
    return file.judged_at


def _is_about(kept: Kept, caller: str, basis: str | None) -> bool:
    who = kept.row.who
    return who is not None and who.key == caller and basis in (None, kept.row.basis)
