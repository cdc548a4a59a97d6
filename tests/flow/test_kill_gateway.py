"""SIGKILL of the gateway under load: every response that reached a client has its committed release row."""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest

from gateway.demo.run import fetch_token
from gateway.store.folder import DATABASE
from tests.bench.payload import NHS_NUMBER
from tests.processes import Gateway, gateway, identity_provider, organisation, process

CLIENTS = 8
ANSWERS = 4
"""Whole answers in a life before it may end."""
LONGEST_SECONDS = 180


@dataclass
class Seen:
    """What reached the clients: request ids by whether the whole body came."""

    begun: set[str] = field(default_factory=set)
    whole: set[str] = field(default_factory=set)
    asked: int = 0
    answers: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0), repr=False)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Gateway]:
    with ExitStack() as stack:
        state = tmp_path / "source.state"
        options = ("--name", "RJ2", "--resources", "60", "--delay-ms", "5", "--state", str(state))
        address = stack.enter_context(process(state, "tests.bench.source", *options))
        issuer = stack.enter_context(identity_provider(tmp_path))
        entries = [
            organisation("RJ2", "acute-trust", address, patient_by="identifier"),
            {"ods": "G85005", "name": "A practice", "type": "gp-practice", "stage": "live"},
        ]
        yield stack.enter_context(gateway(tmp_path, issuer, entries))


async def load(running: Gateway, headers: dict[str, str], seen: Seen, name: str) -> None:
    """Ask for the record again and again until the gateway is gone."""
    url = f"{running.base}/fhir/R4/Patient/{NHS_NUMBER}/$everything"
    async with aiohttp.ClientSession() as session:
        try:
            for number in range(10_000):
                request_id = f"{name}-{number}"
                seen.asked += 1
                async with session.get(url, headers=headers | {"X-Request-ID": request_id}) as answer:
                    if answer.status == 200:
                        seen.begun.add(request_id)
                        await answer.read()
                        seen.whole.add(request_id)
                        seen.answers.release()
        except (aiohttp.ClientError, OSError):
            return


async def one_life(running: Gateway, headers: dict[str, str], seen: Seen, life: int, rng: random.Random) -> None:
    """Load, then SIGKILL at a moment that nobody chose, once some answers have come, however slow the machine."""
    seen.answers = asyncio.Semaphore(0)
    clients = [asyncio.ensure_future(load(running, headers, seen, f"life{life}-client{n}")) for n in range(CLIENTS)]
    async with asyncio.timeout(LONGEST_SECONDS):
        for _ in range(ANSWERS):
            await seen.answers.acquire()
    await asyncio.sleep(rng.uniform(0, 0.5))
    running.kill()
    await asyncio.gather(*clients)


async def lives(running: Gateway, kills: int) -> Seen:
    """Kill so many times; the gateway is started again after each."""
    token = await fetch_token(running.issuer, "gp")
    headers = {"Authorization": f"Bearer {token}"}
    body = {"nhsNumber": NHS_NUMBER, "basis": "patient-agreed"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{running.base}/permissions", json=body, headers=headers) as answer,
    ):
        assert answer.status == 201, await answer.text()
    seen, rng = Seen(), random.Random(20261122)
    for life in range(kills):
        await one_life(running, headers, seen, life, rng)
        await asyncio.to_thread(running.start)
    return seen


def released(running: Gateway) -> list[str]:
    """The request ids of all release rows, read as an auditor would from the file."""
    with closing(sqlite3.connect(f"file:{running.data / 'store' / DATABASE}?mode=ro", uri=True)) as connection:
        rows = connection.execute("SELECT seq, row FROM journal ORDER BY seq").fetchall()
    assert [seq for seq, _ in rows] == list(range(1, len(rows) + 1))
    bodies = [json.loads(body) for _, body in rows]
    return [body["request_id"] for body in bodies if body["kind"] == "release"]


def verified(running: Gateway) -> str:
    """What `connectcare audit verify` says of the store once its gateway has stopped: every root is recomputed."""
    running.stop()
    key = running.data / "checkpoint.key.pub"
    command = [sys.executable, "-m", "gateway.cli", "audit", "verify", "--data", str(running.data), "--key", str(key)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


async def check(running: Gateway, kills: int) -> None:
    """The promise, and that the test had something to see."""
    seen = await lives(running, kills)
    rows = released(running)
    assert len(seen.whole) >= ANSWERS * kills, seen
    assert seen.begun <= set(rows)
    assert len(rows) == len(set(rows))
    print(verified(running))
    print(f"{kills} kills, {seen.asked} asked, {len(seen.begun)} reached a client, {len(rows)} release rows")


async def test_one_kill(world: Gateway) -> None:
    await check(world, 1)


@pytest.mark.slow
async def test_two_hundred_kills(world: Gateway) -> None:
    await check(world, 200)
