"""What is measured when somebody reads the metrics: states that change all the time, and that nobody counts meanwhile.

Each is measured by itself and within bounds: one that can't be had is said to be unmeasured, and takes no other along.
"""

from __future__ import annotations

import asyncio
import math
import shutil
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final, Protocol

from prometheus_client import Gauge

from gateway import log
from gateway.audit.checkpoints import Checkpointer
from gateway.audit.followers.runner import Followers
from gateway.breaker import BreakerState
from gateway.fan_out import FanOut
from gateway.observe import meters
from gateway.room import Room
from gateway.settings import Settings
from gateway.sources import SourceState
from gateway.store.interface import Store

_PATIENCE: Final = 2.0
_CHECKPOINT: Final = "checkpoint"
_COPIES: Final = "copies"
_DISK: Final = "disk"


class Measured(Protocol):
    """The parts of a gateway that are measured."""

    @property
    def settings(self) -> Settings: ...
    @property
    def store(self) -> Store: ...
    @property
    def fan_out(self) -> FanOut: ...
    @property
    def room(self) -> Room: ...
    @property
    def checkpointer(self) -> Checkpointer: ...
    @property
    def followers(self) -> Followers: ...


async def measure(parts: Measured) -> None:
    """Set every gauge to what is now."""
    _measure_sources(parts.fan_out.states.values())
    meters.LOOKS_AT_ONCE.set(parts.room.places)
    meters.LOOKS_UNDER_WAY.set(parts.room.under_way)
    meters.LOOKS_WAITING.set(parts.room.waiting)
    meters.AUDIT_COPIES.set(len(parts.followers.all))
    await _if_possible(_CHECKPOINT, lambda: _measure_journal(parts), (meters.JOURNAL_ROWS, meters.JOURNAL_UNSIGNED))
    await _if_possible(_COPIES, lambda: _measure_copies(parts), ())
    await _if_possible(_DISK, lambda: _measure_disk(parts), ())


async def _if_possible(what: str, measured: Callable[[], Awaitable[None]], gauges: Iterable[Gauge]) -> None:
    try:
        async with asyncio.timeout(_PATIENCE):
            await measured()
    except Exception as error:
        log.failed("metrics.unmeasured", error, kind=what)
        meters.UNMEASURED.labels(what).set(1)
        for gauge in gauges:
            gauge.set(math.nan)  # an old figure would pass for today's
    else:
        meters.UNMEASURED.labels(what).set(0)


def _measure_sources(states: Iterable[SourceState]) -> None:
    in_flight: Counter[str] = Counter()
    breakers: dict[str, Counter[BreakerState]] = {}
    for state in states:
        in_flight[state.label] += len(state.under_way)
        breakers.setdefault(state.label, Counter())[state.breaker.state] += 1
    _show(meters.SOURCE_IN_FLIGHT, {(label,): count for label, count in in_flight.items()})
    _show(
        meters.SOURCE_BREAKERS,
        {(label, state.value): found[state] for label, found in breakers.items() for state in BreakerState},
    )


def _show(gauge: Gauge, figures: Mapping[tuple[str, ...], float]) -> None:
    """These figures and no others: what is gone isn't shown as it once was."""
    gauge.clear()
    for labels, figure in figures.items():
        gauge.labels(*labels).set(figure)


async def _measure_journal(parts: Measured) -> None:
    rows, unsigned, age = await parts.checkpointer.standing()
    meters.JOURNAL_ROWS.set(rows)
    meters.JOURNAL_UNSIGNED.set(unsigned)
    meters.CHECKPOINT_AGE.set(math.nan if age is None else age)


async def _measure_copies(parts: Measured) -> None:
    rows = await parts.store.log_size()
    for each in parts.followers.all:
        behind = rows - await parts.store.position(each.copy.name)
        meters.AUDIT_COPY_LAG.labels(each.copy.name).set(max(behind, 0))
        meters.AUDIT_COPY_FAILURES.labels(each.copy.name).set(each.state.failures)


async def _measure_disk(parts: Measured) -> None:
    """Of the store where it is a file here, and of the sink."""
    places = {"sink": parts.settings.audit_sink and parts.settings.audit_sink.parent}
    if parts.settings.database is None:
        places["store"] = parts.settings.data_dir
    for place, folder in places.items():
        if folder is not None:
            usage = await asyncio.to_thread(shutil.disk_usage, folder)
            meters.DISK_FREE.labels(place).set(usage.free)
