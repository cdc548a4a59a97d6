"""One worker's share of a journal, without the rest of a look: one after the other, so many waiting at any moment.

It says `ready` once its store is open and its patients have agreed, begins with the next line that it is told, and ends
by saying how many looks it made and what they cost it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import secrets
import sys
import time

from gateway.store.postgres import PostgresStore
from tests.bench.journal import granted, look

_PATIENTS = 50


async def write(database: str, waiting: int, seconds: float) -> None:
    """Until the time is up. Its sessions stay until it is told: their processor time is asked for before they end."""
    store, run_id = PostgresStore(database), secrets.token_hex(4)
    try:
        permissions = [await granted(store, run_id, number) for number in range(_PATIENTS)]
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        rng, before, until = random.Random(run_id), time.process_time(), time.monotonic() + seconds

        async def one_after_the_other(number: int) -> int:
            made = 0
            while time.monotonic() < until:
                await look(store, rng.choice(permissions), f"{run_id}-{number}-{made}", rng)
                made += 1
            return made

        looks = await asyncio.gather(*map(one_after_the_other, range(waiting)))
        print(json.dumps({"looks": sum(looks), "cpu_seconds": time.process_time() - before}), flush=True)
        await asyncio.to_thread(sys.stdin.readline)
    finally:
        await store.aclose()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--database", required=True)
    parser.add_argument("--waiting", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    asked = parser.parse_args()
    asyncio.run(write(asked.database, asked.waiting, asked.seconds))
