"""What a row says of the rows that its transaction erased: which they are, and a digest of what is left of them.

Their leaves are in the log, but their kind and time aren't in a leaf. So whoever hides a row by erasing it, or makes an
erased one look like another, contradicts a row that is signed. And what an erased row vouched for in other tables
(`Row.bound`) is vouched for by this one from then on: choices and permissions outlive their rows.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Final, NamedTuple

import msgspec

from gateway.audit.row import Erased


class Left(NamedTuple):
    """What is left of an erased row besides its leaf: its number, its kind, its time in microseconds since 1970, and
    the digests of records by id that it vouched for."""

    seq: int
    kind: str
    at: int
    bound: Mapping[str, str] = {}


class _Vouching(msgspec.Struct):
    bound: dict[str, str] = {}


_VOUCHING: Final = msgspec.json.Decoder(_Vouching)

_FIXED: Final = struct.Struct(">QqQ")


def erased(rows: Iterable[Left]) -> Erased:
    """For `Row.erased`."""
    left = sorted(rows, key=lambda row: row.seq)
    digest = hashlib.sha256()
    for row in left:
        kind = row.kind.encode()
        digest.update(_FIXED.pack(row.seq, row.at, len(kind)) + kind)
    bound = [(row.seq, record, named) for row in left for record, named in sorted(row.bound.items())]
    return Erased(rows=_written([row.seq for row in left]), digest=digest.hexdigest(), bound=bound)


def left_of(seq: int, kind: str, at: int, row: bytes) -> Left:
    """What will be left of a row that is about to be erased. Raises ValueError for what isn't one."""
    try:
        return Left(seq, kind, at, _VOUCHING.decode(row).bound)
    except msgspec.MsgspecError as error:
        raise ValueError(f"Row {seq} isn't what was written, so nothing is erased. Verify the store.") from error


def numbers(rows: str) -> Iterator[range]:
    """The runs of numbers in `Erased.rows`. Raises ValueError for what isn't that."""
    for run in rows.split(",") if rows else ():
        first, _, last = run.partition("-")
        yield range(int(first), int(last or first) + 1)


def _written(seqs: list[int]) -> str:
    """`3-17,20`"""
    breaks = [at for at, (one, next_) in enumerate(pairwise(seqs), 1) if next_ != one + 1]
    runs = [seqs[start:end] for start, end in pairwise([0, *breaks, len(seqs)])] if seqs else []
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
