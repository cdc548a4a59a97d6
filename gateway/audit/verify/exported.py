"""A journal as files: written from any evidence, and read back as evidence.

    rows-000000000001.jsonl   rows 1 to 16,384, one a line; the next file begins with row 16,385
    records.jsonl             choices, permissions, cases and entries, one a line
    checkpoints.jsonl         signed checkpoints, oldest first
    key.pub                   the key they are said to be signed with: for convenience; whoever verifies pins one

A row's line has its leaf (`seq`, `patient`, `patient_seq`, `commitment`), its patient's `head`, the columns that it is
found by, and, unless it is erased, `salt` and `row`: the very bytes that were committed to, which are JSON. A witness's
copy has leaves, heads and checkpoints alone. Bytes are hexadecimal.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from gateway.audit.log.checkpoint import PublicKey
from gateway.audit.verify.evidence import COLUMNS, Evidence, Extent, RawRecord, RawRow, Unreadable
from gateway.audit.verify.part import RANGE
from gateway.audit.verify.records import TABLES

RECORDS: Final = "records.jsonl"
CHECKPOINTS: Final = "checkpoints.jsonl"
KEY: Final = "key.pub"
_ROWS_FILE: Final = re.compile(r"rows-([0-9]{12})\.jsonl")
_BYTES: Final = ("salt", "commitment", "head")
_NO_ROW: Final = msgspec.Raw(b"null")
_LONGEST_LINE: Final = 64 * 1024 * 1024

_T = TypeVar("_T")


class _Line(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """A row. `row` is raw JSON, so that its bytes stay what they are."""

    seq: int
    patient_seq: int
    commitment: str
    kind: str | None = None
    patient: str | None = None
    request_id: str = ""
    at: int | None = None
    organisation: str | None = None
    user_id: str | None = None
    caller: str | None = None
    salt: str | None = None
    head: str | None = None
    row: msgspec.Raw = _NO_ROW

    @classmethod
    def of(cls, raw: RawRow) -> _Line:
        """Raises Unreadable for columns that no row has."""
        values = dict(zip(COLUMNS, raw, strict=True))
        row = values.pop("row")
        try:
            hexed = {name: bytes.hex(values[name]) for name in _BYTES if values[name] is not None}
            return cls(**(values | hexed), row=msgspec.Raw(bytes(row)) if row is not None else _NO_ROW)
        except TypeError as error:
            raise Unreadable(
                f"row {values['seq']} holds what no row does, so it isn't exported: verify the store"
            ) from error

    def raw(self) -> RawRow:
        """Raises ValueError for what isn't hexadecimal."""
        values = {name: getattr(self, name) for name in COLUMNS}
        for name in _BYTES:
            values[name] = bytes.fromhex(values[name]) if values[name] is not None else None
        values["row"] = None if self.row == _NO_ROW else bytes(self.row)
        return tuple(values.values())


class _Record(msgspec.Struct, forbid_unknown_fields=True):
    table: str
    values: dict[str, Any]


class _Note(msgspec.Struct, forbid_unknown_fields=True):
    size: int
    note: str


@dataclass(frozen=True, slots=True)
class ExportPlace:
    """A folder of exported files."""

    folder: Path

    @contextmanager
    def open(self) -> Iterator[Exported]:
        """Raises Unreadable where it isn't one."""
        if not (self.folder / CHECKPOINTS).is_file():
            raise Unreadable(f"{self.folder} holds no exported journal: {CHECKPOINTS} isn't there.")
        yield Exported(self)


