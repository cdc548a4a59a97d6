"""Signed checkpoints: what the log holds at a moment, said so that it can't be unsaid.

The text is a checkpoint as https://c2sp.org/tlog-checkpoint says, in a signed note, so that a transparency log's
witnesses can read it. Its lines are the log's name, its size, its root, and lines of our own: `map` with the root of
the patients' map over the same rows, `at` with the time, and `before` with the size of the checkpoint that is kept
before this one, where there is one. Each has one spelling, so one checkpoint is one text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from gateway.audit.log.base64_text import decode_base64, encode_base64
from gateway.audit.log.leaf import HASH_BYTES
from gateway.audit.log.note import NotSigned, PublicKey, SigningKey, is_origin

__all__ = ["Checkpoint", "NotACheckpoint", "NotSigned", "PublicKey", "SigningKey", "open_note"]

MOST_SIZE: Final = (1 << 63) - 1
_HASH: Final = r"[A-Za-z0-9+/]{43}="
_TIME: Final = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z"
_BODY: Final = re.compile(
    rf"(?P<origin>[^\n]+)\n(?P<size>0|[1-9][0-9]{{0,18}})\n(?P<root>{_HASH})\n"
    rf"map (?P<map>{_HASH})\nat (?P<at>{_TIME})\n"
    r"(?:before (?P<before>[1-9][0-9]{0,18})\n)?"
)


class NotACheckpoint(NotSigned):
    """The text isn't a checkpoint, whoever signed it."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The first `size` rows of a log have this Merkle root and this patients' map (`patient_map`).

    `at` is when it was made, by the clock of whoever made it; it has an offset. `before` is the size of the checkpoint
    that is kept before this one (0: none), so that none can be taken out of the middle unseen. Raises ValueError for
    values that no checkpoint has.
    """

    origin: str
    size: int
    root: bytes
    map_root: bytes
    at: datetime
    before: int = 0

    def __post_init__(self) -> None:
        if not is_origin(self.origin):
            raise ValueError("A log's name has no spaces and no +, and 200 characters at most")
        if not 0 <= self.size <= MOST_SIZE or {len(self.root), len(self.map_root)} != {HASH_BYTES}:
            raise ValueError("A checkpoint has a size and two roots of 32 bytes")
        if self.before and not 0 < self.before < self.size:
            raise ValueError("A checkpoint comes after smaller ones")
        if self.at.utcoffset() is None:
            raise ValueError("A checkpoint's time has an offset")

    def body(self) -> str:
        """The text that is signed."""
        at = self.at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")
        root, map_root = encode_base64(self.root), encode_base64(self.map_root)
        before = f"before {self.before}\n" if self.before else ""
        return f"{self.origin}\n{self.size}\n{root}\nmap {map_root}\nat {at}Z\n{before}"

    @classmethod
    def parse(cls, body: str) -> Checkpoint:
        """What `body` made. Raises `NotACheckpoint` for any other text."""
        parts = _BODY.fullmatch(body)
        if parts is None:
            raise NotACheckpoint("The text isn't a checkpoint: name, size, root, map and time, a line each")
        try:
            root, map_root = decode_base64(parts["root"]), decode_base64(parts["map"])
            at, before = datetime.fromisoformat(parts["at"]), int(parts["before"] or 0)
            return cls(parts["origin"], int(parts["size"]), root, map_root, at, before)
        except ValueError as error:
            raise NotACheckpoint(f"The text isn't a checkpoint. {error}") from error


def open_note(text: str, public: PublicKey) -> Checkpoint:
    """The checkpoint in a note that the pinned key signed for the log of its own name. Raises `NotSigned`."""
    checkpoint = Checkpoint.parse(public.open(text))
    if checkpoint.origin != public.origin:
        raise NotSigned(f"The checkpoint is of {checkpoint.origin}, and the pinned key of {public.origin}")
    return checkpoint
