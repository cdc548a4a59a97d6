"""The journal a second time, as a file beside the store: raw rows with their salts and commitments, a line each.

The file is its own position: it holds the log's rows from the first on without a gap, and whoever follows goes on after
its last whole line. A line that a crash tore is cut off; nothing else in the file is ever changed by a follower.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from gateway.audit.followers.lines import SinkBroken, SinkLine, decoded, encoded
from gateway.audit.followers.model import SINK, CopyFailed, CopyStopped, Followed
from gateway.store.interface import Entry, StoreUnusable

MOST_AT_ONCE: Final = 1000
_STEP: Final = 64 * 1024


def require_usable(path: Path) -> None:
    """Raises StoreUnusable with a sentence where the file can't be written: a gateway that was told to keep a copy
    doesn't start without one."""
    try:
        os.close(_opened(path))
    except OSError as error:
        raise StoreUnusable(
            f"audit_sink: {path} can't be written ({error.strerror}). Mend its folder, or take the setting out."
        ) from error


class Sink:
    """`Copy` in a file. `store` is asked whether the file's last row is the log's own."""

    name: Final = SINK
    most: Final = MOST_AT_ONCE

    def __init__(self, path: Path, store: Followed) -> None:
        self._path = path
        self._store = store
        self._file: SinkFile | None = None

    async def begin(self, position: int) -> int:
        """See Copy. The file is believed, not the position: it may have been lost, or be ahead by a crash."""
        self._file = await _open(self._path)
        last = self._file.last
        if last is None:
            return 0
        async for batch in self._store.entries(after=last.seq - 1, until=last.seq):
            if [SinkLine.of(entry).commitment for entry in batch] == [last.commitment]:
                return last.seq
        raise CopyStopped("the sink holds a row that the store doesn't: one of them was replaced", last.seq)

    async def take(self, entries: Sequence[Entry]) -> int:
        """See Copy."""
        if self._file is None:
            raise CopyFailed("the sink isn't open")
        await asyncio.to_thread(self._file.append, b"".join(map(encoded, entries)))
        return entries[-1].leaf.seq

    async def end(self) -> None:
        """See Copy. It waits for a write that is under way, which no cancelling can stop."""
        file, self._file = self._file, None
        if file is not None:
            await asyncio.to_thread(file.close)

    async def aclose(self) -> None:
        """See Copy."""
        await self.end()


async def _open(path: Path) -> SinkFile:
    """The file, opened in a thread: a sick disk must not hold the event loop. Whoever is cancelled meanwhile leaves no
    lock behind."""
    opening = asyncio.ensure_future(asyncio.to_thread(SinkFile, path))
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_let_go)
        raise


def _let_go(opening: asyncio.Future[SinkFile]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


class SinkFile:
    """The open file, locked against every other writer on this machine. `last` is its last line; None where it has
    none. Raises CopyFailed where another process writes to it, SinkBroken where it isn't a sink, and OSError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._busy = threading.Lock()
        self._closed = False
        self._file = _opened(path)
        try:
            self._lock()
            self._size = self._repaired()
            self.last = self._last_line()
        except BaseException:
            os.close(self._file)
            raise

    def append(self, lines: bytes) -> None:
        """Returns once the lines are on the disk. Where they can't be, the file is cut back to what it was."""
        with self._busy:
            if self._closed:  # its number may be another file's by now
                raise CopyFailed("the sink isn't open")
            if self._is_replaced():
                raise CopyFailed("the sink's file was moved or replaced")
            try:
                _write(self._file, lines)
                os.fsync(self._file)
            except OSError:
                with suppress(OSError):  # what is left is cut off at the next opening, or is whole
                    os.ftruncate(self._file, self._size)
                raise
            self._size += len(lines)

    def close(self) -> None:
        """Close it, and let somebody else write."""
        with self._busy:
            if not self._closed:
                self._closed = True
                os.close(self._file)

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CopyFailed("another process writes to the sink") from error

    def _repaired(self) -> int:
        """Cut off what follows the last line break; returns the size. What stays is on the disk by then."""
        size = os.fstat(self._file).st_size
        end = _after_last_break(self._file, size)
        if end < size:
            os.ftruncate(self._file, end)
        os.fsync(self._file)
        return end

    def _last_line(self) -> SinkLine | None:
        if not self._size:
            return None
        start = _after_last_break(self._file, self._size - 1)
        return decoded(os.pread(self._file, self._size - start, start))

    def _is_replaced(self) -> bool:
        ours = os.fstat(self._file)
        try:
            there = os.stat(self._path)
        except FileNotFoundError:
            return True
        return (ours.st_dev, ours.st_ino) != (there.st_dev, there.st_ino)


def _opened(path: Path) -> int:
    """The file for appending, made where it isn't there, open to its owner alone."""
    is_new = not path.exists()
    file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.fchmod(file, 0o600)
        if is_new:
            keep_name(path.absolute().parent)
    except BaseException:
        os.close(file)
        raise
    return file


def keep_name(folder: Path) -> None:
    """A file whose name isn't on the disk is lost with the next crash, whatever is in it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write(file: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(file, left) :]


def _after_last_break(file: int, size: int) -> int:
    """Where the line that ends at `size` begins: after the last line break before it."""
    end = size
    while end > 0:
        start = max(0, end - _STEP)
        found = os.pread(file, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


__all__ = ["MOST_AT_ONCE", "Sink", "SinkBroken", "SinkFile", "require_usable"]
