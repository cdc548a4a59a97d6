"""What is promised, and whether a run kept it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from tests.bench.figures import Figure, Figures
from tests.bench.journal import MOST_P99_MS


@dataclass(frozen=True)
class Promise:
    """That a figure of a scenario is `most` at most, or `least` at least."""

    scenario: str
    figure: str
    words: str
    most: float | None = None
    least: float | None = None

    def is_kept(self, figure: Figure) -> bool:
        """By the median of the rounds."""
        low = self.least is None or figure.value >= self.least
        return low and (self.most is None or figure.value <= self.most)

    @property
    def bound(self) -> str:
        """In words."""
        return f"at most {self.most:g}" if self.most is not None else f"at least {self.least:g}"


@dataclass(frozen=True)
class Verdict:
    """A promise beside what was measured: None where nothing could be."""

    promise: Promise
    figure: Figure | None

    @property
    def is_kept(self) -> bool:
        """What wasn't measured isn't kept."""
        return self.figure is not None and self.promise.is_kept(self.figure)

    def __str__(self) -> str:
        seen = str(self.figure) if self.figure else "not measured"
        state = "kept" if self.is_kept else "NOT KEPT"
        return f"{state:<9} {self.promise.words}: {seen} ({self.promise.bound})"


_GROWTH: Final = 1.25
"""What mustn't grow may seem to by so much: a busy machine's own noise."""

PROMISES: Final = (
    Promise("whole-record", "sqlite.cpu_ms", "processor time of a record of 1.1 MB", most=25),
    Promise("whole-record", "sqlite:floor.cpu", "the same, by the floor's", most=14),
    Promise("whole-record", "naive:sqlite.cpu", "the naive peer's, by the gateway's", least=60),
    Promise("whole-record", "healthchain:sqlite.cpu", "HealthChain's, by the gateway's", least=50),
    Promise("whole-record", "sqlite:plain.cpu", "the gateway's, by the plain peer's", most=1),
    Promise("half-load", "sqlite:slowest.p50", "p50 at half of capacity, by the slowest source", most=1.35),
    Promise("half-load", "sqlite:slowest.p99", "p99 at half of capacity, by the slowest source", most=1.8),
    Promise("delays", "50 searches:slowest.p50", "p50 of 300 resources by searches, by the slowest source", most=1.6),
    Promise("delays", "50 batch:slowest.p50", "p50 of 300 resources in a batch, by the slowest source", most=1.6),
    Promise("delays", "searches.peak20_mb", "20 records of 300 resources at once by searches", most=200),
    Promise("delays", "batch.peak20_mb", "20 records of 300 resources at once in batches", most=200),
    Promise("one-hung", "sqlite:fastest.first", "the first clinical section, by the fastest source", most=1.3),
    Promise("one-hung", "sqlite.past_deadline_ms", "a whole record beyond its deadline", most=100),
    Promise("one-hung", "others-hung:others-well.read", "other people's reads while a source hangs", least=0.9),
    Promise("memory", "sqlite.peak20_mb", "20 records of 1.1 MB at once", most=250),
    Promise("memory", "sqlite.failed20", "of 20 records of 1.1 MB at once, those that did not come whole", most=0),
    Promise("memory", "sqlite.peak200_mb", "200 records of 1.1 MB at once", most=1000),
    Promise("memory", "sqlite.failed200", "of 200 records of 1.1 MB at once, those that did not come whole", most=0),
    Promise("memory", "sqlite.times_its_bytes", "a record in flight, by its own bytes", most=4),
    Promise("journal-share", "sqlite.journal_share", "the journal's share of a record, SQLite", most=0.10),
    Promise("journal-share", "postgresql.journal_share", "the journal's share of a record, PostgreSQL", most=0.15),
    Promise("one-call", "everything.calls_per_source", "calls where a source offers everything at once", most=1),
    Promise("one-call", "batch.calls_per_source", "calls where a source takes batches", most=1),
    Promise("one-call", "searches.calls_per_source", "calls otherwise, one for each of eight sections", most=8),
    Promise("sources", "sources-30:sources-1.source_cpu", "processor time for a source, of 30 by of 1", most=_GROWTH),
    Promise("sources", "sources-30:sources-3.source_cpu", "processor time for a source, of 30 by of 3", most=_GROWTH),
    Promise("practices", "practices-7000.asked", "practices asked for one record, of 7,000", most=1, least=1),
    Promise("practices", "practices-7000:practices-70.p50", "p50 among 7,000 practices by among 70", most=_GROWTH),
    Promise("practices", "practices-7000:practices-70.cpu", "processor time among 7,000 by among 70", most=_GROWTH),
    Promise("practices", "practices-7000:practices-70.start", "a start among 7,000 by among 70", most=_GROWTH),
    Promise("journal", "rows-1000.release_p99_ms", "p99 of a release on a thousand rows", most=MOST_P99_MS),
    Promise("journal", "rows-1000000.release_p99_ms", "p99 of a release on a million rows", most=MOST_P99_MS),
    Promise("journal", "rows-1000000:rows-1000.cpu_per_row", "a row on the long journal by the short", most=_GROWTH),
)


def judge(found: Mapping[str, Figures], promises: Iterable[Promise] = PROMISES) -> list[Verdict]:
    """A verdict for every promise about a scenario that was run."""
    return [
        Verdict(promise, found[promise.scenario].get(promise.figure))
        for promise in promises
        if promise.scenario in found
    ]
