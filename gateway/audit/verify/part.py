"""What a range of rows comes to: all that is needed of it once its rows are checked."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec

from gateway.audit.log.tree import Frontier, node_hash
from gateway.audit.row import Erased
from gateway.audit.verify.findings import Findings
from gateway.caller.model import binding_key
from gateway.store.tables.journal import caller_tag

RANGE: Final = 1 << 14
"""Rows in a part. A power of two, so that a whole part is one subtree of the log."""

SMALL_SUBTREE: Final = 1 << 8


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


class Link(NamedTuple):
    """One row of a patient: the row's number, their own for it, the leaf and the head of their chain as it is kept."""

    seq: int
    patient: bytes
    own: int
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
        self.counts.append(link.own)
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
        asked = {*(size - self.first + 1 for size in sizes), len(self.leaves)}
        whole, edge, done = Frontier(), Frontier(), 0
        for size in sorted({*asked, *range(SMALL_SUBTREE, len(self.leaves) + 1, SMALL_SUBTREE)}):
            edge, done = edge.extend(self.leaves[done:size]), size
            root = edge.root()
            if size in asked:
                self.roots[self.first + size - 1] = folded(whole, root)
            if size % SMALL_SUBTREE == 0:
                self.subtrees.append(root)
                whole, edge = whole.append(root), Frontier()
        self.edge = (*whole.hashes, *edge.hashes)
        self.leaves.clear()


def folded(left: Frontier, right: bytes) -> bytes:
    """The root of a tree that ends with `right`, behind complete subtrees that aren't smaller (RFC 6962, 2.1)."""
    for each in reversed(left.hashes):
        right = node_hash(each, right)
    return right
