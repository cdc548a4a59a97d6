"""Who decides whether to sign a checkpoint: a key, and a durable memory of what it signed last.

It signs only what a consistency proof shows to extend that, so nobody who can ask it can have two histories signed, nor
a shorter one. The patients' map and the time are the asker's word: of the map it only makes sure that the same rows
never have two. The memory is the last note itself, on the disk before anybody gets it: whoever is told nothing, since
the process died in between, asks again and gets the same note.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from gateway.audit.log.checkpoint import Checkpoint, NotSigned, SigningKey, open_note
from gateway.audit.log.tree import EMPTY_ROOT, ProofFailed, verify_consistency


class NoSignature(Exception):
    """The checkpoint isn't signed. The text says why."""


class SignerRefused(NoSignature):
    """The signer won't sign this, now or ever: the log isn't the one whose checkpoints it signed."""


class SignerUnavailable(NoSignature):
    """The signer can't be asked, or can't remember durably what it would sign."""


class Notary:
    """Signs each checkpoint that extends the last. Blocks while it writes; any number of threads may call it, and any
    number of processes that share the file. Without a file it remembers for as long as it lives."""

    def __init__(self, key: SigningKey, state_file: Path | None) -> None:
        self._key = key
        self._public = key.public
        self._file = state_file
        self._note: str | None = None
        self._busy = Lock()

    def last(self) -> str | None:
        """The note that it signed last. Raises `SignerUnavailable`."""
        with self._alone():
            return self._remembered()

    def sign(self, checkpoint: Checkpoint, proof: Sequence[bytes]) -> str:
        """The note; the one from before where the same rows were signed already, after the same kept checkpoint
        (another worker's may have come between). `proof` shows that the checkpoint extends `last`, and is empty where
        there is none. Raises `NoSignature`."""
        with self._alone():
            before = self._remembered()
            last = None if before is None else open_note(before, self._public)
            if checkpoint.origin != self._key.origin:
                raise SignerRefused(f"This signer signs for {self._key.origin} alone")
            if before is not None and last is not None and last.size == checkpoint.size:
                _same_or_refuse(last, checkpoint)
                if last.before == checkpoint.before:
                    return before
            _extends_or_refuse(last, checkpoint, proof)
            note = self._key.sign(checkpoint)
            self._remember(note)
            return note

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other threads out, and other processes that remember in the same file."""
        with self._busy:
            if self._file is None:
                yield
                return
            try:
                descriptor = os.open(f"{self._file}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except OSError as error:
                raise self._unavailable("can't be locked", error) from error
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                yield
            finally:
                os.close(descriptor)

    def _remembered(self) -> str | None:
        """The last note; the file's where there is one, since another process may have signed since."""
        note = self._note if self._file is None else self._read(self._file)
        if self._size(note) < self._size(self._note):
            raise SignerUnavailable(
                f"What the signer remembers ({self._file}) was put back to an older state, or removed, while it ran"
            )
        self._note = note
        return note

    def _size(self, note: str | None) -> int:
        try:
            return -1 if note is None else open_note(note, self._public).size
        except NotSigned as error:
            raise SignerUnavailable(
                f"What the signer remembers ({self._file}) isn't what this key signed. Put the newest note back "
                "that it signed: the store's newest checkpoint, where nobody altered that"
            ) from error

    def _read(self, path: Path) -> str | None:
        try:
            return path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise self._unavailable("can't be read", error) from error

    def _remember(self, note: str) -> None:
        """On the disk, and findable there, before anybody is told."""
        if self._file is not None:
            try:
                _replace_durably(self._file, note)
            except OSError as error:
                raise self._unavailable("can't be written", error) from error
        self._note = note

    def _unavailable(self, what: str, error: Exception) -> SignerUnavailable:
        why = error.strerror if isinstance(error, OSError) else "not text"
        return SignerUnavailable(f"What the signer remembers ({self._file}) {what}: {why}")


def _same_or_refuse(last: Checkpoint, checkpoint: Checkpoint) -> None:
    if checkpoint.root != last.root:
        raise SignerRefused(f"Another log of {last.size} rows was signed already: this one was forked or rewritten")
    if checkpoint.map_root != last.map_root:
        raise SignerRefused(f"Another patients' map was signed already for the same {last.size} rows")


def _extends_or_refuse(last: Checkpoint | None, checkpoint: Checkpoint, proof: Sequence[bytes]) -> None:
    size, root = (last.size, last.root) if last else (0, EMPTY_ROOT)
    if checkpoint.size < size:
        raise SignerRefused(f"The log had {size} rows when it was last signed, and has {checkpoint.size} now")
    try:
        verify_consistency(size, checkpoint.size, root, checkpoint.root, proof)
    except ProofFailed as failed:
        raise SignerRefused(
            f"The log isn't shown to extend the one of {size} rows that was signed: {failed}"
        ) from failed


def _replace_durably(path: Path, text: str) -> None:
    """Either the old content or the new, whatever happens, and the new once this returns."""
    beside = path.with_name(f"{path.name}.new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
