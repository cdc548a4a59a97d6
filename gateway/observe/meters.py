"""Every metric: what it is called, which labels it has, what it means. docs/observability.md shows this list.

Counters and histograms are counted where the thing happens; gauges are measured when somebody reads them
(`gateway.observe.measure`). A label is a word from a list that the gateway's own files end (sources with an entry of
their own, steps, outcomes, routes' templates, rules): never a person, a patient, a practice that a patient led to, a
token or a path as it was called.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.process_collector import ProcessCollector

from gateway import log
from gateway.errors import GatewayError
from gateway.log_events import EVENTS

NAMESPACE: Final = "connect_care"
REGISTRY: Final = CollectorRegistry()
OTHER: Final = "(other)"
MOST_RULES: Final = 400
"""Rules that may be a label's value; there are under 300."""

_RULE: Final = re.compile(r"[a-z][a-z0-9]*(?:[.-][a-z0-9]+)*", re.ASCII)
_LONGEST_RULE: Final = 64
_FAST: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_SLOW: Final = (0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2, 3, 3.5, 5, 10)
_ROWS: Final = (1, 2, 4, 8, 16, 32, 64)

disable_created_metrics()  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True)
class Described:
    """One metric: `name` as Prometheus stores it; a histogram's has `_bucket`, `_sum` and `_count` behind it."""

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str


METRICS: Final[list[Described]] = []
"""Those that are declared here, in order."""


def _described(name: str, kind: str, labels: tuple[str, ...], meaning: str) -> str:
    METRICS.append(Described(f"{NAMESPACE}_{name}", kind, labels, meaning))
    return METRICS[-1].name


def _counter(name: str, meaning: str, *labels: str) -> Counter:
    return Counter(_described(name, "counter", labels, meaning), meaning, labels, registry=REGISTRY)


def _gauge(name: str, meaning: str, *labels: str) -> Gauge:
    return Gauge(_described(name, "gauge", labels, meaning), meaning, labels, registry=REGISTRY)


def _histogram(name: str, meaning: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
    full_name = _described(name, "histogram", labels, meaning)
    return Histogram(full_name, meaning, labels, registry=REGISTRY, buckets=buckets)


ANSWERS: Final = _counter("answers_total", "Requests that were answered, by door and class of status", "door", "status")
ANSWER_SECONDS: Final = _histogram("answer_seconds", "From a request to the first byte of its answer", _SLOW, "door")
REFUSALS: Final = _counter("refusals_total", "Answers that aren't what was asked for, by the rule that decided", "rule")
STEP_SECONDS: Final = _histogram("step_seconds", "What one step took; of a look in parts, each part", _FAST, "step")
LOOK_WAIT_SECONDS: Final = _histogram("look_wait_seconds", "How long a look waited for its turn", _SLOW)
LOOKS_UNDER_WAY: Final = _gauge("looks_under_way", "Looks that hold a place (looks_at_once are the most)")
LOOKS_WAITING: Final = _gauge("looks_waiting", "Looks that wait for their turn")
LOOKS_AT_ONCE: Final = _gauge("looks_at_once", "How many looks may be under way")

SOURCE_ANSWERS: Final = _counter("source_answers_total", "Asks by source and what became of them", "source", "outcome")
SOURCE_SECONDS: Final = _histogram("source_seconds", "From the call of a source to its whole answer", _SLOW, "source")
SOURCE_CALLS: Final = _counter("source_calls_total", "Requests that went out to a source, retries too", "source")
SOURCE_ALARMS: Final = _counter(
    "source_alarms_total", "Items of a source that were held back: another patient's, or too much", "source", "kind"
)
SOURCE_IN_FLIGHT: Final = _gauge("source_in_flight", "Calls to a source that are under way", "source")
SOURCE_BREAKERS: Final = _gauge("source_breakers", "Breakers towards a source, by state", "source", "state")

JOURNAL_COMMIT_SECONDS: Final = _histogram(
    "journal_commit_seconds", "One batch of writes, until it is on the disk", _FAST
)
JOURNAL_BATCH: Final = _histogram("journal_batch_jobs", "How many writes were committed together", _ROWS)
JOURNAL_FAILURES: Final = _counter(
    "journal_failures_total", "Batches that couldn't be committed: their looks got nothing"
)
JOURNAL_WAITING: Final = _gauge("journal_waiting", "Writes that wait for the next batch")
JOURNAL_ROWS: Final = _gauge("journal_rows", "Rows that the journal holds")
JOURNAL_UNSIGNED: Final = _gauge("journal_unsigned_rows", "Rows that no checkpoint has signed yet")
CHECKPOINT_AGE: Final = _gauge("checkpoint_age_seconds", "Since the newest checkpoint was signed")
AUDIT_COPIES: Final = _gauge("audit_copies", "Copies of the journal that the settings ask for (a sink, a repository)")
AUDIT_COPY_LAG: Final = _gauge("audit_copy_lag_rows", "Rows of the journal that a copy doesn't hold yet", "copy")
AUDIT_COPY_FAILURES: Final = _gauge("audit_copy_failures", "Failures in a row of whoever writes a copy", "copy")

SESSIONS: Final = _counter("sessions_total", "Sessions of the pages that began or were ended", "whose", "what")
LOG_EVENTS: Final = _counter("log_events_total", "Lines of the log, by event", "event")
DISK_FREE: Final = _gauge("disk_free_bytes", "Room that is left where this is kept", "place")
UNMEASURED: Final = _gauge("unmeasured", "1 where this couldn't be measured: its gauges say nothing", "what")
INFO: Final = _gauge("info", "1, with what runs", "version", "kernel", "policy_hash")
WORKERS: Final = f"{NAMESPACE}_workers"
WORKERS_MEANING: Final = "Workers that could be asked for their metrics, and those that gave no answer"
"""Known by whoever asks the workers, so it's in no worker's registry."""

PROCESS: Final = ProcessCollector(namespace=NAMESPACE, registry=REGISTRY)
"""Memory, processor time and open files of each worker."""

_rules: Final[set[str]] = set()


def refused(error: GatewayError) -> None:
    """Count what was answered instead, once, however many hands it passes through."""
    if not error.counted:
        error.counted = True
        REFUSALS.labels(_rule(error.rule)).inc()


def _rule(rule: str) -> str:
    """Rules are the policies' and our own. Whatever else got there by mistake is no label, nor are endless ones."""
    if rule not in _rules and (
        len(_rules) >= MOST_RULES or len(rule) > _LONGEST_RULE or not _RULE.fullmatch(rule) or log.cleaned(rule) != rule
    ):
        return OTHER
    _rules.add(rule)
    return rule


def runs(version: str, kernel: str, policy_hash: str) -> None:
    """Say what runs now, and nothing that ran before."""
    INFO.clear()
    INFO.labels(version, kernel, policy_hash).set(1)


def expect(source: str, kinds: Iterable[str]) -> None:
    """Begin to count at nought: an alert sees how much a counter grew, and one that comes into being at one didn't."""
    SOURCE_IN_FLIGHT.labels(source)
    for kind in kinds:
        SOURCE_ALARMS.labels(source, kind)


for _event in EVENTS:
    LOG_EVENTS.labels(_event)
log.count_events(lambda event: LOG_EVENTS.labels(event).inc())
