"""Canary strings stand in every sandbox resource: none may be found in any file that a test run leaves behind."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

CANARY = re.compile(rb"CANARY-[A-Z0-9]{2,6}-[0-9a-f]{8}")


def leaked(folder: Path) -> Iterator[tuple[Path, str]]:
    """Every file below the folder (stores, journals, logs, temporary files) that holds a canary, and the canary."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            found = CANARY.search(path.read_bytes())
            if found:
                yield path, found[0].decode()
