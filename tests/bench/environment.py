"""An environment for what only the bench needs: HealthChain, whose httpx is older than the gateway's, and matplotlib.

It lives in `build/bench`, is made from a lock with digests, and made again when the lock changes.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.clients.installed import NoRegistry, NotInstalled, alone, pip

LOCK: Final = Path(__file__).resolve().parent / "peers" / "requirements.lock"
PLACE: Final = Path(__file__).resolve().parents[2] / "build" / "bench" / "environment"


class Absent(Exception):
    """The environment can't be had here. The text says why."""


def python(place: Path = PLACE, lock: Path = LOCK) -> Path:
    """Its interpreter; at once where it is there already. Raises Absent."""
    place.mkdir(parents=True, exist_ok=True)
    interpreter, mark = place / "venv" / "bin" / "python", place / "installed"
    wanted = hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()
    with alone(place):
        if not mark.exists() or mark.read_text() != wanted:
            mark.unlink(missing_ok=True)
            shutil.rmtree(place / "venv", ignore_errors=True)
            _make(interpreter, lock)
            mark.write_text(wanted)
    return interpreter


def _make(interpreter: Path, lock: Path) -> None:
    print(f"making an environment of its own: {interpreter.parents[1]}", flush=True)
    try:
        subprocess.run([sys.executable, "-m", "venv", str(interpreter.parents[1])], check=True, capture_output=True)
        pip(interpreter, lock)
    except (NoRegistry, NotInstalled, subprocess.CalledProcessError) as error:
        raise Absent(str(error)) from error
