"""Whether the choices, permissions and cases are those that the journal's rows vouch for (`Row.bound`).

Each record was written in the transaction of a row that holds its digest; where that row was erased, the row that says
so holds it now. So a record that was changed, added, removed or put into another order since shows, though its own
table isn't hashed into the log.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Final, NamedTuple, TypeAlias, get_type_hints

import msgspec

from gateway.audit.bound import LATER, digest_of_values
from gateway.audit.verify.evidence import Evidence, RawRecord, Unreadable
from gateway.audit.verify.findings import Findings
from gateway.audit.verify.part import Bound
from gateway.choice.model import Permission, SharingChoice
from gateway.desk.model import Case, CaseEntry
from gateway.store.moments import from_micros

Record: TypeAlias = SharingChoice | Permission | Case | CaseEntry
_Vouching: TypeAlias = dict[str, list[Bound]]


@dataclass(frozen=True, slots=True)
class Table:
    """A table of records: its name, and what its records are and are called."""

    name: str
    type: type[Record]
    called: str


TABLES: Final = (
    Table("sharing_choice", SharingChoice, "sharing choice"),
    Table("permission", Permission, "permission"),
    Table("privacy_case", Case, "case"),
    Table("case_entry", CaseEntry, "entry of a case"),
)
_COLUMN_OF: Final = {"case": "case_id", "by": "by_user"}
"""Columns that aren't called as the field is: SQL has the words for itself."""


class Digested(NamedTuple):
    """A record: the name that rows have for it, where it stands, and the digests that rows must hold, in order."""

    name: str
    case: str
    """Of an entry; "" for other records."""
    number: int
    digests: tuple[str, ...]


def digested(evidence: Evidence, table: Table) -> tuple[list[Digested], Findings]:
    """Every record of a table that can be one, in the table's order, and what is wrong with the others."""
    found, findings = list[Digested](), Findings()
    try:
        for raw in evidence.records(table.name):
            try:
                found.append(_digested(raw, table.type))
            except (msgspec.MsgspecError, ValueError, OverflowError, TypeError, KeyError):
                name = _shown(raw.get("id", raw.get("case_id")))
                findings.add(None, f"{table.called} {name} holds values that none can have")
    except Unreadable as error:
        findings.add(None, f"the records of {table.name} can't be read ({error})")
    return found, findings


def check_records(tables: Iterable[Sequence[Digested]], bound: Iterable[Bound], findings: Findings) -> int:
    """Hold the records, by table in the order of `TABLES`, against the rows; returns how many there are."""
    vouching: _Vouching = {}
    for one in sorted(bound, key=lambda each: each.seq):
        vouching.setdefault(one.record, []).append(one)
    count = 0
    for table, records in zip(TABLES, tables, strict=True):
        _check_table(table, records, vouching, findings)
        count += len(records)
    for name, rows in vouching.items():
        for row in rows:
            findings.add(row.seq, f"vouches for the record {_shown(name)}, which isn't there")
    return count


def _check_table(table: Table, records: Sequence[Digested], vouching: _Vouching, findings: Findings) -> None:
    numbers, written = dict[str, int](), dict[str, int]()
    for record in records:
        number = numbers[record.case] = numbers.get(record.case, 0) + 1
        rows = vouching.pop(record.name, [])
        problem = _problem([row.digest for row in rows], record.digests)
        if problem:
            at = f" (row {rows[-1].seq:,})" if rows else ""
            findings.add(None, f"{table.called} {_shown(record.name)} {problem}{at}")
        if record.number != number or (rows and rows[0].seq < written.get(record.case, 0)):
            findings.add(None, f"{table.called} {_shown(record.name)} isn't where it was committed, as number {number}")
        if rows:
            written[record.case] = rows[0].seq


def _problem(digests: Sequence[str], wanted: Sequence[str]) -> str:
    """Why the rows' digests aren't those of the record; "" where they are."""
    if list(digests) == list(wanted):
        return ""
    if not digests:
        return "is vouched for by no row of the journal: it was added"
    return "isn't what the journal vouches for: it was changed"


def _digested(raw: RawRecord, kind: type[Record]) -> Digested:
    """Raises KeyError, ValueError, OverflowError, TypeError or MsgspecError for columns that can't be a record's.

    What it can be isn't asked further: with a value that none has, its digest is one that no row holds.
    """
    values = {field: _value(raw, field, column) for field, column in _columns(kind)}
    for name in _dated(kind):
        if values[name] is not None:
            values[name] = from_micros(values[name])
    digests: tuple[str, ...] = (digest_of_values(values),)
    if kind is Permission and values["withdrawn_at"] is not None:
        # As it was made, and as it stands.
        digests = (digest_of_values(values | {"withdrawn_at": None}), *digests)
    number = int(raw["number"])
    if kind is CaseEntry:
        return Digested(f"{values['case']}:{number}", str(values["case"]), number, digests)
    return Digested(str(values["id"]), "", number, digests)


def _value(raw: RawRecord, field: str, column: str) -> Any:
    """What stands in the column; of an export that is older than the column, what all records of then say."""
    return raw.get(column, LATER[field]) if field in LATER else raw[column]


@cache
def _columns(kind: type[Record]) -> tuple[tuple[str, str], ...]:
    """Each field, and the column that holds it."""
    return tuple((name, _COLUMN_OF.get(name, name)) for name in kind.__struct_fields__)


@cache
def _dated(kind: type[Record]) -> frozenset[str]:
    """Fields that a store keeps as microseconds."""
    hints: Mapping[str, Any] = get_type_hints(kind)
    return frozenset(name for name, hint in hints.items() if hint in (datetime, datetime | None))


def _shown(name: object) -> str:
    """An id as it may be shown: short, and nothing that a terminal acts on."""
    return "".join(each for each in str(name)[:80] if each.isprintable())
