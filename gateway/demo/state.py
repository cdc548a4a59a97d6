"""Where a running demo says that it runs, so that `connectcare demo token` finds it.

One file for each port, in a folder that only this user can read. It holds addresses and the demo's made-up people.
"""

from __future__ import annotations

import getpass
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import msgspec


class NoDemo(LookupError):
    """No demo runs, or several do. The text says what to do."""


def folder() -> Path:
    """This user's own folder. Raises NoDemo where somebody else made it."""
    path = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()) / f"connectcare-demo-{getpass.getuser()}"
    path.mkdir(mode=0o700, exist_ok=True)
    if path.is_symlink() or path.stat().st_uid != os.getuid():
        raise NoDemo(f"{path} belongs to somebody else. Remove it, or set XDG_RUNTIME_DIR.")
    return path


def announce(port: int, state: dict[str, Any]) -> Path:
    """Say that a demo runs on this port. The file goes when the demo stops."""
    file = folder() / f"{port}.json"
    write_state(file, {**state, "pid": os.getpid()})
    return file


def find(port: int | None) -> dict[str, Any]:
    """The state of the running demo: on that port, or the only one there is. Raises NoDemo."""
    running = {int(file.stem): state for file in folder().glob("*.json") if (state := _alive(file))}
    if port is not None:
        if port not in running:
            raise NoDemo(f"No demo runs on port {port}. Start one: connectcare demo --port {port}")
        return running[port]
    if not running:
        raise NoDemo("No demo runs. Start one: make demo")
    if len(running) > 1:
        ports = ", ".join(str(number) for number in sorted(running))
        raise NoDemo(f"Several demos run, on ports {ports}. Say which: --port N")
    return next(iter(running.values()))


def settings_file(port: int | None) -> Path | None:
    """The settings that a command without --config means: the running demo's; None where CONNECTCARE_ variables say
    them. Raises NoDemo."""
    if port is None and any(name.startswith("CONNECTCARE_") for name in os.environ):
        return None
    return Path(find(port)["settings"])


def _alive(file: Path) -> dict[str, Any] | None:
    try:
        state: dict[str, Any] = msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
        os.kill(int(state["pid"]), 0)
    except (OSError, ValueError, KeyError, msgspec.DecodeError):
        return None
    return state


def write_state(path: Path, state: dict[str, object]) -> None:
    """Write the file so that a reader finds all of it or nothing, and nobody else's user reads it."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".new")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(state, file)
    os.replace(name, path)
