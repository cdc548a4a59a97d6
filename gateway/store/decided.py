"""What is decided and written in one transaction, so that nothing can come in between.

A row is true to what its transaction wrote: where the store itself writes less than it was asked to (a refusal in place
of a release, no case because one is open), the row's `cases` and `bound` say so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from gateway.audit.bound import Bound, bound_to
from gateway.audit.erased import erased
from gateway.audit.row import Row
from gateway.choice.model import Choice, Permission, SharingChoice
from gateway.desk.model import Case, CaseEntry
from gateway.errors import Refusal
from gateway.store.kept import KeptCheckpoint
from gateway.store.last_check import grant_objection, refusal_in_place_of, release_objection
from gateway.store.moments import Clock
from gateway.store.tables import cases as desk
from gateway.store.tables import checkpoints, choices, erasure, journal, permissions
from gateway.store.transaction import Transaction

Written = tuple[int, Refusal | None]
"""The number of the row that was written; what to raise once it's on the disk, where the row is a refusal."""


def release(transaction: Transaction, row: Row, opened: Sequence[Case], clock: Clock) -> Written:
    """The moment of release: choice and permission are what they are in this transaction, and so is the clock."""
    choice = choices.current_choice(transaction, row.patient) if row.patient else None
    permission = permissions.permission_by_id(transaction, row.permission) if row.permission else None
    refusal = release_objection(row, choice, permission, clock())
    if refusal is not None:
        return journal.append(transaction, refusal_in_place_of(row, refusal)), refusal
    if row.lawful is not None:
        out = choice is not None and choice.choice is not Choice.OPTED_IN
        row = msgspec.structs.replace(row, lawful=msgspec.structs.replace(row.lawful, opted_out=out))
    return journal.append(transaction, _with_cases(transaction, row, opened)), None


def grant(transaction: Transaction, permission: Permission, row: Row, opened: Case | None, clock: Clock) -> Written:
    """A permission, unless something stands against it now."""
    now = clock()
    refusal = grant_objection(
        permission,
        choices.current_choice(transaction, permission.patient),
        permissions.permission_by_id(transaction, permission.extends) if permission.extends else None,
        permissions.permission_for(transaction, permission.caller, permission.patient, now),
        now,
    )
    if refusal is not None:
        never_granted = msgspec.structs.replace(row, permission=None)
        return journal.append(transaction, refusal_in_place_of(never_granted, refusal)), refusal
    permissions.insert_permission(transaction, permission)
    row = _with_cases(transaction, _bound(row, permission), [opened] if opened else [])
    return journal.append(transaction, row), None


def record_choice(transaction: Transaction, choice: SharingChoice, row: Row) -> int:
    """An opt-out ends what was permitted: whoever opts back in is asked anew."""
    choices.insert_choice(transaction, choice)
    ended: list[Permission] = []
    if choice.choice is not Choice.OPTED_IN:
        ended = permissions.end_permissions(transaction, choice.patient, choice.recorded_at)
    return journal.append(transaction, _bound(row, choice, *ended))


def withdraw(transaction: Transaction, permission_id: str, moment: datetime, row: Row) -> bool:
    if not permissions.end_permission(transaction, permission_id, moment):
        return False
    ended = permissions.permission_by_id(transaction, permission_id)
    journal.append(transaction, _bound(row, *([ended] if ended else [])))
    return True


def withdraw_all(transaction: Transaction, patient: str, moment: datetime, row: Row) -> list[str]:
    ended = permissions.end_permissions(transaction, patient, moment)
    journal.append(transaction, _bound(row, *ended))
    return [permission.id for permission in ended]


def open_case(transaction: Transaction, case: Case, row: Row) -> bool:
    if desk.is_open_as(transaction, case):
        return False
    journal.append(transaction, _with_cases(transaction, row, [case]))
    return True


def move_case(transaction: Transaction, entry: CaseEntry, row: Row) -> bool:
    if desk.next_entry(transaction, entry.case) != entry.number:
        return False
    desk.insert_entry(transaction, entry)
    journal.append(transaction, _bound(row, entry))
    return True


def erase(transaction: Transaction, seqs: Sequence[int], row: Row) -> int:
    """Erase what may be erased of these rows, and say so: `row.total` is how many, `row.erased` which."""
    left = erasure.erase(transaction, seqs)
    journal.append(transaction, msgspec.structs.replace(row, total=len(left), erased=erased(left)))
    return len(left)


def add_checkpoint(
    transaction: Transaction, kept: KeptCheckpoint, nodes: Mapping[bytes, bytes | None], expected: int
) -> bool:
    newest = checkpoints.newest_checkpoint(transaction)
    if (newest.size if newest else 0) != expected:
        return False
    checkpoints.insert_checkpoint(transaction, kept)
    checkpoints.change_nodes(transaction, nodes)
    return True


def _with_cases(transaction: Transaction, row: Row, asked: Sequence[Case]) -> Row:
    """Opens the cases; a case of the same kind, caller and patient that is still open stands for a new one, which the
    row then doesn't name."""
    opened: list[Case] = []
    for case in asked:
        if not desk.is_open_as(transaction, case):
            desk.insert_case(transaction, case)
            opened.append(case)
    never = {case.id for case in asked} - {case.id for case in opened}
    pruned = msgspec.structs.replace(
        row,
        cases=[case for case in row.cases if case not in never],
        bound={name: digest for name, digest in row.bound.items() if name not in never},
    )
    return _bound(pruned, *opened)


def _bound(row: Row, *written: Bound) -> Row:
    """The row with the digests of what was written with it."""
    return msgspec.structs.replace(row, bound={**row.bound, **bound_to(*written)})
