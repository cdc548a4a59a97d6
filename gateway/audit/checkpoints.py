"""The checkpointer: every few seconds, and at close, what the journal holds is signed, so that it can't be unsaid.

A background task of each worker. Whoever comes first writes the checkpoint; the others notice (`expected`), and go on
from there. It works beside the gateway, never in its way: a failure is logged with an alarm and tried again, rows go on
being written, and `connectcare audit verify` says how many are not signed. The hashing is done in threads, and a long
tail of unsigned rows in steps, so that it never holds the event loop.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

from gateway import log
from gateway.audit.log.checkpoint import Checkpoint, PublicKey, SigningKey, open_note
from gateway.audit.log.patient_map import EMPTY, MapDamaged, updated
from gateway.audit.log.signer import LocalSigner, Signer, SignerAhead, SignerClient, sign_extending
from gateway.store.interface import CheckpointStore, LogStore
from gateway.store.kept import KeptCheckpoint
from gateway.store.moments import Clock

AT_ONCE: Final = 5_000
"""Rows at most that one checkpoint adds to the one before it."""

CLOSING_SECONDS: Final = 10.0
_LONGEST_REST: Final = 300.0
_STATE: Final = "last-checkpoint.note"
_DEMO_KEY: Final = "checkpoint.key"


class LogForked(Exception):
    """The rows that are stored aren't those that the newest checkpoint signed. Nothing more is signed."""


class Checkpointed(LogStore, CheckpointStore, Protocol):
    """What the checkpointer needs of a store."""


class CheckpointSettings(Protocol):
    """What says which key signs. `checkpoint_signer` is the socket of a signer, and `checkpoint_public` its key."""

    @property
    def checkpoint_key(self) -> Path | None: ...
    @property
    def checkpoint_signer(self) -> Path | None: ...
    @property
    def checkpoint_public(self) -> Path | None: ...
    @property
    def data_dir(self) -> Path: ...
    @property
    def log_origin(self) -> str: ...


def signer_of(settings: CheckpointSettings) -> Signer:
    """Who signs: the signer behind its socket, the key that is named, or (in the demo alone, since production settings
    demand one of the two) a key in the data folder. Raises ValueError with what to do."""
    if settings.checkpoint_signer is not None and settings.checkpoint_public is not None:
        return SignerClient(settings.checkpoint_signer, load_public(settings.checkpoint_public))
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = settings.checkpoint_key or settings.data_dir / _DEMO_KEY
    if settings.checkpoint_key is None and not file.exists():
        with suppress(FileExistsError):  # another worker was first
            new_key(file, settings.log_origin)
    return LocalSigner(SigningKey.load(file), settings.data_dir / _STATE)


def load_public(file: Path) -> PublicKey:
    """The key to verify with, from its file. Raises ValueError with what to do."""
    try:
        return PublicKey.parse(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"The public key {file} can't be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"The public key {file} isn't one: it is a line of text, name+id+base64.") from error


def new_key(file: Path, origin: str) -> Path:
    """Write a new signing key and, beside it, `FILE.pub` to give away; returns that one's path. Raises FileExistsError
    rather than replace one, and ValueError for a name that no log can have."""
    key = SigningKey.new(origin)
    key.save(file)
    public = file.with_name(f"{file.name}.pub")
    public.write_text(f"{key.public}\n", encoding="utf-8")
    return public


class Checkpointer:
    """Signs what a store's log holds, every `seconds`."""

    def __init__(self, store: Checkpointed, signer: Signer, clock: Clock, seconds: float) -> None:
        self._store = store
        self._signer = signer
        self._clock = clock
        self._seconds = seconds
        self._ends = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._failures = 0

    @property
    def public(self) -> PublicKey:
        """The key that the checkpoints are verified with."""
        return self._signer.public

    def start(self) -> None:
        """Begin, until `aclose`."""
        self._task = asyncio.create_task(self._run())

    async def aclose(self) -> None:
        """Sign what isn't signed yet, and stop. It must come before the store is closed. Raises nothing."""
        self._ends.set()
        if self._task is None:
            return
        try:
            async with asyncio.timeout(CLOSING_SECONDS):
                await self._task
        except TimeoutError as error:
            log.failed("checkpoint.unfinished", error, alarm="checkpoint-failed")

    async def _run(self) -> None:
        ending = False
        while not ending:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ends.wait(), self._rest())
            ending = self._ends.is_set()
            await self._attempt()

    def _rest(self) -> float:
        """Seconds until the next attempt: longer and longer while they fail."""
        return min(self._seconds * float(1 << min(self._failures, 10)), max(self._seconds, _LONGEST_REST))

    async def _attempt(self) -> None:
        """Sign all there is. Nothing that goes wrong here may stop a gateway that writes its rows."""
        started = time.monotonic()
        try:
            await self._sign_all()
        except Exception as error:
            self._failures += 1
            log.failed(
                "checkpoint.failed",
                error,
                level=logging.ERROR,
                alarm="checkpoint-failed",
                attempt=self._failures,
                took_ms=round((time.monotonic() - started) * 1000),
            )
        else:
            self._failures = 0

    async def _sign_all(self) -> None:
        """What is there now. Rows that come meanwhile are for the next time: under load some always do, and it would
        never rest."""
        until = await self._store.log_size()
        while await self.checkpoint():
            newest = await self._newest()
            if newest is not None and newest.size >= until:
                return

    async def standing(self) -> tuple[int, int, float | None]:
        """How many rows the log holds, how many of them aren't signed, and the seconds since the newest checkpoint was
        made; None where there is none. Raises NotSigned, AuditUnavailable."""
        rows, newest = await self._store.log_size(), await self._newest()
        if newest is None:
            return rows, rows, None
        return rows, max(0, rows - newest.size), (self._clock() - newest.at).total_seconds()

    async def checkpoint(self) -> bool:
        """One checkpoint, if rows were added since the newest; False where there is nothing more to sign.

        Raises NoSignature, AuditUnavailable, MapDamaged, NotSigned, LogForked.
        """
        newest = await self._newest()
        before = newest.size if newest is not None else 0
        size = min(await self._store.log_size(), before + AT_ONCE)
        if newest is not None and (size < before or await self._store.range_hash(0, before) != newest.root):
            if await self._newest() != newest:
                return True  # another worker was first
            raise LogForked("the rows aren't those that the newest checkpoint signed")
        if size == before:
            return False
        try:
            checkpoint, changes = await self._made(before, size, newest.map_root if newest is not None else EMPTY)
            note = await sign_extending(self._signer, checkpoint, self._store.range_hash)
        except (MapDamaged, SignerAhead):
            if await self._newest() != newest:
                return True  # another worker, or somebody who waits for a report, was first
            raise
        # False where another worker was first: then that one's is there to go on from.
        await self._store.add_checkpoint(KeptCheckpoint(size, note), changes, before)
        return True

    async def _newest(self) -> Checkpoint | None:
        kept = await self._store.newest_checkpoint()
        return open_note(kept.note, self._signer.public) if kept is not None else None

    async def _made(self, before: int, size: int, map_root: bytes) -> tuple[Checkpoint, dict[bytes, bytes | None]]:
        """The checkpoint, and the map's nodes that it changes."""
        root = await self._store.range_hash(0, size)
        holdings = await self._store.holdings(after=before, until=size)
        new_root, changes = await updated(holdings, self._nodes, expected=map_root)
        return Checkpoint(self.public.origin, size, root, new_root, self._clock(), before), changes

    async def _nodes(self, paths: Sequence[bytes]) -> dict[bytes, bytes]:
        return await self._store.map_nodes(paths)
