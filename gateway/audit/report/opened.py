"""The rows of a proof, opened: each commitment, leaf and link of the chain is made again from the bytes it carries.

Nothing of the proof is believed: what doesn't fit is said, in words, and the check goes on with what is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec

from gateway.audit.log.base64_text import decode_base64
from gateway.audit.log.leaf import HASH_BYTES, NO_HEAD, SALT_BYTES, Leaf, chain, commit
from gateway.audit.report.groups import Numbered
from gateway.audit.report.model import Marker, ProofRow
from gateway.audit.row import Row

Problems = list[str]
_ROW: Final = msgspec.json.Decoder(Row)
_MOST: Final = (1 << 63) - 1
_FIRST_YEAR: Final = 1948
_LAST_YEAR: Final = 9000


@dataclass(frozen=True, slots=True)
class Chain:
    """The patient's rows, and the head of their chain after the proven ones."""

    rows: tuple[Numbered, ...]
    head: bytes


def opened(rows: Sequence[ProofRow], tag: bytes, count: int, size: int, problems: Problems) -> Chain:
    """Open rows and link the first `count` of them. `size` is the signed checkpoint's."""
    head, last, numbered = NO_HEAD, 0, []
    for number, one in enumerate(rows, 1):
        if not last < one.seq <= _MOST:
            problems.append(f"Row {number} has the number {one.seq} in the log, and comes after {last}.")
        if (one.seq <= size) != (number <= count):
            problems.append(f"Row {number} is on the wrong side of the signed checkpoint.")
        commitment, row = _content(one, f"Row {number}", problems)
        if row is not None and row.patient != tag.hex():
            problems.append(f"Row {number} isn't about this patient.")
        numbered.append(Numbered(number, one.seq, row))
        if number <= count and 0 < one.seq <= _MOST:
            head = chain(head, Leaf(one.seq, tag, number, commitment).hash())
        last = one.seq
    return Chain(tuple(numbered), head)


def marker_leaf(marker: Marker, problems: Problems) -> tuple[bytes, Row | None]:
    """The hash of the leaf of a row about no patient, and the row."""
    shown = ProofRow(seq=marker.seq, row=marker.row, salt=marker.salt)
    commitment, row = _content(shown, "The row that says what was erased", problems)
    if not 0 < marker.seq <= _MOST:
        return b"", None
    return Leaf(marker.seq, None, 0, commitment).hash(), row


def _content(one: ProofRow, name: str, problems: Problems) -> tuple[bytes, Row | None]:
    """The commitment, and the row that it commits to; no row where that was erased, or can't be read."""
    if one.commitment and not (one.row or one.salt):
        return decoded(one.commitment, f"The commitment of {name.lower()}", problems), None
    if one.commitment:
        problems.append(f"{name} is said to be erased, and shows its content.")
    content = decoded(one.row, f"The content of {name.lower()}", problems, None)
    salt = decoded(one.salt, f"The salt of {name.lower()}", problems, SALT_BYTES)
    row = _row(content)
    if row is None:
        problems.append(f"{name} can't be read.")
    return commit(salt, content), row


def _row(content: bytes) -> Row | None:
    """None for what isn't a row, or says a time that no row can have."""
    try:
        row = _ROW.decode(content)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return row if is_moment(row.at) else None


def is_moment(moment: datetime) -> bool:
    """Whether a calendar of any place can show it, with its time zone."""
    return moment.tzinfo is not None and _FIRST_YEAR <= moment.year <= _LAST_YEAR


def commitment_of(one: ProofRow) -> bytes:
    """What the log commits to of this row; of a row that can't be read, nothing that any log has."""
    return _content(one, "", [])[0]


def decoded(text: str, name: str, problems: Problems, length: int | None = HASH_BYTES) -> bytes:
    """Base64 in its one spelling, of so many bytes."""
    try:
        data = decode_base64(text)
        if length in (None, len(data)):
            return data
    except ValueError:
        pass
    problems.append(f"{name} isn't base64 of the right length.")
    return bytes(length or 0)


def path_of(texts: Sequence[str], problems: Problems) -> tuple[bytes, ...]:
    """The hashes of an audit path."""
    return tuple(decoded(text, "A hash of the path", problems) for text in texts)
