"""The privacy officers' cases: each as it was opened, and every step of its history."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from gateway.desk.model import Case, CaseEntry, CaseFile, CaseKind, CaseStatus
from gateway.store.connection import Connection, placeholders
from gateway.store.moments import from_micros, to_micros

_INSERT: Final = (
    "INSERT INTO privacy_case (number, id, kind, patient, sealed_patient, caller, user_id, name, role, organisation, "
    "request_id, permission, opened_at, due_at) VALUES ("
    "(SELECT coalesce(max(number), 0) + 1 FROM privacy_case), ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_SELECT: Final = (
    "SELECT number, id, kind, patient, sealed_patient, caller, user_id, name, role, organisation, request_id, "
    "permission, opened_at, due_at FROM privacy_case WHERE "
)
_STATUS: Final = (
    "coalesce((SELECT status FROM case_entry WHERE case_id = privacy_case.id ORDER BY number DESC LIMIT 1), 'open')"
)
_OPEN_AS: Final = (
    "SELECT 1 FROM privacy_case WHERE caller = ? AND kind = ? AND {} AND {} NOT IN ('justified', 'not-justified') "
    "LIMIT 1"
)
_INSERT_ENTRY: Final = (
    "INSERT INTO case_entry (case_id, number, at, by_user, by_name, status, note) VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_ENTRIES: Final = (
    "SELECT case_id, number, at, by_user, by_name, status, note FROM case_entry WHERE case_id IN ({}) "
    "ORDER BY case_id, number"
)
_NEXT_ENTRY: Final = "SELECT coalesce(max(number), 0) + 1 FROM case_entry WHERE case_id = ?"


def is_open_as(connection: Connection, case: Case) -> bool:
    """Whether one of the same kind, caller and patient waits for a judgement."""
    whose, values = ("patient = ?", [case.patient]) if case.patient is not None else ("patient IS NULL", [])
    found = connection.execute(_OPEN_AS.format(whose, _STATUS), (case.caller, case.kind.value, *values))
    return bool(found.fetchall())


def insert_case(connection: Connection, case: Case) -> None:
    connection.execute(
        _INSERT,
        (
            case.id,
            case.kind.value,
            case.patient,
            case.sealed_patient,
            case.caller,
            case.user_id,
            case.name,
            case.role,
            case.organisation,
            case.request_id,
            case.permission,
            to_micros(case.opened_at),
            to_micros(case.due_at),
        ),
    )


def next_entry(connection: Connection, case_id: str) -> int | None:
    """The number that the case's next entry takes; None where there is no such case."""
    if not connection.execute("SELECT 1 FROM privacy_case WHERE id = ?", (case_id,)).fetchall():
        return None
    ((number,),) = connection.execute(_NEXT_ENTRY, (case_id,)).fetchall()
    return int(number)


def insert_entry(connection: Connection, entry: CaseEntry) -> None:
    values = (entry.case, entry.number, to_micros(entry.at), entry.by, entry.by_name, entry.status.value, entry.note)
    connection.execute(_INSERT_ENTRY, values)


def case_by_id(connection: Connection, case_id: str) -> CaseFile | None:
    found = connection.execute(_SELECT + "id = ?", (case_id,)).fetchall()
    return _files(connection, found)[0][1] if found else None


def select_cases(
    connection: Connection,
    status: frozenset[CaseStatus] | None,
    wanted: Mapping[str, Sequence[Any]],
    after: int,
    limit: int,
) -> list[tuple[int, CaseFile]]:
    """Cases whose columns have one of the values that are `wanted` of them, oldest first."""
    conditions = dict(wanted) | ({_STATUS: sorted(status)} if status is not None else {})
    if not all(conditions.values()):
        return []
    texts = ["number > ?", *(f"{name} IN ({placeholders(len(values))})" for name, values in conditions.items())]
    asked = [value for values in conditions.values() for value in values]
    found = connection.execute(_SELECT + " AND ".join(texts) + " ORDER BY number LIMIT ?", (after, *asked, limit))
    return _files(connection, found.fetchall())


def _files(connection: Connection, records: Sequence[Sequence[Any]]) -> list[tuple[int, CaseFile]]:
    cases = [(number, _case(*record)) for number, *record in records]
    entries = _entries(connection, [case.id for _, case in cases])
    return [(number, CaseFile(case=case, entries=tuple(entries[case.id]))) for number, case in cases]


def _entries(connection: Connection, ids: Sequence[str]) -> Mapping[str, Iterable[CaseEntry]]:
    by_case: defaultdict[str, list[CaseEntry]] = defaultdict(list)
    if ids:
        for case, number, at, by, by_name, status, note in connection.execute(
            _ENTRIES.format(placeholders(len(ids))), ids
        ).fetchall():
            by_case[case].append(
                CaseEntry(
                    case=case,
                    number=number,
                    at=from_micros(at),
                    by=by,
                    by_name=by_name,
                    status=CaseStatus(status),
                    note=note,
                )
            )
    return by_case


def _case(*record: Any) -> Case:
    id_, kind, patient, sealed, caller, user, name, role, organisation, request, permission, opened, due = record
    return Case(
        id=id_,
        kind=CaseKind(kind),
        patient=patient,
        sealed_patient=sealed,
        caller=caller,
        user_id=user,
        name=name,
        role=role,
        organisation=organisation,
        request_id=request,
        permission=permission,
        opened_at=from_micros(opened),
        due_at=from_micros(due),
    )
