"""A Unix socket to listen at, closed to others from its first moment and gone afterwards."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gateway.audit.log.notary import SignerUnavailable


@contextmanager
def listening(path: Path, mode: int) -> Iterator[socket.socket]:
    """A socket bound to the path with this mode. One that a dead process left is replaced; raises `SignerUnavailable`
    where somebody listens there, or nobody can. Sets the process's umask for a moment: for one without threads."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        umask = os.umask(0o777 & ~mode)
        try:
            _clear(path)
            sock.bind(os.fspath(path))
        except OSError as error:
            raise SignerUnavailable(f"The signer can't listen at {path}: {error.strerror or error}") from error
        finally:
            os.umask(umask)
        try:
            yield sock
        finally:
            path.unlink(missing_ok=True)


def _clear(path: Path) -> None:
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise SignerUnavailable(f"The signer can't listen at {path}: there is a file that isn't a socket")
        if _answers(path):
            raise SignerUnavailable(f"Another signer listens at {path} already")
        path.unlink()


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as knocking:
        try:
            knocking.connect(os.fspath(path))
        except ConnectionRefusedError:
            return False
    return True
