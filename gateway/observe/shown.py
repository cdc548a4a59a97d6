"""Metrics as tables on a terminal, for whoever has no Grafana at hand."""

from __future__ import annotations

import urllib.request
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from gateway.observe.meters import NAMESPACE

_TIMEOUT: Final = 10.0
_Series = Mapping[str, list[Sample]]


def fetched(address: str) -> str:
    """What is served there, in Prometheus's text format. Raises OSError."""
    with urllib.request.urlopen(address, timeout=_TIMEOUT) as answer:  # noqa: S310 (the demo's own, on loopback)
        return str(answer.read().decode())


def shown(text: str) -> str:
    """The same as tables: doors, steps, sources, the audit."""
    series: dict[str, list[Sample]] = defaultdict(list)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            series[sample.name.removeprefix(f"{NAMESPACE}_")].append(sample)
    tables = (
        _table("door", ("answers", "5xx", "mean ms"), _doors(series)),
        _table("step", ("times", "mean ms", "9 in 10 within ms"), _steps(series)),
        _table("source", ("asked", "failed", "mean ms", "in flight", "breaker"), _sources(series)),
        _table("audit", ("",), _audit(series)),
    )
    return "\n".join(tables)


def _doors(series: _Series) -> Iterator[tuple[str, ...]]:
    times = _means(series, "answer_seconds", "door")
    for door, statuses in _by(series.get("answers_total", ()), "door").items():
        failed = sum(one.value for one in statuses if one.labels["status"] == "5xx")
        yield door, _whole(sum(one.value for one in statuses)), _whole(failed), times.get(door, "")


def _steps(series: _Series) -> Iterator[tuple[str, ...]]:
    times = _means(series, "step_seconds", "step")
    counts = _by(series.get("step_seconds_count", ()), "step")
    buckets = _by(series.get("step_seconds_bucket", ()), "step")
    for step, found in counts.items():
        if count := sum(one.value for one in found):
            yield step, _whole(count), times[step], _bound(buckets[step], 0.9 * count)


def _sources(series: _Series) -> Iterator[tuple[str, ...]]:
    times = _means(series, "source_seconds", "source")
    in_flight = _by(series.get("source_in_flight", ()), "source")
    breakers = _by(series.get("source_breakers", ()), "source")
    asked = _by(series.get("source_answers_total", ()), "source")
    for source in sorted(asked.keys() | breakers.keys()):
        outcomes = asked.get(source, [])
        failed = sum(one.value for one in outcomes if one.labels["outcome"] in ("failed", "timed-out"))
        states = sorted({one.labels["state"] for one in breakers.get(source, ()) if one.value})
        under_way = sum(one.value for one in in_flight.get(source, ()))
        counts = (_whole(sum(one.value for one in outcomes)), _whole(failed))
        yield source, *counts, times.get(source, ""), _whole(under_way), ", ".join(states)


_AUDIT: Final = {
    "journal_rows": "rows",
    "journal_unsigned_rows": "rows that aren't signed yet",
    "checkpoint_age_seconds": "seconds since the newest checkpoint",
    "journal_waiting": "writes that wait",
    "audit_copies": "copies",
    "audit_copy_lag_rows": "rows that a copy lacks",
}


def _audit(series: _Series) -> Iterator[tuple[str, ...]]:
    for name, words in _AUDIT.items():
        if found := [one.value for one in series.get(name, ()) if one.value == one.value]:
            yield words, _whole(max(found))
    batches = sum(one.value for one in series.get("journal_batch_jobs_count", ()))
    if batches:
        seconds = sum(one.value for one in series["journal_commit_seconds_sum"])
        jobs = sum(one.value for one in series["journal_batch_jobs_sum"])
        yield "writes a batch", f"{jobs / batches:.1f}"
        yield "milliseconds a batch", f"{1000 * seconds / batches:.1f}"


def _by(samples: Iterable[Sample], label: str) -> dict[str, list[Sample]]:
    found: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        found[sample.labels[label]].append(sample)
    return found


def _means(series: _Series, name: str, label: str) -> dict[str, str]:
    """The mean of a histogram in milliseconds, by label, over all workers."""
    sums, counts = _by(series.get(f"{name}_sum", ()), label), _by(series.get(f"{name}_count", ()), label)
    totals = {key: (sum(one.value for one in sums[key]), sum(one.value for one in counts[key])) for key in counts}
    return {key: f"{1000 * seconds / count:.1f}" for key, (seconds, count) in totals.items() if count}


def _bound(buckets: Iterable[Sample], wanted: float) -> str:
    """The bound in milliseconds below which so many lie."""
    by_bound: dict[float, float] = defaultdict(float)
    for bucket in buckets:
        by_bound[float(bucket.labels["le"])] += bucket.value
    bound = next(bound for bound in sorted(by_bound) if by_bound[bound] >= wanted)
    return f"{1000 * bound:g}"


def _whole(figure: float) -> str:
    return f"{figure:.0f}"


def _table(name: str, columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [(name, *columns), *rows]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    return "".join(_line(line, widths) for line in lines)


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    first, *rest = zip(cells, widths, strict=True)
    return "  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)]).rstrip() + "\n"
