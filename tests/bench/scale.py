"""`python -m tests.bench.scale [--seconds N] [--write-docs]`: what workers beside each other add.

Twice, with 1, 2, 4 and 8 of them as real processes on one PostgreSQL: whole gateways that are asked for records as fast
as they answer, and their journals alone. On a machine with fewer cores than workers the rate stops growing with the
cores; what goes on telling something is the processor time that a record, or a row, costs, and whom. The last line of
the journals is four workers on two databases: what sharding would bring. Some five minutes on a quiet machine;
`--write-docs` puts the tables into docs/scale.md.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from tests.bench.load import client, throughput, warm
from tests.bench.report import ROOT, about, markdown
from tests.bench.world import Held, Server, World
from tests.clients.table import placed
from tests.processes import identity_provider
from tests.stores import Server as Database
from tests.stores import start_postgres, stop_postgres

WORKERS: Final = (1, 2, 4, 8)
HELD: Final = Held(sources=3, each=100)
"""A record of 300 resources."""
ASKERS: Final = 16
WAITING: Final = 32
"""Looks that wait for the journal in each worker: so many that its batches are full."""
_DEADLINE: Final = 20.0
"""Seconds: sources share the machine with what is measured, and none of them is to be left out."""
DOCUMENT: Final = ROOT / "docs" / "scale.md"

Figures = dict[str, Any]


async def records(world: World, workers: int, seconds: float) -> Figures:
    """Records a second of a gateway with so many workers, and what one costs the gateway and the database."""
    sources = world.sources(HELD)
    server = await world.gateway_on_postgres(f"gateway-{workers}", sources, workers=workers, deadline=_DEADLINE)
    gateway, database = (Server("", "", (pid,)) for pid in server.pids)
    async with client() as session:
        await warm(session, server, HELD.expected, times=3 * workers)
        before = gateway.cpu_seconds(), database.cpu_seconds()
        rate = await throughput(session, server, ASKERS, seconds)
        spent = gateway.cpu_seconds() - before[0], database.cpu_seconds() - before[1]
    made = rate * seconds
    return {
        "workers": workers,
        "records/s": round(rate, 1),
        "gateway, ms of processor a record": round(1000 * spent[0] / made, 1),
        "database, ms of processor a record": round(1000 * spent[1] / made, 1),
        "records/s a core of the gateway": round(made / spent[0], 1),
        "cores in use, gateway and database": round(sum(spent) / seconds, 2),
    }


def journals(databases: Sequence[str], server: Database, workers: int, seconds: float) -> Figures:
    """Rows a second of so many workers, shared out among these databases of one server; two rows a look."""
    options = ("--waiting", str(WAITING), "--seconds", str(seconds))
    with ExitStack() as ending:
        writers = [
            ending.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", "tests.bench.scale_writer", "--database", server.url(name), *options],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for name, _ in zip(databases * workers, range(workers), strict=False)
        ]
        for writer in writers:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
        process = Server("database", "", (server.pid,))
        before = process.cpu_seconds()
        for writer in writers:
            assert writer.stdin is not None
            writer.stdin.write("go\n")
            writer.stdin.flush()
        made = [json.loads(writer.stdout.readline()) for writer in writers if writer.stdout]
        spent = process.cpu_seconds() - before
    rows = 2 * sum(one["looks"] for one in made)
    return {
        "workers": workers,
        "journals": len(databases),
        "rows/s": round(rows / seconds),
        "worker, ms of processor a row": round(1000 * sum(one["cpu_seconds"] for one in made) / rows, 2),
        "database, ms of processor a row": round(1000 * spent / rows, 2),
    }


def measured(seconds: float) -> dict[str, list[Figures]]:
    """Both tables."""
    found: dict[str, list[Figures]] = {"records": [], "journals": []}
    with tempfile.TemporaryDirectory(prefix="connectcare-scale-") as name:
        folder = Path(name)
        with identity_provider(folder) as issuer:
            for workers in WORKERS:
                (own := folder / str(workers)).mkdir()
                with World(own, issuer) as world:
                    found["records"].append(told(asyncio.run(records(world, workers, seconds))))
    server = start_postgres()
    try:
        for workers, databases in [*((workers, 1) for workers in WORKERS), (4, 2)]:
            names = [server.new() for _ in range(databases)]
            found["journals"].append(told(journals(names, server, workers, seconds)))
    finally:
        stop_postgres(server)
    return found


def told(figures: Figures) -> Figures:
    """Say them as soon as they are there."""
    print(figures, flush=True)
    return figures


def table(rows: Sequence[Figures]) -> str:
    """As the document shows them."""
    return markdown([[*rows[0]], *([f"{value:,}" for value in row.values()] for row in rows)])


def write_document(found: dict[str, list[Figures]]) -> None:
    """Put them in their places."""
    text = DOCUMENT.read_text(encoding="utf-8")
    run = markdown([["", ""], *([key, str(value)] for key, value in about(1).items() if key != "rounds")])
    for name, made in (("run", run), *((name, table(rows)) for name, rows in found.items())):
        text = placed(text, name, made, by="scale")
    DOCUMENT.write_text(text, encoding="utf-8")


def main() -> None:
    """Measure, print, and keep where that is asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.scale", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=20.0, help="of each measurement")
    parser.add_argument("--write-docs", action="store_true")
    asked = parser.parse_args()
    found = measured(asked.seconds)
    if asked.write_docs:
        write_document(found)


if __name__ == "__main__":
    main()
