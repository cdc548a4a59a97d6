"""That each erased row is one that a row of the log says was erased, and that what is left of it is what was left."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gateway.audit.erased import Left, erased, numbers
from gateway.audit.verify.findings import Findings
from gateway.audit.verify.part import Content, Emptied


def check_erasures(emptied: Sequence[Emptied], erasures: Iterable[tuple[int, Content]], findings: Findings) -> int:
    """Hold the erased rows against the rows that say so; returns how many there are."""
    unaccounted = {row.seq: row for row in emptied}
    for seq, content in erasures:
        _account_for(seq, content, unaccounted, findings)
    for seq in unaccounted:
        findings.add(seq, "is empty, and no row says that it was erased")
    return len(emptied)


def _account_for(seq: int, content: Content, unaccounted: dict[int, Emptied], findings: Findings) -> None:
    """Take out of `unaccounted` what this row says it erased."""
    if content.erased is None:
        findings.add(seq, "says that rows were erased, and not which")
        return
    try:
        runs = [run for run in numbers(content.erased.rows) if 0 < run.start < run.stop <= seq]
    except ValueError:
        findings.add(seq, "says that rows were erased, and not which")
        return
    most = sum(run.stop - run.start for run in runs)
    named = {each for run in runs for each in run if each in unaccounted} if most <= len(unaccounted) else set()
    if not len(named) == most == content.total:
        findings.add(seq, "names as erased what isn't, or what another row names already")
    left = [unaccounted.pop(each) for each in named]
    if erased(Left(row.seq, row.kind, row.at) for row in left).digest != content.erased.digest:
        findings.add(seq, "erased rows of another kind or time than those that are empty now")
    if any(each not in named for each, _, _ in content.erased.bound):
        findings.add(seq, "vouches for records in the name of a row that it didn't erase")
