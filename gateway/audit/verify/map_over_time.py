"""The root of the patients' map at each of many checkpoints, from the rows alone.

Made anew at every checkpoint, a map of a hundred thousand patients would take hours; worked in by `patient_map.updated`
it would share that code's mistakes. Here the trie of all tags that ever appear is laid out once. A patient who isn't
there yet is an empty place in it, a place with one patient below has that one's leaf for its hash, and every further
row costs the hashes from its leaf up to the root.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.audit.log.map_proof import EMPTY, TAG_BITS, TAG_BYTES, inner_hash, leaf_hash, value_hash

_NONE: Final = -1


@dataclass(frozen=True, slots=True)
class History:
    """The rows about patients, in order of their numbers: for each the patient's place in `tags`, the patient's own
    number and the head of the chain, end to end in `heads`. `tags` are all that appear, sorted."""

    tags: tuple[bytes, ...]
    seqs: array[int]
    places: array[int]
    counts: array[int]
    heads: bytes

    def head(self, at: int) -> bytes:
        """The head after row number `at` of the history (from 0)."""
        return self.heads[at * TAG_BYTES : (at + 1) * TAG_BYTES]


class Trie:
    """The trie of all tags, with nobody in it at first. A node's number is greater than its parent's; the last one
    stands for every child that there isn't, and is found under -1 too."""

    def __init__(self, tags: Sequence[bytes]) -> None:
        self._tags = tags
        self._parents: list[int] = []
        self._lefts: list[int] = []
        self._rights: list[int] = []
        self._depths: list[int] = []
        self._firsts: list[int] = []
        """The place of one tag in the part below."""
        self._leaves = [_NONE] * len(tags)
        self._lay_out()
        self._held = [0] * (len(self._parents) + 1)
        """How many patients are in the part below: 0, 1, or 2 for more."""
        self._hashes = [EMPTY] * (len(self._parents) + 1)

    @property
    def root(self) -> bytes:
        """The map's root now."""
        return self._hashes[0]

    def _lay_out(self) -> None:
        """Nodes from the root down. A part with one tag is a leaf; of a part's children one may be missing."""
        numbers = [int.from_bytes(tag, "big") for tag in self._tags]
        waiting = [(0, len(numbers), 0, TAG_BITS, _NONE, False)] if numbers else []
        while waiting:
            first, last, start, bits, parent, is_right = waiting.pop()
            node = len(self._parents)
            self._parents.append(parent)
            self._lefts.append(_NONE)
            self._rights.append(_NONE)
            self._depths.append(TAG_BITS - bits)
            self._firsts.append(first)
            if parent != _NONE:
                (self._rights if is_right else self._lefts)[parent] = node
            if last - first == 1:
                self._leaves[first] = node
                continue
            half = start + (1 << bits - 1)
            middle = bisect_left(numbers, half, first, last)
            if middle < last:
                waiting.append((middle, last, half, bits - 1, node, True))
            if middle > first:
                waiting.append((first, middle, start, bits - 1, node, False))

    def put(self, held: dict[int, tuple[int, bytes]]) -> None:
        """Put in what the log now holds of these patients: count and head by place."""
        above = set[int]()
        for place, (count, head) in held.items():
            node = self._leaves[place]
            self._hashes[node] = leaf_hash(self._tags[place], value_hash(count, head))
            self._held[node] = 1
            above.add(self._parents[node])
        self._fold(above)

    def _fold(self, nodes: set[int]) -> None:
        """Work the changes up to the root, each node once: all nodes of one depth, then those above them."""
        nodes.discard(_NONE)
        depths: dict[int, set[int]] = {}
        for node in nodes:
            depths.setdefault(self._depths[node], set()).add(node)
        for depth in range(max(depths, default=0), 0, -1):
            self._refresh(depths[depth], depths.setdefault(depth - 1, set()))
        self._refresh(depths.get(0, ()), set())

    def _refresh(self, nodes: Iterable[int], above: set[int]) -> None:
        """Make the nodes what their children make them, and note their parents. This is where the time goes."""
        parents, lefts, rights, held, hashes = self._parents, self._lefts, self._rights, self._held, self._hashes
        for node in nodes:
            left, right = lefts[node], rights[node]
            if held[left] + held[right] < 2:
                held[node] = held[left] or held[right]
                hashes[node] = hashes[left] if held[left] else hashes[right]
            else:
                held[node] = 2
                hashes[node] = inner_hash(hashes[left], hashes[right])
            above.add(parents[node])

    def shown(self) -> Iterator[tuple[int, int, tuple[bytes, bytes] | None]]:
        """The nodes of the map as it is now: for each the place of a tag below it, its depth, and its children's
        hashes; None for a leaf, which is of that very tag."""
        waiting = [0]
        while waiting:
            node = waiting.pop()
            if self._held[node] == 2:
                left, right = self._lefts[node], self._rights[node]
                yield self._firsts[node], self._depths[node], (self._hashes[left], self._hashes[right])
                waiting += [left, right]
            elif self._held[node]:
                yield self._firsts[self._lone(node)], self._depths[node], None

    def _lone(self, node: int) -> int:
        """The leaf of the one patient below."""
        while self._lefts[node] != _NONE or self._rights[node] != _NONE:
            left = self._lefts[node]
            node = left if self._held[left] else self._rights[node]
        return node


def trie_at(history: History, size: int) -> tuple[Trie, dict[int, tuple[int, bytes]]]:
    """The map at a log size, and what the log holds of each patient then, by place."""
    trie, held = Trie(history.tags), dict[int, tuple[int, bytes]]()
    for at, seq in enumerate(history.seqs):
        if seq > size:
            break
        held[history.places[at]] = (history.counts[at], history.head(at))
    trie.put(held)
    return trie, held


def roots_at(history: History, sizes: Sequence[int]) -> Iterator[tuple[int, bytes]]:
    """The map's root at each log size, in order. The work begins at the first one: what is before costs little."""
    trie, at, held = Trie(history.tags), 0, dict[int, tuple[int, bytes]]()
    for size in sizes:
        while at < len(history.seqs) and history.seqs[at] <= size:
            held[history.places[at]] = (history.counts[at], history.head(at))
            at += 1
        trie.put(held)
        held.clear()
        yield size, trie.root
