"""The part of a verification that goes row by row: commitment, leaf, the patient's chain, and the columns beside it.

It works on a range of rows alone, so that ranges can be checked in processes of their own: what binds one range to
those before it (the tree's peaks, each patient's chain, the intent that a row names) goes into the `Part` that it
returns, and is checked where the parts are joined.
"""

from __future__ import annotations

import hmac
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec

from gateway.audit.log.leaf import HASH_BYTES, NO_HEAD, SALT_BYTES, Leaf, chain, commit
from gateway.audit.log.tree import Frontier, root_of
from gateway.audit.row import Erased, Kind
from gateway.audit.verify.evidence import Evidence, RawRow, Unreadable
from gateway.audit.verify.findings import Findings, rows_named
from gateway.caller.model import binding_key
from gateway.store.moments import to_micros
from gateway.store.tables.journal import caller_tag

RANGE: Final = 1 << 14
"""Rows in a part. A power of two, so that a whole part is one subtree of the log."""

SMALL_SUBTREE: Final = 1 << 8
_NOTHING: Final = bytes(HASH_BYTES)
"""Stands for the leaf of a row that isn't there: no leaf hashes to it, so no root that it is under agrees."""

_INTENTS: Final = frozenset({Kind.INTENT.value, Kind.PERSON_SOUGHT.value})


class Asker(msgspec.Struct, frozen=True):
    """What a row is found by of who asked."""

    issuer: str
    user_id: str
    role_profile_id: str
    organisation: str

    @property
    def tag(self) -> str:
        """The binding key as the journal's column has it."""
        return _caller_tag(self.issuer, self.user_id, self.role_profile_id, self.organisation)


@lru_cache(maxsize=4096)
def _caller_tag(issuer: str, user_id: str, role_profile_id: str, organisation: str) -> str:
    return caller_tag(binding_key(issuer, user_id, role_profile_id, organisation))


class Content(msgspec.Struct, frozen=True):
    """What the check needs of a row's content. The rest is skipped: the commitment covers it."""

    kind: str
    request_id: str
    at: datetime
    who: Asker | None = None
    patient: str | None = None
    intent: int | None = None
    bound: dict[str, str] = {}
    total: int | None = None
    erased: Erased | None = None


_CONTENT: Final = msgspec.json.Decoder(Content)


@dataclass(frozen=True, slots=True)
class Link:
    """One row of a patient: the row's number, theirs, the leaf and the head of their chain as it is kept."""

    seq: int
    patient: bytes
    count: int
    leaf: bytes
    head: bytes


class Bound(NamedTuple):
    """That a row vouches for a record of another table; `seq` is that row's, even where it was erased since."""

    seq: int
    record: str
    digest: str


class Emptied(NamedTuple):
    """A row whose content was erased, with what is left of it."""

    seq: int
    kind: str
    at: int


@dataclass(slots=True)
class Links:
    """Rows about patients, in order: the row's number, the patient's tag, their own number, and the head of their chain
    as it is kept; tags and heads end to end. `firsts` are each patient's first."""

    seqs: array[int] = field(default_factory=lambda: array("Q"))
    tags: bytearray = field(default_factory=bytearray)
    counts: array[int] = field(default_factory=lambda: array("Q"))
    heads: bytearray = field(default_factory=bytearray)
    firsts: dict[bytes, Link] = field(default_factory=dict)

    def add(self, link: Link) -> None:
        """One more row."""
        self.seqs.append(link.seq)
        self.tags += link.patient
        self.counts.append(link.count)
        self.heads += link.head
        self.firsts.setdefault(link.patient, link)


@dataclass(slots=True)
class Part:
    """What a range of rows (`first` to `last`, numbers from 1, inclusive) comes to."""

    first: int
    last: int
    findings: Findings = field(default_factory=Findings)
    leaves: list[bytes] = field(default_factory=list)
    roots: dict[int, bytes] = field(default_factory=dict)
    """The root of the range's own rows up to each size that was asked for, the last row's included."""
    edge: tuple[bytes, ...] = ()
    """The roots of the complete subtrees that make it up, greatest first."""
    subtrees: list[bytes] = field(default_factory=list)
    """The roots of its complete subtrees of `SMALL_SUBTREE` rows."""
    links: Links = field(default_factory=Links)
    intents: array[int] = field(default_factory=lambda: array("Q"))
    """Numbers of the rows that announce a look."""
    looks: list[tuple[int, int]] = field(default_factory=list)
    """Rows that name their intent's row: both numbers."""
    bound: list[Bound] = field(default_factory=list)
    emptied: list[Emptied] = field(default_factory=list)
    erasures: list[tuple[int, Content]] = field(default_factory=list)

    def close(self, sizes: Iterable[int]) -> None:
        """Fold the leaves into the roots that were asked for, and let them go."""
        frontier, done = Frontier(), 0
        for size in sorted({*sizes, self.last}):
            frontier = frontier.extend(self.leaves[done : size - self.first + 1])
            done = size - self.first + 1
            self.roots[size] = frontier.root()
        self.edge = frontier.hashes
        whole = len(self.leaves) - len(self.leaves) % SMALL_SUBTREE
        self.subtrees = [root_of(self.leaves[at : at + SMALL_SUBTREE]) for at in range(0, whole, SMALL_SUBTREE)]
        self.leaves.clear()


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
    leaf = Leaf(seq, tag, patient_seq, commitment).hash()
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
    if link.count != count + 1:
        findings.add(link.seq, f"is its patient's row {link.count:,}, and the one before it is {count:,}")
    if link.head != chain(head, link.leaf):
        findings.add(link.seq, "doesn't continue its patient's chain")


def _check_content(raw: RawRow, part: Part) -> None:
    seq, row, salt, commitment = raw[0], *raw[9:12]
    if not isinstance(row, bytes) or not isinstance(salt, bytes) or len(salt) != SALT_BYTES:
        part.findings.add(seq, "its content or the salt beside it was removed or replaced")
        return
    if not hmac.compare_digest(commit(salt, row), commitment):
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
    beside = (
        ("kind", kind, content.kind),
        ("patient", patient, content.patient),
        ("request_id", request_id, content.request_id),
        ("at", at, to_micros(content.at)),
        ("organisation", organisation, who.organisation if who else None),
        ("user_id", user_id, who.user_id if who else None),
        ("caller", caller, who.tag if who else None),
    )
    return [name for name, is_, must in beside if is_ != must]


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
    part.emptied.append(Emptied(seq, str(kind), at if isinstance(at, int) else -1))


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
