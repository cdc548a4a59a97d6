"""Reading policies, label tables and organisations anew, while requests go on.

Everything is read and checked beside what is in force: a file that is wrong changes nothing. Then the archive of the
policies is kept, a row names both hashes before and after, and only then do requests begin with the new parts. Those
under way end with the old ones. Settings aren't read again: they need a start.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import FrameType
from typing import Final

from connectors.sdk import kernel
from connectors.sdk.errors import ConfigurationError
from gateway import log
from gateway.assembly import joined, read_in_force
from gateway.generations import Generations
from gateway.in_force import RELOADED, InForce, row_of
from gateway.observe import meters
from gateway.parts import Parts
from gateway.running import WORKER, Presence
from gateway.settings import Settings, SettingsError
from gateway.sources import SourceState
from gateway.taking_part import Running, connected, running_in
from gateway.version import VERSION

CHANGING: Final = "The files changed while they were read. Reload again once they are whole."


class Reloader:
    """Reloads the parts of one process, one time after the other, however often it is told to."""

    def __init__(self, generations: Generations, presence: Presence) -> None:
        self._generations = generations
        self._presence = presence
        self._told = False
        self._times = 0
        self._task: asyncio.Task[None] | None = None

    def begin(self, *, is_told: bool) -> None:
        """Say what is in force; where a reload was asked for while the process was starting, only after that."""
        if is_told:
            self.tell()
        else:
            self._say("")

    def tell(self) -> None:
        """Reload soon. Returns at once; told again meanwhile, it is done once more after that."""
        self._told = True
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())

    async def reload(self) -> str:
        """Reload now; what stands against it, or "". Nothing has changed where something does."""
        try:
            await self._reload()
        except Exception as error:  # of whatever kind: whoever reloads waits for a word, and what runs goes on
            ours = isinstance(error, (ConfigurationError, SettingsError))  # no other text is sure to be fit for a log
            log.failed("reload.refused", error, detail=str(error) if ours else "")
            return str(error) or log.type_of(error)
        return ""

    async def aclose(self) -> None:
        """No more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._presence.close()

    async def _work(self) -> None:
        while self._told:
            self._told = False
            error = await self.reload()
            self._times += 1
            self._say(error)

    async def _reload(self) -> None:
        before = self._generations.newest
        settings, lasting = before.settings, before.lasting
        now = await asyncio.to_thread(read_whole, settings, running_in(before.organisations))
        known = _known(before, now)
        fan_out = await connected(now.organisations, settings, lasting.outside.connect, known)
        try:
            parts = joined(lasting, now, fan_out, before)
            await lasting.store.keep_policy(now.policy.hash, now.policy.archive)
            await parts.journal.append(row_of(parts.journal, now, RELOADED, before.in_force))
        except BaseException:
            await asyncio.gather(*(each.connector.aclose() for each in fan_out.states.values()), return_exceptions=True)
            raise
        lasting.latest.in_force = now
        self._generations.replace(parts)
        meters.runs(VERSION, kernel.running(), now.policy.hash)
        log.event("reload.done", policy_hash=now.policy.hash, sources=len(fan_out.states))

    def _say(self, error: str) -> None:
        newest = self._generations.newest
        self._presence.say(
            {
                "policy": newest.policy.hash,
                "organisations": newest.organisations.digest,
                "times": self._times,
                "error": error,
            }
        )


def read_whole(settings: Settings, running: Running) -> InForce:
    """Read twice: a file that was saved in between is half of one and half of the other. Raises ConfigurationError, and
    SettingsError for what production doesn't allow beside what is `running`."""
    first, second = read_in_force(settings, running), read_in_force(settings, running)
    if not first.is_as(second):
        raise ConfigurationError(CHANGING)
    return second


def _known(before: Parts, now: InForce) -> Mapping[str, SourceState]:
    """What is known of sources that are the same ones: a breaker of another system says nothing."""
    return {
        ods: state
        for ods, state in before.fan_out.states.items()
        if (old := before.organisations.get(ods)) is not None
        and (new := now.organisations.get(ods)) is not None
        and (old.connector, old.address) == (new.connector, new.address)
    }


class Reloads:
    """What a process that is about to serve needs, made before it reads a file: a SIGHUP that comes while it starts is
    remembered, and whoever sends one sees that it can be sent. Raises OSError where the data folder can't be written.
    """

    def __init__(self, data: Path) -> None:
        self.is_told = False
        signal.signal(signal.SIGHUP, self._tell)
        self.presence = Presence(data, WORKER)

    def _tell(self, _signal: int, _frame: FrameType | None) -> None:
        self.is_told = True


@asynccontextmanager
async def reloading(generations: Generations, reloads: Reloads | None) -> AsyncIterator[None]:
    """Within, SIGHUP reloads the parts; where it isn't wanted, nothing does."""
    if reloads is None:
        yield
        return
    loop, reloader = asyncio.get_running_loop(), Reloader(generations, reloads.presence)
    loop.add_signal_handler(signal.SIGHUP, reloader.tell)
    reloader.begin(is_told=reloads.is_told)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # by default it would kill a process that is signing its last rows
        await reloader.aclose()
