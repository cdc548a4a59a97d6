"""Where the processor time of a record goes, as a flame graph by py-spy.

    python -m tests.bench.flame [--seconds N] [FILE.svg]

A gateway answers record after record meanwhile. Only what holds the interpreter is counted. Widths are shares, so a
busy machine does them little harm; the frames of the server and its framework stand first, the record's steps follow
`Records._look`.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from tests.bench import report
from tests.bench.environment import python
from tests.bench.load import client, fetch, warm
from tests.bench.world import EVEN, World
from tests.processes import identity_provider

DRAWN: Final = report.DOCUMENT.parent / "performance" / "flame.svg"
_A_SECOND: Final = 1000
_WARM: Final = 10
_COMMAND: Final = re.compile(r'(?<=<text id="title")([^>]*>)[^<]*')
"""py-spy's title is its own command line, with the paths of whoever drew."""


async def draw(world: World, seconds: int, file: Path) -> None:
    """Records of 1.1 MB, one after the other, until the picture is there. Raises CalledProcessError where py-spy fails:
    it must be allowed to look at other processes of this user."""
    server = await world.gateway("sqlite", world.sources(EVEN))
    async with client() as session:
        await warm(session, server, EVEN.expected, _WARM)
        looking = await asyncio.create_subprocess_exec(
            *(python().parent / "py-spy", "record", "--gil", "--nonblocking"),
            *("--pid", str(server.pids[0]), "--rate", str(_A_SECOND), "--duration", str(seconds)),
            *("--format", "flamegraph", "--output", file),
            stdout=subprocess.DEVNULL,
        )
        while looking.returncode is None:
            await fetch(session, server)
    if looking.returncode:
        raise subprocess.CalledProcessError(looking.returncode, "py-spy")


def main() -> None:
    """Draw, and say where."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.flame", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("file", nargs="?", type=Path, default=DRAWN)
    parser.add_argument("--seconds", type=int, default=20)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="connectcare-flame-") as name:
        folders = [Path(name) / part for part in ("identity", "world")]
        for folder in folders:
            folder.mkdir()
        with identity_provider(folders[0]) as issuer, World(folders[1], issuer) as world:
            asyncio.run(draw(world, asked.seconds, asked.file))
    asked.file.write_text(_COMMAND.sub(r"\1A record of 1.1 MB", asked.file.read_text()))
    print(f"{asked.file} is drawn.")


if __name__ == "__main__":
    main()
