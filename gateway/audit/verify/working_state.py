"""What a store keeps to work with, recomputed: the log's right edge, its subtree roots, the patients' map; and the
policies of the day, each under its own hash.

None of it is evidence, since all of it follows from the rows. But a gateway believes it, and would build on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import zip_longest
from typing import Any

import msgspec

from gateway.audit.log.map_nodes import encode_inner, encode_leaf, path_of
from gateway.audit.verify.evidence import Evidence, Unreadable
from gateway.audit.verify.findings import Findings
from gateway.audit.verify.joined import Joined
from gateway.audit.verify.map_over_time import History, trie_at
from gateway.policy.files import ArchivedFile, digest


def check_working_state(evidence: Evidence, joined: Joined, history: History, newest: int, findings: Findings) -> None:
    """`newest` is the size of the newest checkpoint: the map is kept as of that one."""
    try:
        _check_edge(evidence.frontier(), joined, findings)
        _check_subtrees(evidence.subtrees(), joined, findings)
        _check_map(evidence.map_nodes(), history, newest, findings)
        _check_policies(evidence.policies(), findings)
    except Unreadable as error:
        findings.add(None, str(error))


def _check_edge(kept: tuple[Any, Any] | None, joined: Joined, findings: Findings) -> None:
    if kept is None:
        findings.add(None, "the log's right edge (log_state) is missing")
    elif kept != (joined.size, joined.frontier.to_bytes()):
        findings.add(None, "the log's right edge (log_state) isn't that of the rows")


def _check_subtrees(kept: Iterable[tuple[Any, Any, Any]], joined: Joined, findings: Findings) -> None:
    for found, wanted in zip_longest(kept, joined.subtrees()):
        if found != wanted:
            level, number, _ = wanted or found
            findings.add(None, f"the kept root of subtree {level}/{number} isn't that of the rows")
            return


def _check_map(kept: Iterable[tuple[Any, Any]], history: History, newest: int, findings: Findings) -> None:
    wanted, wrong = dict(_nodes(history, newest)), 0
    for path, node in kept:
        wrong += wanted.pop(path, None) != node if isinstance(path, bytes) else 1
    if wrong or wanted:
        findings.add(
            None,
            f"the kept patients' map isn't that of the rows: {wrong:,} nodes are wrong, {len(wanted):,} are missing",
        )


def _check_policies(kept: Iterable[tuple[Any, Any]], findings: Findings) -> None:
    """Rows name the policies under which was decided by the hash of their archive."""
    for name, content in kept:
        try:
            files = msgspec.json.decode(content, type=list[ArchivedFile])
            holds = digest(content) == name and msgspec.json.encode(files) == content
        except (msgspec.MsgspecError, ValueError, TypeError, RecursionError):
            holds = False
        if not holds:
            findings.add(None, f"the kept policy {str(name)[:12]!a} isn't the one that its hash names")


def _nodes(history: History, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Every node that the map of the first `size` rows has, by path."""
    trie, held = trie_at(history, size)
    for place, depth, children in trie.shown():
        tag = history.tags[place]
        if children is None:
            yield path_of(tag, depth), encode_leaf(tag, *held[place])
        else:
            yield path_of(tag, depth), encode_inner(*children)
