"""What was acknowledged is there: the writing process is killed under load, and its store opened again."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
import textwrap
import threading
from datetime import UTC, datetime
from pathlib import Path

from gateway.audit.row import Kind, Row
from gateway.store.interface import Kept
from gateway.store.sql.base import MOST_ROWS
from gateway.store.sqlite import SqliteStore

KILLS = 10

WRITES_UNTIL_KILLED = textwrap.dedent("""
    import asyncio, os, sys
    from datetime import UTC, datetime
    from pathlib import Path
    from gateway.audit.row import Kind, Row
    from gateway.store.sqlite import SqliteStore

    async def write(store, who):
        for n in range(10**9):
            name = f"{sys.argv[2]}-{who}-{n}"
            row = Row(kind=Kind.INTENT, request_id=name, at=datetime.now(UTC), door="POST /records", patient=who)
            seq = await store.append(row)
            os.write(1, f"{seq} {name}\\n".encode())

    async def main():
        store = SqliteStore(Path(sys.argv[1]))
        await asyncio.gather(*(write(store, f"w{n}") for n in range(40)))

    asyncio.run(main())
""")


def killed_under_load(folder: Path, life: int, seconds: float) -> dict[int, str]:
    """What the process told the world before it died: {number: request id}."""
    command = [sys.executable, "-c", WRITES_UNTIL_KILLED, str(folder), str(life)]
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


async def everything(folder: Path) -> list[Kept]:
    """All rows, by the next process that opens the store; it writes one too."""
    store = SqliteStore(folder)
    await store.append(Row(kind=Kind.REFUSAL, request_id="reopened", at=datetime.now(UTC), door="test"))
    rows: list[Kept] = []
    while page := await store.rows(after=len(rows), limit=MOST_ROWS):
        rows += page
    await store.aclose()
    return rows


def test_whatever_was_acknowledged_before_a_kill_is_there_after_it(tmp_path: Path) -> None:
    dice = random.Random(7)
    acknowledged: dict[int, str] = {}
    for life in range(KILLS):
        told = killed_under_load(tmp_path, life, 0.05 + dice.random() / 4)
        assert not told.keys() & acknowledged.keys(), "no number is given twice"
        acknowledged |= told
        rows = asyncio.run(everything(tmp_path))
        assert [kept.seq for kept in rows] == list(range(1, len(rows) + 1)), "dense"
        kept = {row.seq: row.row.request_id for row in rows}
        assert {seq: kept[seq] for seq in acknowledged} == acknowledged
    assert len(acknowledged) > KILLS * 40
    assert sum(name == "reopened" for name in kept.values()) == KILLS
