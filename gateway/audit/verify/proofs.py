"""Proofs as JSON: that a row is in the log that was signed, and that one checkpoint's log goes on from another's.

Either is checked with nothing but the pinned public key: no store, no network. Hashes are base64, one JSON object each:

    {"proof": "inclusion", "seq": …, "patient": hex or null, "patientSeq": …, "commitment": hex,
     "salt": hex (missing for an erased row), "row": {…} (or null), "path": [...], "checkpoint": "the signed note"}
    {"proof": "consistency", "from": "note", "to": "note", "path": [...]}
"""

from __future__ import annotations

import hmac
from typing import Final, Protocol

import msgspec

from gateway.audit.log.base64_text import decode_base64, encode_base64
from gateway.audit.log.checkpoint import Checkpoint, PublicKey, open_note
from gateway.audit.log.leaf import HASH_BYTES, Leaf, commit
from gateway.audit.log.tree import (
    ProofFailed,
    consistency_proof,
    inclusion_proof,
    verify_consistency,
    verify_inclusion,
)
from gateway.store.interface import CheckpointStore, LogStore
from gateway.store.kept import Entry

_MOST_STEPS: Final = 128
_NO_ROW: Final = msgspec.Raw(b"null")


class CannotProve(ValueError):
    """There is no such proof. The text says why, and what to do."""


class Inclusion(msgspec.Struct, tag_field="proof", tag="inclusion", rename="camel", omit_defaults=True):
    """That a row is in the log."""

    seq: int
    patient: str | None
    patient_seq: int
    commitment: str
    path: list[str]
    checkpoint: str
    salt: str | None = None
    row: msgspec.Raw = _NO_ROW


class Consistency(msgspec.Struct, tag_field="proof", tag="consistency", rename={"old": "from", "new": "to"}):
    """That the log of one checkpoint begins with that of another."""

    old: str
    new: str
    path: list[str]


Proof = Inclusion | Consistency
_PROOF: Final[msgspec.json.Decoder[Proof]] = msgspec.json.Decoder(Inclusion | Consistency)


class Proving(LogStore, CheckpointStore, Protocol):
    """What of a store a proof is made from."""


async def prove_row(store: Proving, seq: int) -> Inclusion:
    """Row `seq` against the newest checkpoint. Raises CannotProve."""
    kept = await store.newest_checkpoint()
    if kept is None or not 0 < seq <= kept.size:
        signed = kept.size if kept is not None else 0
        raise CannotProve(f"Row {seq} isn't signed: the newest checkpoint is of {signed} rows. Ask again in a moment.")
    entry = await _entry(store, seq)
    leaf = entry.leaf
    return Inclusion(
        seq=seq,
        patient=leaf.patient.hex() if leaf.patient is not None else None,
        patient_seq=leaf.patient_seq,
        commitment=leaf.commitment.hex(),
        path=[encode_base64(step) for step in await inclusion_proof(seq - 1, kept.size, store.range_hash)],
        checkpoint=kept.note,
        salt=entry.salt.hex() if entry.salt is not None else None,
        row=msgspec.Raw(entry.row) if entry.row is not None else _NO_ROW,
    )


async def _entry(store: Proving, seq: int) -> Entry:
    async for batch in store.entries(after=seq - 1, until=seq):
        for entry in batch:
            return entry
    raise CannotProve(f"The store has no row {seq}, though it was signed: verify it.")


async def prove_consistency(store: Proving, old: str, new: str | None, public: PublicKey) -> Consistency:
    """That the log of `new` (the store's newest, where it's None) goes on from that of `old`; both are signed notes.

    Raises CannotProve, and NotSigned for notes of another key.
    """
    kept = await store.newest_checkpoint()
    if new is None and kept is None:
        raise CannotProve("The store has no signed checkpoint yet. Ask again in a moment.")
    note = new if new is not None or kept is None else kept.note
    first, last = open_note(old, public), open_note(note or "", public)
    if first.size > last.size:
        raise CannotProve(f"The older checkpoint is of {first.size} rows, and the newer of {last.size}: swap them.")
    if last.size > await store.log_size():
        raise CannotProve(f"The store's log is shorter than the {last.size} rows that were signed: it was cut off.")
    path = await consistency_proof(first.size, last.size, store.range_hash)
    return Consistency(old=old, new=note or "", path=[encode_base64(step) for step in path])


def written(proof: Proof) -> bytes:
    """A line of JSON."""
    return msgspec.json.encode(proof) + b"\n"


def check(content: bytes, public: PublicKey) -> str:
    """What the proof shows, in a sentence. Raises ProofFailed where it shows nothing, NotSigned where the pinned key
    signed none of it."""
    try:
        proof = _PROOF.decode(content)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ProofFailed(f"That isn't a proof of a row or of consistency ({type(error).__name__})") from error
    return _check_row(proof, public) if isinstance(proof, Inclusion) else _check_consistency(proof, public)


def _check_row(proof: Inclusion, public: PublicKey) -> str:
    checkpoint = open_note(proof.checkpoint, public)
    commitment, row = _hex(proof.commitment), None if proof.row == _NO_ROW else bytes(proof.row)
    if row is not None and not hmac.compare_digest(commit(_hex(proof.salt), row), commitment):
        raise ProofFailed("The row isn't what was committed to")
    if not 0 < proof.seq <= checkpoint.size or not 0 <= proof.patient_seq < 1 << 63:
        raise ProofFailed("The proof is about no row of the log that was signed")
    tag = _hex(proof.patient) if proof.patient is not None else None
    leaf = Leaf(proof.seq, tag, proof.patient_seq, commitment).hash()
    verify_inclusion(leaf, proof.seq - 1, checkpoint.size, _path(proof.path), checkpoint.root)
    said = "just as shown" if row is not None else "and its content was erased since (or isn't shown)"
    return f"Row {proof.seq:,} is in the log of {_named(checkpoint)}, {said}."


def _check_consistency(proof: Consistency, public: PublicKey) -> str:
    old, new = open_note(proof.old, public), open_note(proof.new, public)
    verify_consistency(old.size, new.size, old.root, new.root, _path(proof.path))
    return f"The log of {_named(new)} begins with that of {_named(old)}: nothing in it was changed or removed."


def _named(checkpoint: Checkpoint) -> str:
    at = checkpoint.at.isoformat(timespec="seconds")
    return f"{checkpoint.size:,} rows that {checkpoint.origin} signed at {at}"


def _path(steps: list[str]) -> list[bytes]:
    try:
        return [decode_base64(step) for step in steps[:_MOST_STEPS]]
    except ValueError as error:
        raise ProofFailed("The proof's path isn't base64") from error


def _hex(text: str | None) -> bytes:
    try:
        decoded = bytes.fromhex(text or "")
    except ValueError:
        decoded = b""
    if len(decoded) != HASH_BYTES:
        raise ProofFailed(f"The proof holds something other than {HASH_BYTES} bytes in hexadecimal")
    return decoded
