"""What happens to workers in the world: they stand still for a while, and they are killed."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.processes import children


@dataclass
class Disturbance:
    """How often it happened."""

    pauses: int = 0
    kills: int = 0


def workers(supervisor: int) -> list[int]:
    """The processes that serve, without the helper that multiprocessing keeps beside them."""
    return [pid for pid in children(supervisor) if "spawn_main" in _command(pid)]


def _command(pid: int) -> str:
    try:
        return (Path("/proc") / str(pid) / "cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""


@asynccontextmanager
async def disturbed(supervisor: int, seed: int, every: float = 1.0) -> AsyncIterator[Disturbance]:
    """While the block runs, a worker is paused or killed about every so many seconds."""
    done = Disturbance()
    task = asyncio.create_task(_disturb(supervisor, random.Random(seed), every, done))
    try:
        yield done
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _disturb(supervisor: int, rng: random.Random, every: float, done: Disturbance) -> None:
    while True:
        await asyncio.sleep(rng.uniform(0.3, 1.7) * every)
        alive = workers(supervisor)
        if not alive:
            continue
        with suppress(ProcessLookupError):
            if rng.random() < 0.3 and len(alive) > 1:
                os.kill(rng.choice(alive), signal.SIGKILL)
                done.kills += 1
            else:
                await _paused(rng.choice(alive), rng.uniform(0.05, 0.6))
                done.pauses += 1


async def _paused(pid: int, seconds: float) -> None:
    os.kill(pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(seconds)
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
