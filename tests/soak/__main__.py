"""A long stay: `python -m tests.soak [--minutes 60] [--rate R]`.

First it measures how many records a second the gateway gives here, with all sources well; then it asks for half as
many a second (or for `--rate`), while each source falls ill and gets well at random. At the end: no memory, connection
or thread more than at the beginning, and no error that nobody can explain. The exit code is how many faults it found.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from tests.soak.judging import MOST_MORE_FILES, Sample, Stay, told
from tests.soak.weather import weather
from tests.town import Town, town

SOURCES = ("RJ2", "RPG", "RQX")
_AT_ONCE = 16
_MEASURED_SECONDS = 10.0
_BETWEEN_SAMPLES = 2.0
_BETWEEN_SIGN_INS = 1200.0


def sample(here: Town, began: float) -> Sample:
    """The gateway now."""
    threads = len(list(Path(f"/proc/{here.gateway.pid}/task").iterdir()))
    return Sample(time.monotonic() - began, here.memory_mb, here.open_files, threads)


async def stay(here: Town, rate: float, seconds: float, seed: int) -> tuple[Stay, dict[str, int]]:
    """Ask by the clock while the sources fall ill, and look at the gateway every two seconds."""
    began, samples = time.monotonic(), [sample(here, time.monotonic())]

    async def watch() -> None:
        while True:
            await asyncio.sleep(_BETWEEN_SAMPLES)
            samples.append(sample(here, began))

    async def sign_in() -> None:
        while True:
            await asyncio.sleep(_BETWEEN_SIGN_INS)
            await here.sign_in()

    beside = [asyncio.create_task(watch()), asyncio.create_task(sign_in())]
    try:
        async with weather(here.sources, seed) as came:
            looks = await here.by_the_clock(rate, seconds)
    finally:
        for task in beside:
            task.cancel()
    await here.settled()
    await here.by_the_clock(min(rate, 2.0), 3.0)
    await here.has_no_more_open_than(samples[0].files + MOST_MORE_FILES)
    return Stay(looks, samples, sample(here, began), here.log()), dict(came)


async def run(minutes: float, rate: float | None, seed: int, deadline: float) -> int:
    """How many faults there were."""
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        async with town(Path(folder), SOURCES, deadline=deadline, breaker_rest=5.0) as here:
            capacity = await here.as_fast_as_it_can(_AT_ONCE, _MEASURED_SECONDS)
            chosen = capacity / 2 if rate is None else rate
            print(f"{capacity:.1f} records a second; asking for {chosen:.1f} for {minutes:g} minutes", flush=True)
            found, came = await stay(here, chosen, minutes * 60, seed)
    faults = found.faults()
    print(told(found, came, faults or ["no leak, no unexplained error"]), flush=True)
    return len(faults)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rate", type=float, help="records a second (half of what is measured)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--deadline", type=float, default=3.0)
    options = parser.parse_args()
    return asyncio.run(run(options.minutes, options.rate, options.seed, options.deadline))


if __name__ == "__main__":
    sys.exit(main())
