"""One bad source for minutes: `python -m tests.hostile.one_bad_source [--seconds 300] [--rate 50] [ILLNESS...]`.

Prints what was seen of each illness and what of the promise was not kept; the exit code is how many were not. The time
is judged here and in no test: it needs a machine that has nothing else to do.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from tests.hostile.one_bad_source.illness import BAD, ILLNESSES, SOURCES, course
from tests.town import town


async def run(illnesses: list[str], rate: float, seconds: float, deadline: float) -> int:
    """How many promises were broken."""
    broken = 0
    for illness in illnesses:
        with tempfile.TemporaryDirectory(prefix="one-bad-source-") as folder:
            async with town(Path(folder), SOURCES, deadline=deadline) as here:
                seen = await course(here, illness, rate, seconds)
        faults = seen.faults(deadline * 1000)
        broken += len(faults)
        print(f"{seen}\n  {'; '.join(faults) or 'kept'}", flush=True)
    return broken


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.hostile.one_bad_source", description=f"{BAD} falls ill while people go on asking."
    )
    parser.add_argument("illnesses", nargs="*", metavar="ILLNESS", help=f"of {', '.join(ILLNESSES)}; all of them")
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--rate", type=float, default=50, help="records a second")
    parser.add_argument("--deadline", type=float, default=3.0)
    options = parser.parse_args()
    if unknown := set(options.illnesses) - set(ILLNESSES):
        parser.error(f"there is no illness {', '.join(sorted(unknown))}")
    return asyncio.run(run(options.illnesses or list(ILLNESSES), options.rate, options.seconds, options.deadline))


if __name__ == "__main__":
    sys.exit(main())
