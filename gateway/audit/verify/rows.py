"""The part of a verification that goes row by row: commitment, leaf, the patient's chain, and the columns beside it.

It works on a range of rows alone, so that ranges can be checked in processes of their own: what binds one range to
those before it (the tree's peaks, each patient's chain, the intent that a row names) goes into the `Part` that it
returns, and is checked where the parts are joined.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final

import msgspec

from gateway.audit.log.leaf import HASH_BYTES, NO_HEAD, SALT_BYTES, chain, commit, leaf_hash
from gateway.audit.row import Kind
from gateway.audit.verify.evidence import Evidence, RawRow, Unreadable
from gateway.audit.verify.findings import Findings, rows_named
from gateway.audit.verify.part import Bound, Content, Emptied, Link, Part
from gateway.store.moments import to_micros

_MOST_MICROS: Final = 1 << 63
_NOTHING: Final = bytes(HASH_BYTES)
"""Stands for the leaf of a row that isn't there: no leaf hashes to it, so no root that it is under agrees."""

_INTENTS: Final = frozenset({Kind.INTENT.value, Kind.PERSON_SOUGHT.value})
_BESIDE: Final = ("kind", "patient", "request_id", "at", "organisation", "user_id", "caller")
_NOBODY: Final = (None, None, None)
_CONTENT: Final = msgspec.json.Decoder(Content)


def check_rows(evidence: Evidence, first: int, last: int, sizes: Sequence[int]) -> Part:
    """Check the rows `first` to `last`; `sizes` are those of the checkpoints within. Never raises for what it reads."""
    part, heads = Part(first, last), dict[bytes, tuple[int, bytes]]()
    expected = first
    for raw in _readable(evidence, first, last, part.findings):
        seq = raw[0]
        if seq > expected:
            part.findings.add(None, f"{rows_named(expected, seq - 1)} missing")
            part.leaves += [_NOTHING] * (seq - expected)
        part.leaves.append(_leaf_of(raw, part, heads, whole=evidence.has_content))
        expected = seq + 1
    if expected <= last:
        part.findings.add(None, f"{rows_named(expected, last)} missing")
        part.leaves += [_NOTHING] * (last - expected + 1)
    part.close(sizes)
    return part


def _readable(evidence: Evidence, first: int, last: int, findings: Findings) -> Iterator[RawRow]:
    """The rows that can be read; where the reading breaks off, it goes on row by row, and names those that can't."""
    reached = first - 1
    try:
        for raw in evidence.rows(reached, last):
            if not isinstance(raw[0], int) or not reached < raw[0] <= last:
                raise Unreadable("the rows aren't in the order of their numbers")
            yield raw
            reached = raw[0]
    except Unreadable as error:
        if not evidence.has_working_state:  # files are read from their beginning: row by row that would take for ever
            findings.add(None, str(error))
            return
        for seq in range(reached + 1, last + 1):
            try:
                found = next(iter(evidence.rows(seq - 1, seq)), None)
            except Unreadable as error:
                findings.add(seq, f"can't be read ({error})")
                continue
            if found is not None and found[0] == seq:
                yield found


def _leaf_of(raw: RawRow, part: Part, heads: dict[bytes, tuple[int, bytes]], *, whole: bool) -> bytes:
    """Check one row, and return its leaf's hash."""
    seq, _, patient, patient_seq, _, _, _, _, _, row, salt, commitment, head = raw
    tag = _tag(patient)
    if not _is_hash(commitment) or (patient is not None and tag is None) or not _is_count(patient_seq, tag):
        part.findings.add(seq, "its leaf's columns (patient, patient_seq, commitment) aren't what a leaf is made of")
        return _NOTHING
    leaf = leaf_hash(seq, tag, patient_seq, commitment)
    if tag is not None:
        _check_chain(part, heads, seq, tag, patient_seq, leaf, head)
    elif head is not None:
        part.findings.add(seq, "has the head of a chain, but no patient")
    if row is not None or salt is not None:
        _check_content(raw, part)
    elif whole:
        _check_emptied(raw, part)
    return leaf


