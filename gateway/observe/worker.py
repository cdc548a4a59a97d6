"""A worker tells its metrics: to whoever started it, over a Unix socket in a folder that only their user may enter.

The socket is named for the worker's number, the lowest that is free among the workers of one gateway. So a worker that
was started anew goes on under its predecessor's number, and the label `worker` has as many values as there are workers.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Final

from prometheus_client import generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from gateway.observe.measure import Measured, measure
from gateway.observe.meters import REGISTRY

MOST_WORKERS: Final = 256


class NoNumber(RuntimeError):
    """Every number is taken: more workers than there can be."""


@asynccontextmanager
async def telling(parts: Callable[[], Measured], folder: Path | None) -> AsyncIterator[None]:
    """Within the block, whoever connects to this worker's socket in the folder is told its metrics. None: nobody is.
    `parts` are those in force when they are asked for."""
    if folder is None:
        yield
        return
    with _numbered(folder) as number:

        async def tell(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(ConnectionError):
                writer.write(await told(parts(), number))
                await writer.drain()
            writer.close()

        place = folder / f"{number}.sock"
        place.unlink(missing_ok=True)  # of one that was killed
        server = await asyncio.start_unix_server(tell, place)
        try:
            yield
        finally:
            server.close()
            place.unlink(missing_ok=True)


async def told(parts: Measured, number: int) -> bytes:
    """Every metric of this process as of now, in Prometheus's text format."""
    await measure(parts)
    return await asyncio.to_thread(generate_latest, _Numbered(number))


@contextmanager
def _numbered(folder: Path) -> Iterator[int]:
    """The kernel gives a number back when its worker ends, however it ends."""
    for number in range(MOST_WORKERS):
        held = os.open(folder / f"{number}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(held)
            continue
        try:
            yield number
        finally:
            os.close(held)
        return
    raise NoNumber(f"{folder} has no number left for another worker")


class _Numbered(Collector):
    """The registry's metrics, each sample with the worker's number."""

    def __init__(self, number: int) -> None:
        self._label = {"worker": str(number)}

    def collect(self) -> Iterator[Metric]:
        for metric in REGISTRY.collect():
            metric.samples = [each._replace(labels={**each.labels, **self._label}) for each in metric.samples]
            yield metric
