"""Opting out is immediate: a history of mixed operations, with workers paused and killed, holds no look after it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.clients import Clients, numbers
from tests.chaos.disturb import disturbed
from tests.chaos.history import Did, looks_after_an_opt_out, releases_while_out, unaccounted
from tests.chaos.rows import rows_of
from tests.chaos.world import World, world
from tests.stores import PostgresPlace


def check(clients: Clients, rows: list[Any]) -> None:
    """The promise, and that the history had something to break it with."""
    history = clients.history
    assert looks_after_an_opt_out(history) == []
    assert releases_while_out(rows) == []
    assert unaccounted(history, rows) == []
    did = Counter((one.did.value, one.status, one.saw) for one in history)
    assert did[Did.LOOK, 200, True] > len(history) / 25, did
    assert did[Did.LOOK, 403, False] > len(history) / 25, did
    assert did[Did.OPT_OUT, 201, False] > len(history) / 30, did
    print(f"{len(history)} operations, {len(rows)} rows: {dict(did)}")


async def clients_of(here: World, patients: int, seed: int) -> Clients:
    await here.sign_in_all()
    return Clients(here.running.base, numbers(patients), here.lookers, here.officer, seed)


async def test_one_worker(tmp_path: Path) -> None:
    settings = {"data_dir": str(tmp_path / "data")}
    with world(tmp_path, settings) as here:
        here.running.start()
        clients = await clients_of(here, patients=6, seed=1)
        await clients.run(400, at_once=16)
        check(clients, await rows_of(settings))


@pytest.mark.slow
async def test_four_workers_paused_and_killed(tmp_path: Path, postgres_place: PostgresPlace) -> None:
    settings = {"database": postgres_place.url}
    with world(tmp_path, settings, workers=4) as here:
        here.running.start()
        clients = await clients_of(here, patients=60, seed=2)
        async with disturbed(here.running.pid, seed=3, every=3.0) as done:
            await clients.run(50_000, at_once=32)
        assert done.kills > 10, done
        assert done.pauses > 20, done
        print(done)
        check(clients, await rows_of(settings))
