"""Writes the folder `examples` anew; what isn't wanted any more goes."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from gateway.contracts.examples import EXAMPLES
from tests.examples.make import make


def main() -> None:
    """Make them all, then write: a fault leaves the folder as it was."""
    with tempfile.TemporaryDirectory() as folder:
        made = asyncio.run(make(Path(folder)))
    for file in EXAMPLES.glob("*/*.json"):
        file.unlink()
    for name, text in made.items():
        file = EXAMPLES / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
