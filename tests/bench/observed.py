"""What watching a look costs: processor time with metrics (and with spans), beside the same looks unwatched.

    python -m tests.bench.observed [LOOKS]

One gateway in this process, sandboxes and all. The three ways take turns, a few looks each, so that whatever else the
machine does falls on all of them; what is said is the median of the turns. Processor time, not the clock.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

from gateway import record
from gateway.observe import requests, spans
from gateway.observe.meters import SOURCE_SECONDS
from gateway.observe.worker import told
from tests.flow.stack import GRACE, Stack, running

A_TURN = 5
MANY = 20_000


class Nowhere(SpanExporter):
    """A collector that takes everything and keeps nothing."""

    def export(self, _: Any) -> SpanExportResult:
        return SpanExportResult.SUCCESS


class Nothing:
    """Every metric at once, without any."""

    def labels(self, *_: Any) -> Nothing:
        return self

    def count(self, *_: Any) -> None:
        pass

    inc = dec = set = observe = count


@contextmanager
def unwatched() -> Iterator[None]:
    """Nothing is counted or timed, and no request is looked at."""
    nothing = Nothing()

    async def passed(self: requests.Watched, scope: Any, receive: Any, send: Any) -> None:
        await self._app(scope, receive, send)

    with ExitStack() as stack:
        stack.enter_context(patch.object(MetricWrapperBase, "labels", nothing.labels))
        stack.enter_context(patch.object(requests.Watched, "__call__", passed))
        stack.enter_context(patch.object(record, "step", lambda _: nullcontext()))
        for kind, names in ((Counter, ("inc",)), (Gauge, ("inc", "dec")), (Histogram, ("observe",))):
            for name in names:
                stack.enter_context(patch.object(kind, name, nothing.count))
        stack.enter_context(patch.object(Histogram, "time", lambda _: nullcontext()))
        yield


@contextmanager
def traced() -> Iterator[None]:
    """With a span for each request, step and call, all of them sent."""
    spans.use(BatchSpanProcessor(Nowhere()))
    try:
        yield
    finally:
        spans.stop()


WAYS = {"unwatched": unwatched, "with metrics": nullcontext, "with metrics and spans": traced}


async def look(stack: Stack) -> None:
    answer = await stack.everything(GRACE)
    assert answer.status_code == 200, answer.text


async def measured(stack: Stack, looks: int) -> dict[str, float]:
    """Milliseconds of processor time a look, by way."""
    turns: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(max(looks // A_TURN, 3)):
        for name, way in WAYS.items():
            with way():
                await look(stack)
                began = time.process_time()
                for _ in range(A_TURN):
                    await look(stack)
                turns[name].append((time.process_time() - began) * 1000 / A_TURN)
    return {name: median(found) for name, found in turns.items()}


async def counted(stack: Stack) -> tuple[int, float]:
    """How often a look counts or times something, and what one such time costs in microseconds: the difference that
    is too small to be seen beside a look."""
    times = 0
    observe, increase = Histogram.observe, Counter.inc

    def observed(self: Histogram, *given: Any) -> None:
        nonlocal times
        times += 1
        observe(self, *given)

    def increased(self: Counter, *given: Any) -> None:
        nonlocal times
        times += 1
        increase(self, *given)

    with patch.object(Histogram, "observe", observed), patch.object(Counter, "inc", increased):
        await look(stack)
    began = time.process_time()
    for _ in range(MANY):
        SOURCE_SECONDS.labels("RJ2").observe(0.04)
    return times, (time.process_time() - began) * 1e6 / MANY


async def main(looks: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with running(Path(folder), canaries=False) as stack:
            await stack.agree(GRACE)
            found = await measured(stack, looks)
            times, microseconds = await counted(stack)
            began = time.process_time()
            text = await told(stack.parts, 0)
            scrape = (time.process_time() - began) * 1000
    for name, milliseconds in found.items():
        print(f"{name:<24} {milliseconds:8.2f} ms a look, {milliseconds - found['unwatched']:+.2f} ms")
    print(f"{times} figures a look, {microseconds:.1f} us each: {times * microseconds / 1000:.2f} ms a look")
    print(f"one scrape of one worker {scrape:8.2f} ms, {len(text) / 1024:.0f} kB, {text.count(b'connect_care_')} lines")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100))
