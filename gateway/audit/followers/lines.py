"""The lines of a sink file: what is written, and what a reader makes of it.

    {"seq":1,"patient":"9f…","patient_seq":1,"commitment":"5c…","salt":"a0…","row":"{\"at\":…}"}

`row` is the very text that was committed to; `commitment` is HMAC-SHA256 of it under `salt`. Row and salt are null
where the row was erased before it was copied.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from gateway.audit.followers.model import CopyFailed
from gateway.audit.log.leaf import Leaf
from gateway.store.interface import Entry


class SinkBroken(CopyFailed):
    """The file isn't a sink, or was altered: a line that can't be read, or that isn't the next one."""


class SinkLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line. Hashes and salt are hexadecimal."""

    seq: int
    patient: str | None
    patient_seq: int
    commitment: str
    salt: str | None
    row: str | None

    @classmethod
    def of(cls, entry: Entry) -> SinkLine:
        """The line of an entry. Raises UnicodeDecodeError for a row that is no text."""
        leaf = entry.leaf
        return cls(
            seq=leaf.seq,
            patient=leaf.patient.hex() if leaf.patient is not None else None,
            patient_seq=leaf.patient_seq,
            commitment=leaf.commitment.hex(),
            salt=entry.salt.hex() if entry.salt is not None else None,
            row=entry.row.decode() if entry.row is not None else None,
        )

    def entry(self) -> Entry:
        """As the log has it, without the patient's chain. Raises ValueError for what isn't hexadecimal."""
        patient = bytes.fromhex(self.patient) if self.patient is not None else None
        return Entry(
            leaf=Leaf(self.seq, patient, self.patient_seq, bytes.fromhex(self.commitment)),
            row=self.row.encode() if self.row is not None else None,
            salt=bytes.fromhex(self.salt) if self.salt is not None else None,
            head=None,
        )


_DECODER = msgspec.json.Decoder(SinkLine)


def encoded(entry: Entry) -> bytes:
    """The line, with its line break."""
    return msgspec.json.encode(SinkLine.of(entry)) + b"\n"


def decoded(line: bytes) -> SinkLine:
    """Raises SinkBroken."""
    try:
        return _DECODER.decode(line)
    except (msgspec.DecodeError, RecursionError) as error:
        raise SinkBroken("a line of the sink can't be read") from error


def read_sink(path: Path) -> Iterator[Entry]:
    """The rows of a sink file, from the log's first on, in order. A torn last line, which a crash leaves, is left out.

    Raises SinkBroken where a line can't be read or isn't the next one, and OSError.
    """
    expected = 1
    with path.open("rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                return
            found = decoded(line)
            if found.seq != expected:
                raise SinkBroken(f"line {expected} of the sink holds row {found.seq}")
            try:
                yield found.entry()
            except ValueError as error:
                raise SinkBroken(f"line {expected} of the sink can't be read") from error
            expected += 1
