"""Step 6: one Ask per source, all at once, one absolute deadline; one Answer per source, always.

Each source has a bulkhead (it can't hold more than its share of the gateway) and a breaker (a source that keeps failing
is left alone, then tried by a single probe). There is no hedging: a second call would write a second row in the
source's own audit. The one retry of a single call lives in `connectors.sdk.http`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from statistics import median
from typing import Final

from connectors.sdk.connector import Connector
from connectors.sdk.errors import NoRecord, Refused, SourceError, SourceTimeout, TooMuch, Withheld
from connectors.sdk.model import Answer, Ask, Gap, Outcome

_GRACE: Final = 0.05
"""Seconds that a connector may overrun the deadline to hand over what it has; then it is cut."""

_OUTCOME_OF: Final[tuple[tuple[type[SourceError], Outcome, Gap], ...]] = (
    (SourceTimeout, Outcome.TIMED_OUT, Gap.TIMED_OUT),
    (Refused, Outcome.REFUSED, Gap.REFUSED),
    (Withheld, Outcome.WITHHELD_BY_SOURCE, Gap.WITHHELD_BY_SOURCE),
    (TooMuch, Outcome.FAILED, Gap.TOO_MUCH),
    (SourceError, Outcome.FAILED, Gap.FAILED),
)


class BreakerState(StrEnum):
    """Closed lets calls through; open doesn't; half-open lets exactly one through."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Breaker:
    """Opens after `failures` failures in a row, for `rest` seconds; then one probe decides.

    `now` is a monotonic clock in seconds.
    """

    def __init__(self, now: Callable[[], float], *, failures: int = 5, rest: float = 10.0) -> None:
        self._now = now
        self._limit = failures
        self._rest = rest
        self._failures = 0
        self._open_until = 0.0
        self._probing = False

    @property
    def state(self) -> BreakerState:
        """As a call would find it now."""
        if self._failures < self._limit:
            return BreakerState.CLOSED
        return BreakerState.HALF_OPEN if self._now() >= self._open_until else BreakerState.OPEN

    def admit(self) -> bool:
        """True where a call may go out. Whoever is admitted must call `success`, `failure` or `abandon` once."""
        state = self.state
        if state is BreakerState.CLOSED:
            return True
        if state is BreakerState.OPEN or self._probing:
            return False
        self._probing = True
        return True

    def success(self) -> None:
        """The source answered."""
        self._failures = 0
        self._probing = False

    def failure(self) -> None:
        """The source did not answer."""
        self._failures = min(self._failures + 1, self._limit)
        self._probing = False
        if self._failures >= self._limit:
            self._open_until = self._now() + self._rest

    def abandon(self) -> None:
        """The call was given up for a reason that says nothing about the source (the caller went away)."""
        self._probing = False


@dataclass(slots=True)
class SourceState:
    """What is known of one source's health, for `GET /sources` and the operator. No patient, no content."""

    breaker: Breaker
    bulkhead: asyncio.Semaphore
    connector: Connector
    recent_ms: deque[float] = field(default_factory=lambda: deque(maxlen=50))
    last_success: datetime | None = None
    last_outcome: Outcome | None = None

    @property
    def typical_ms(self) -> float | None:
        """The median of the last answers, in milliseconds."""
        return median(self.recent_ms) if self.recent_ms else None


class FanOut:
    """Asks sources. `per_source` is how many Asks one source may have under way."""

    def __init__(
        self, connectors: Mapping[str, Connector], *, per_source: int = 32, failures: int = 5, rest: float = 10.0
    ) -> None:
        def now() -> float:
            return asyncio.get_running_loop().time()

        self.states = {
            source: SourceState(Breaker(now, failures=failures, rest=rest), asyncio.Semaphore(per_source), connector)
            for source, connector in connectors.items()
        }

    async def ask(self, asks: Mapping[str, Ask]) -> list[Answer]:
        """One Answer for each Ask, in the order of the Asks. Returns by the latest deadline."""
        return list(await asyncio.gather(*(self._ask_one(source, ask) for source, ask in asks.items())))

    async def _ask_one(self, source: str, ask: Ask) -> Answer:
        state = self.states[source]
        loop = asyncio.get_running_loop()
        started = loop.time()
        if not state.breaker.admit():
            return _without(source, ask, Outcome.NOT_ASKED, Gap.NOT_ASKED, "has not been answering and is left alone")
        try:
            answer = await self._within_bulkhead(source, ask, state)
        except BaseException:
            state.breaker.abandon()
            raise
        answer.took_ms = round((loop.time() - started) * 1000, 1)
        _note(state, answer)
        return answer

    async def _within_bulkhead(self, source: str, ask: Ask, state: SourceState) -> Answer:
        try:
            async with asyncio.timeout_at(ask.deadline):
                await state.bulkhead.acquire()
        except TimeoutError:
            return _without(source, ask, Outcome.NOT_ASKED, Gap.NOT_ASKED, "is too busy to be asked now")
        try:
            async with asyncio.timeout_at(ask.deadline + _GRACE):
                return await state.connector.ask(ask)
        except NoRecord as error:
            return Answer(source, Outcome.NO_RECORD, told=error.told)
        except SourceError as error:
            outcome, gap = next((outcome, gap) for kind, outcome, gap in _OUTCOME_OF if isinstance(error, kind))
            return _without(source, ask, outcome, gap, error.told, f"{type(error).__name__}: {error}")
        except TimeoutError:
            return _without(source, ask, Outcome.TIMED_OUT, Gap.TIMED_OUT, SourceTimeout.told, "overran its deadline")
        except Exception as error:  # a connector's own fault must cost its own organisation only
            return _without(source, ask, Outcome.FAILED, Gap.FAILED, SourceError.told, f"fault: {type(error).__name__}")
        finally:
            state.bulkhead.release()


def _without(source: str, ask: Ask, outcome: Outcome, gap: Gap, told: str, detail: str = "") -> Answer:
    """An Answer that brings nothing: every asked section has a gap."""
    return Answer(source, outcome, gaps=dict.fromkeys(sorted(ask.sections), gap), told=told, detail=detail)


def _note(state: SourceState, answer: Answer) -> None:
    state.last_outcome = answer.outcome
    if answer.outcome is Outcome.NOT_ASKED:
        state.breaker.abandon()
    elif _is_unwell(answer):
        state.breaker.failure()
    else:
        state.breaker.success()
        state.recent_ms.append(answer.took_ms)
        state.last_success = datetime.now(UTC)


def _is_unwell(answer: Answer) -> bool:
    """A refusal is an answer; silence and errors, also in every single section, are not."""
    if answer.outcome is Outcome.PARTIAL:
        return len(answer.items) <= 1 and set(answer.gaps.values()) <= {Gap.TIMED_OUT, Gap.FAILED}
    return answer.outcome in (Outcome.TIMED_OUT, Outcome.FAILED)
