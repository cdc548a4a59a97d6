"""What is known of each source, and the connector in front of it.

An organisation with an entry of its own is connected when the gateway starts, for as long as it runs. One of thousands
of practices is connected when somebody first asks it: of these so many are kept, and the one that was asked longest ago
is let go and closed, never while a call to it is under way.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from statistics import median
from typing import Any, Final

from connectors.sdk.connector import Connector
from connectors.sdk.model import Outcome, Section
from gateway import log
from gateway.breaker import Breaker

MOST_KEPT: Final = 256
"""Practices that stay connected. A connection costs a pool of sockets and perhaps a TLS context."""
PRACTICES: Final = "gp-practice"
"""What stands in metrics and spans for every practice that a patient led to: there are thousands, and the name of one,
beside the time, would say where somebody is registered."""
_CLOSING_SECONDS: Final = 5.0


class NotAsked(Exception):
    """A source that isn't to be asked: nobody knows it, or it doesn't take part now."""


class NotConnected(Exception):
    """The connector of a source could not be built: its secret is gone, say. The log has the reason."""


@dataclass(slots=True)
class SourceState:
    """What is known of one source's health, for `GET /sources` and the operator. No patient, no content.

    `asking` counts the Asks that hold it now; `under_way` are the calls, those that were left behind too. `unwell` are
    the sections that came to silence or an error when they were last asked for. `last_quarantine` is when it last sent
    something that wasn't proven to be about the patient who was asked for. `label` is what metrics and spans call it.
    """

    breaker: Breaker
    bulkhead: asyncio.Semaphore
    connector: Connector
    label: str = PRACTICES
    recent_ms: deque[float] = field(default_factory=lambda: deque(maxlen=50))
    last_success: datetime | None = None
    last_outcome: Outcome | None = None
    last_quarantine: datetime | None = None
    unwell: set[Section] = field(default_factory=set)
    under_way: set[asyncio.Task[Any]] = field(default_factory=set)
    asking: int = 0

    @property
    def typical_ms(self) -> float | None:
        """The median of the last answers, in milliseconds."""
        return median(self.recent_ms) if self.recent_ms else None

    @property
    def is_idle(self) -> bool:
        """True where it can be let go."""
        return not self.asking and not self.under_way


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one source: Asks under way, failures in a row that open its breaker, seconds of rest. And how many stay."""

    per_source: int = 32
    failures: int = 5
    rest: float = 10.0
    most_kept: int = MOST_KEPT


class Sources:
    """The states of all sources that were connected.

    `known` is what was known of sources by those whose place these take: their breakers, places and figures go on
    behind new connectors. `connectors` are those of organisations with an entry of their own. `connect` builds the
    connector of any other source; it raises NotAsked for one that isn't to be.
    """

    def __init__(
        self,
        connectors: Mapping[str, Connector],
        connect: Callable[[str], Connector],
        limits: Limits,
        known: Mapping[str, SourceState] | None = None,
    ) -> None:
        self._connect = connect
        self._limits = limits
        self._known = dict(known or {})
        self._lasting = {source: self._state(source, connector, source) for source, connector in connectors.items()}
        self._kept: OrderedDict[str, SourceState] = OrderedDict()
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def states(self) -> dict[str, SourceState]:
        """Those that are connected now; of practices, the one that was asked last stands last."""
        return {**self._lasting, **self._kept}

    @contextmanager
    def hold(self, source: str) -> Iterator[SourceState]:
        """The state of a source, which stays connected within the block.

        Raises NotAsked for one that isn't to be, NotConnected where its connector can't be built.
        """
        state = self._lasting.get(source) or self._practice(source)
        state.asking += 1
        try:
            yield state
        finally:
            state.asking -= 1

    async def aclose(self) -> None:
        """Wait for connectors that were let go and are still closing."""
        await asyncio.gather(*self._closing)

    def _practice(self, source: str) -> SourceState:
        state = self._kept.get(source)
        if state is None:
            state = self._kept[source] = self._state(source, self._connected(source))
            self._let_go(source)
        self._kept.move_to_end(source)
        return state

    def _connected(self, source: str) -> Connector:
        try:
            return self._connect(source)
        except NotAsked:
            raise
        except Exception as error:
            log.failed("source.connect-failed", error, source=source)
            raise NotConnected(source) from error

    def _state(self, source: str, connector: Connector, label: str = PRACTICES) -> SourceState:
        if known := self._known.pop(source, None):
            return replace(known, connector=connector, label=label, under_way=set(), asking=0)

        def now() -> float:
            return asyncio.get_running_loop().time()

        limits = self._limits
        breaker = Breaker(now, failures=limits.failures, rest=limits.rest)
        return SourceState(breaker, asyncio.Semaphore(limits.per_source), connector, label)

    def _let_go(self, latest: str) -> None:
        """Close those asked longest ago, until no more are kept than may be; one that is in use stays."""
        idle = [source for source, state in self._kept.items() if state.is_idle and source != latest]
        for source in idle[: max(0, len(self._kept) - self._limits.most_kept)]:
            task = asyncio.create_task(_close(source, self._kept.pop(source).connector))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)


async def _close(source: str, connector: Connector) -> None:
    try:
        async with asyncio.timeout(_CLOSING_SECONDS):
            await connector.aclose()
    except Exception as error:
        log.failed("source.close-failed", error, source=source)
