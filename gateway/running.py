"""Where the processes of a running gateway say that they run, so that a command finds them, and only them.

A file each in `data_dir/run/`, held by a lock for as long as the process lives: the kernel drops it however the process
ends, so a file that was left behind is never taken for a process, nor its number for somebody else's.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Final

_FOLDER: Final = "run"
MAIN: Final = "gateway"
"""The process that is told things: it tells its workers."""
WORKER: Final = "worker"
_LOOK_SECONDS: Final = 0.002
_LOOKS: Final = 500


class Presence:
    """This process, as a file. `what` is MAIN or WORKER. Raises OSError where the folder can't be written."""

    def __init__(self, data: Path, what: str) -> None:
        folder = data / _FOLDER
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = folder / f"{what}-{os.getpid()}.json"
        self._descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        self.say({})

    def say(self, state: dict[str, Any]) -> None:
        """What whoever looks finds."""
        content = json.dumps({**state, "pid": os.getpid()}).encode()
        os.pwrite(self._descriptor, content, 0)
        os.ftruncate(self._descriptor, len(content))

    def close(self) -> None:
        """Gone."""
        self._file.unlink(missing_ok=True)
        os.close(self._descriptor)


def present(data: Path, what: str) -> list[dict[str, Any]]:
    """What the processes that live say. One that is just writing is waited for: who isn't listed isn't told things."""
    return sorted(_held((data / _FOLDER).glob(f"{what}-*.json")), key=lambda state: int(state["pid"]))


def _held(files: Iterator[Path]) -> Iterator[dict[str, Any]]:
    for file in files:
        with suppress(OSError, ValueError), file.open("rb") as opened:
            try:
                fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                yield _said(opened)


def _said(opened: BinaryIO) -> dict[str, Any]:
    """What stands there once it is whole. Raises ValueError where it doesn't become so."""
    for _ in range(_LOOKS):
        opened.seek(0)
        with suppress(ValueError):
            return dict(json.loads(opened.read()))
        time.sleep(_LOOK_SECONDS)
    raise ValueError("never whole")
