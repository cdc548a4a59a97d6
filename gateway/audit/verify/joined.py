"""The parts of a journal put together again: the log's root at each size, its subtrees, and what binds row to row."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from gateway.audit.log.leaf import NO_HEAD
from gateway.audit.log.tree import EMPTY_ROOT, Frontier, root_of
from gateway.audit.verify.findings import Findings
from gateway.audit.verify.map_over_time import History
from gateway.audit.verify.part import RANGE, Bound, Content, Emptied, Part, folded
from gateway.audit.verify.rows import check_link

_WIDTH: Final = 256
"""Leaves, or roots of the level below, under one kept subtree root."""


@dataclass(slots=True)
class Joined:
    """Parts in order, each taken once (`take`)."""

    findings: Findings = field(default_factory=Findings)
    size: int = 0
    roots: dict[int, bytes] = field(default_factory=lambda: {0: EMPTY_ROOT})
    """The log's root at each size that was asked for, and at the end of each part."""
    bound: list[Bound] = field(default_factory=list)
    emptied: list[Emptied] = field(default_factory=list)
    erasures: list[tuple[int, Content]] = field(default_factory=list)
    frontier: Frontier = field(default_factory=Frontier)
    _whole: Frontier = field(default_factory=Frontier)
    """The log's right edge, counted in whole parts."""
    _subtrees: list[bytes] = field(default_factory=list)
    _intents: set[int] = field(default_factory=set)
    _heads: dict[bytes, tuple[int, bytes]] = field(default_factory=dict)
    _seqs: array[int] = field(default_factory=lambda: array("Q"))
    _tags: bytearray = field(default_factory=bytearray)
    _counts: array[int] = field(default_factory=lambda: array("Q"))
    _chain: bytearray = field(default_factory=bytearray)

    def take(self, part: Part) -> None:
        """The next part."""
        self.findings.take(part.findings)
        self._join_roots(part)
        self._join_chains(part)
        self._join_looks(part)
        self._subtrees += part.subtrees
        self.bound += part.bound
        self.emptied += part.emptied
        self.erasures += part.erasures
        self.size = part.last

    def _join_roots(self, part: Part) -> None:
        self.roots |= {size: folded(self._whole, root) for size, root in part.roots.items()}
        is_whole = part.last - part.first + 1 == RANGE
        if is_whole:
            self._whole = self._whole.append(part.roots[part.last])
        self.frontier = Frontier(part.last, self._whole.hashes + (() if is_whole else part.edge))

    def _join_chains(self, part: Part) -> None:
        for tag, link in part.links.firsts.items():
            check_link(self.findings, link, *self._heads.get(tag, (0, NO_HEAD)))
        for at, count in enumerate(part.links.counts):
            tag = bytes(part.links.tags[32 * at : 32 * at + 32])
            self._heads[tag] = (count, bytes(part.links.heads[32 * at : 32 * at + 32]))
        self._seqs += part.links.seqs
        self._tags += part.links.tags
        self._counts += part.links.counts
        self._chain += part.links.heads

    def _join_looks(self, part: Part) -> None:
        self._intents.update(part.intents)
        for seq, intent in part.looks:
            if not (intent < seq and intent in self._intents):
                self.findings.add(seq, f"names row {intent} as its intent, which is none before it")

    def history(self) -> History:
        """The rows about patients, for the patients' map."""
        tags = tuple(sorted(self._heads))
        place_of = {tag: place for place, tag in enumerate(tags)}
        view = bytes(self._tags)
        places = array("L", (place_of[view[at : at + 32]] for at in range(0, len(view), 32)))
        return History(tags, self._seqs, places, self._counts, bytes(self._chain))

    def subtrees(self) -> Iterator[tuple[int, int, bytes]]:
        """Level, number and root of each complete subtree of 256, 65,536, … leaves, in that order."""
        level, roots = 1, self._subtrees
        while roots:
            yield from ((level, number, root) for number, root in enumerate(roots))
            whole = len(roots) - len(roots) % _WIDTH
            roots = [root_of(roots[at : at + _WIDTH]) for at in range(0, whole, _WIDTH)]
            level += 1
