"""What was acknowledged is there: the writing process is killed under load, and its store opened again."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import textwrap
import threading
from datetime import UTC, datetime

from gateway.audit.log.tree import root_of
from gateway.audit.row import Kind, Row
from gateway.store.interface import Kept
from gateway.store.sql.base import MOST_ROWS
from tests.stores import Place, PostgresPlace, SqlitePlace

KILLS = 5

WRITES_UNTIL_KILLED = textwrap.dedent("""
    import asyncio, os, sys
    from datetime import UTC, datetime
    from pathlib import Path
    from gateway.audit.row import Kind, Row
    from gateway.store.postgres import PostgresStore
    from gateway.store.sqlite import SqliteStore

    async def write(store, who):
        for n in range(10**9):
            name = f"{sys.argv[3]}-{who}-{n}"
            tag, now = f"{who:064x}", datetime.now(UTC)
            row = Row(kind=Kind.INTENT, request_id=name, at=now, door="POST /records", patient=tag)
            seq = await store.append(row)
            os.write(1, f"{seq} {name}\\n".encode())

    async def main():
        store = SqliteStore(Path(sys.argv[2])) if sys.argv[1] == "sqlite" else PostgresStore(sys.argv[2])
        await asyncio.gather(*(write(store, n) for n in range(40)))

    asyncio.run(main())
""")


def killed_under_load(place: Place, life: int, seconds: float) -> dict[int, str]:
    """What the process told the world before it died: {number: request id}."""
    assert isinstance(place, SqlitePlace | PostgresPlace)
    where = str(place.folder) if isinstance(place, SqlitePlace) else place.url
    command = [sys.executable, "-c", WRITES_UNTIL_KILLED, place.kind, where, str(life)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        killer = threading.Timer(seconds, process.kill)
        killer.start()
        told = first + process.stdout.read()
        killer.join()
    assert process.returncode == -signal.SIGKILL
    whole_lines = told[: told.rindex(b"\n")].decode().split("\n")
    return {int(seq): name for seq, name in (line.split(" ") for line in whole_lines)}


async def everything(place: Place) -> list[Kept]:
    """All rows, by the next process that opens the store; it writes one too. The log is that of just these rows."""
    store = place.open()
    await store.append(Row(kind=Kind.REFUSAL, request_id="reopened", at=datetime.now(UTC), door="test"))
    rows: list[Kept] = []
    while page := await store.rows(after=len(rows), limit=MOST_ROWS):
        rows += page
    leaves = [entry.leaf.hash() async for batch in store.entries() for entry in batch]
    assert await store.log_size() == len(rows)
    assert await store.range_hash(0, len(rows)) == root_of(leaves)
    place.close()
    return rows


async def test_whatever_was_acknowledged_before_a_kill_is_there_after_it(place: Place) -> None:
    dice = random.Random(7)
    acknowledged: dict[int, str] = {}
    for life in range(KILLS):
        told = killed_under_load(place, life, 0.05 + dice.random() / 4)
        assert not told.keys() & acknowledged.keys(), "no number is given twice"
        acknowledged |= told
        rows = await everything(place)
        assert [kept.seq for kept in rows] == list(range(1, len(rows) + 1)), "dense"
        kept = {row.seq: row.row.request_id for row in rows}
        assert {seq: kept[seq] for seq in acknowledged} == acknowledged
    assert len(acknowledged) > KILLS * 40
    assert sum(name == "reopened" for name in kept.values()) == KILLS
