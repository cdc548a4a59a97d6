"""What the log hashes of a row: its number, the patient's tag and own count, and a salted commitment to its content.

A leaf names nobody: a witness learns how many rows there are and which belong together. The commitment is
HMAC-SHA256 under a salt of 32 random bytes that is kept beside the row: so a row can be erased with its salt, and what
is left neither tells nor lets anybody guess what stood there, while every proof still holds.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import struct
from dataclasses import dataclass
from typing import Final

SALT_BYTES: Final = 32
HASH_BYTES: Final = 32
NO_PATIENT: Final = bytes(HASH_BYTES)
NO_HEAD: Final = bytes(HASH_BYTES)
"""The head of a chain without rows."""

_VERSION: Final = 1
_FIELDS: Final = struct.Struct(">BQ32sQ32s")
_LEAF_PREFIX: Final = b"\x00"
_CHAIN_PREFIX: Final = b"\x02"


@dataclass(frozen=True, slots=True)
class Leaf:
    """One row's leaf. `seq` counts rows from 1; `patient` is the HMAC tag (32 bytes), and `patient_seq` counts that
    patient's rows from 1; both are None and 0 for a row about no patient."""

    seq: int
    patient: bytes | None
    patient_seq: int
    commitment: bytes

    def encode(self) -> bytes:
        """81 bytes: version, seq, tag, the patient's own seq, commitment; numbers big-endian."""
        return _FIELDS.pack(_VERSION, self.seq, self.patient or NO_PATIENT, self.patient_seq, self.commitment)

    def hash(self) -> bytes:
        """RFC 6962, section 2.1: SHA-256 over 0x00 and the leaf."""
        return leaf_hash(self.seq, self.patient, self.patient_seq, self.commitment)


def leaf_hash(seq: int, patient: bytes | None, patient_seq: int, commitment: bytes) -> bytes:
    """`Leaf.hash` of a leaf that nobody needs to hold."""
    encoded = _FIELDS.pack(_VERSION, seq, patient or NO_PATIENT, patient_seq, commitment)
    return hashlib.sha256(_LEAF_PREFIX + encoded).digest()


def new_salt() -> bytes:
    """A salt for one row."""
    return secrets.token_bytes(SALT_BYTES)


def commit(salt: bytes, row: bytes) -> bytes:
    """The commitment to a row's bytes."""
    return hmac.digest(salt, row, "sha256")


def chain(head: bytes, leaf_hash: bytes) -> bytes:
    """The head of a patient's chain after one more row. 0x02 keeps it apart from the log's leaves and nodes."""
    return hashlib.sha256(_CHAIN_PREFIX + head + leaf_hash).digest()