def _check_chain(
    part: Part, heads: dict[bytes, tuple[int, bytes]], seq: int, tag: bytes, count: int, leaf: bytes, head: object
) -> None:
    if not isinstance(head, bytes) or len(head) != HASH_BYTES:
        part.findings.add(seq, "the head of its patient's chain isn't a hash")
        head = NO_HEAD
    link, known = Link(seq, tag, count, leaf, head), heads.get(tag)
    if known is not None:
        check_link(part.findings, link, *known)
    part.links.add(link)
    heads[tag] = (count, head)


def check_link(findings: Findings, link: Link, count: int, head: bytes) -> None:
    """Hold a row of a patient against the one before it."""
    if link.own != count + 1:
        findings.add(link.seq, f"is its patient's row {link.own:,}, and the one before it is {count:,}")
    if link.head != chain(head, link.leaf):
        findings.add(link.seq, "doesn't continue its patient's chain")


def _check_content(raw: RawRow, part: Part) -> None:
    seq, row, salt, commitment = raw[0], *raw[9:12]
    if not isinstance(row, bytes) or not isinstance(salt, bytes) or len(salt) != SALT_BYTES:
        part.findings.add(seq, "its content or the salt beside it was removed or replaced")
        return
    if commit(salt, row) != commitment:
        part.findings.add(seq, "its content isn't what was committed to")
        return
    try:
        content = _CONTENT.decode(row)
        wrong = _differing(raw, content)
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError) as error:
        part.findings.add(seq, f"its content isn't a row ({type(error).__name__})")
        return
    if wrong:
        part.findings.add(seq, f"{' and '.join(wrong)} beside the row isn't what the row says")
    _note(seq, content, part)


def _differing(raw: RawRow, content: Content) -> list[str]:
    """The columns that aren't what the row says. Raises ValueError for a moment without a time zone."""
    _, kind, patient, _, request_id, at, organisation, user_id, caller, *_ = raw
    who = content.who
    there = (kind, patient, request_id, at, organisation, user_id, caller)
    found_by = (who.organisation, who.user_id, who.tag) if who else _NOBODY
    said = (content.kind, content.patient, content.request_id, to_micros(content.at), *found_by)
    return [] if there == said else [name for name, is_, must in zip(_BESIDE, there, said, strict=True) if is_ != must]


def _note(seq: int, content: Content, part: Part) -> None:
    """Keep what can only be checked together with other rows or tables."""
    if content.kind in _INTENTS:
        part.intents.append(seq)
    if content.intent is not None:
        part.looks.append((seq, content.intent))
    if content.kind == Kind.ERASED:
        part.erasures.append((seq, content))
        carried = content.erased.bound if content.erased is not None else ()
        part.bound += [Bound(erased, record, digest) for erased, record, digest in carried]
    part.bound += [Bound(seq, record, digest) for record, digest in content.bound.items()]


def _check_emptied(raw: RawRow, part: Part) -> None:
    seq, kind, _, _, request_id, at, organisation, user_id, caller, *_ = raw
    if request_id or (organisation, user_id, caller) != (None, None, None):
        part.findings.add(seq, "is erased, and yet names who asked or the request")
    if kind in _INTENTS:
        part.intents.append(seq)
    part.emptied.append(Emptied(seq, str(kind), at if isinstance(at, int) and abs(at) < _MOST_MICROS else -1))


@lru_cache(maxsize=1 << 16)
def _tag(patient: object) -> bytes | None:
    """The 32 bytes of a tag in 64 small hexadecimal digits; None where it isn't one."""
    if not isinstance(patient, str) or len(patient) != 2 * HASH_BYTES:
        return None
    try:
        tag = bytes.fromhex(patient)
    except ValueError:
        return None
    return tag if tag.hex() == patient else None


def _is_hash(value: object) -> bool:
    return isinstance(value, bytes) and len(value) == HASH_BYTES


def _is_count(value: object, tag: bytes | None) -> bool:
    """A patient's own number: from 1 with a patient, 0 without one; eight bytes hold it."""
    return isinstance(value, int) and (0 < value < 1 << 64 if tag else value == 0)
