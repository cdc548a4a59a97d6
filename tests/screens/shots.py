"""Pictures of the pages' main states, to be looked at and judged: `make shots` writes them to docs/screens.

Each module beside this one whose name begins with `states_` has its states in `STATES`, in a world of its own (`WORLD`
are settings of it, where it has any).
"""

from __future__ import annotations

import asyncio
import importlib
import sys
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from tests.screens.conftest import Screen, World, served

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "screens"
_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Shot:
    """One state: `reach` leads a fresh window of this width to it. `print_view`: as it comes out of a printer;
    without `whole`, what the window shows of it."""

    name: str
    reach: Callable[[World, Screen], Awaitable[None]]
    width: int = 1280
    print_view: bool = False
    whole: bool = True


async def take(shot: Shot, world: World, folder: Path) -> Path:
    """The page as a picture."""
    async with world.screen(width=shot.width) as screen:
        await shot.reach(world, screen)
        if shot.print_view:
            await screen.page.emulate_media(media="print")
        path = folder / f"{shot.name}.png"
        await screen.page.screenshot(path=str(path), full_page=shot.whole)
        return path


async def take_all(names: list[str]) -> None:
    """Those whose names begin with any of these; all, where none is given."""
    FOLDER.mkdir(exist_ok=True)
    for module in sorted(file.stem for file in _HERE.glob("states_*.py")):
        found = importlib.import_module(f"tests.screens.{module}")
        states: list[Shot] = found.STATES
        wanted = [shot for shot in states if not names or shot.name.startswith(tuple(names))]
        if wanted:
            with tempfile.TemporaryDirectory() as data:
                async with served(Path(data), **getattr(found, "WORLD", {})) as world:
                    for shot in wanted:
                        print(await take(shot, world, FOLDER))


if __name__ == "__main__":
    asyncio.run(take_all(sys.argv[1:]))