class Exported:
    """`Evidence` from files."""

    has_working_state = False

    def __init__(self, place: ExportPlace) -> None:
        self.elsewhere = place
        self._folder = place.folder
        self.has_content = (place.folder / RECORDS).is_file()

    def flaws(self) -> list[str]:
        """Files can't be damaged but in what they say."""
        return []

    def extent(self) -> Extent:
        """How far the files reach; only the last one's rows are counted, the others are taken to be full."""
        firsts = sorted(int(name[1]) for file in self._folder.iterdir() if (name := _ROWS_FILE.fullmatch(file.name)))
        if not firsts:
            return Extent(0, 0, 0)
        last = max((line.seq for line in self._lines(firsts[-1])), default=firsts[-1] - 1)
        return Extent(RANGE * len(firsts), 1, last)

    def rows(self, after: int, until: int) -> Iterator[RawRow]:
        """Rows in order, as far as the files have them in order."""
        for first in range(after // RANGE * RANGE + 1, until + 1, RANGE):
            for line in self._lines(first):
                if after < line.seq <= until:
                    yield _explained_row(line)

    def _lines(self, first: int) -> Iterator[_Line]:
        file = self._folder / _name(first)
        return _read(file, _Line) if file.is_file() else iter(())

    def checkpoints(self) -> list[tuple[Any, Any]]:
        """Size and note."""
        return [(kept.size, kept.note) for kept in _read(self._folder / CHECKPOINTS, _Note)]

    def records(self, table: str) -> Iterator[RawRecord]:
        """A table's records, in the order of the file."""
        return (record.values for record in _read(self._folder / RECORDS, _Record) if record.table == table)

    def subtrees(self) -> Iterator[tuple[Any, Any, Any]]:
        """Files keep none."""
        return iter(())

    def frontier(self) -> tuple[Any, Any] | None:
        """Files keep none."""
        return None

    def policies(self) -> Iterator[tuple[Any, Any]]:
        """Files keep none."""
        return iter(())

    def map_nodes(self) -> Iterator[tuple[Any, Any]]:
        """Files keep none."""
        return iter(())


def export(evidence: Evidence, folder: Path, public: PublicKey | None, *, content: bool = True) -> int:
    """Write the evidence into a new folder that only its owner can enter; returns how many rows it has.

    Raises FileExistsError rather than write beside what is there, and Unreadable.
    """
    folder.mkdir(mode=0o700, parents=True)
    size = evidence.extent().highest
    for first in range(1, size + 1, RANGE):
        rows = (_Line.of(raw) for raw in evidence.rows(first - 1, min(first + RANGE - 1, size)))
        _write(folder / _name(first), rows if content else map(_leaf_alone, rows))
    _write(folder / CHECKPOINTS, (_Note(kept, note) for kept, note in evidence.checkpoints()))
    if content:
        _write(folder / RECORDS, (_Record(t.name, dict(raw)) for t in TABLES for raw in evidence.records(t.name)))
    if public is not None:
        _write_bytes(folder / KEY, [f"{public}\n".encode()])
    return size


def _leaf_alone(line: _Line) -> _Line:
    return _Line(line.seq, line.patient_seq, line.commitment, patient=line.patient, head=line.head)


def _name(first: int) -> str:
    return f"rows-{first:012}.jsonl"


def _write(file: Path, lines: Iterable[msgspec.Struct]) -> None:
    encoder = msgspec.json.Encoder()
    _write_bytes(file, (encoder.encode(line) + b"\n" for line in lines))


def _write_bytes(file: Path, parts: Iterable[bytes]) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        out.writelines(parts)


def _read(file: Path, kind: type[_T]) -> Iterator[_T]:
    decoder = msgspec.json.Decoder(kind)
    number = 0
    try:
        with file.open("rb") as lines:
            while line := lines.readline(_LONGEST_LINE):
                number += 1
                yield decoder.decode(line)
    except OSError as error:
        raise Unreadable(f"{file.name} can't be read ({error.strerror})") from error
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Unreadable(f"{file.name}, line {number}, isn't one that an export writes") from error


def _explained_row(line: _Line) -> RawRow:
    try:
        return line.raw()
    except ValueError as error:
        raise Unreadable(f"row {line.seq} has what isn't hexadecimal") from error
