"""Step 6: one Ask per source, all at once, one absolute deadline; one Answer per source, always.

Each source has a bulkhead (it can't hold more than its share of the gateway) and a breaker (a source that keeps failing
is left alone, then tried by a single probe). There is no hedging: a second call would write a second row in the
source's own audit. The one retry of a single call lives in `connectors.sdk.http`.

Nothing that a connector does may cost another organisation's part or the caller's time: whatever it raises, returns or
ignores, its Ask ends in one Answer by the deadline. A call that will not stop is left behind; it keeps its place in the
bulkhead until it ends, so that such calls can't pile up.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from statistics import median
from typing import Final

from connectors.sdk.connector import Connector
from connectors.sdk.errors import Ambiguous, NoRecord, Refused, SourceError, SourceTimeout, TooMuch, Withheld
from connectors.sdk.model import Answer, Ask, Gap, Outcome, Section
from gateway.breaker import Breaker, BreakerState

_GRACE: Final = 0.05
"""Seconds that a connector may overrun the deadline to hand over what it has; then it is cut."""

_OUTCOME_OF: Final[tuple[tuple[type[SourceError], Outcome, Gap], ...]] = (
    (SourceTimeout, Outcome.TIMED_OUT, Gap.TIMED_OUT),
    (Refused, Outcome.REFUSED, Gap.REFUSED),
    (Withheld, Outcome.WITHHELD_BY_SOURCE, Gap.WITHHELD_BY_SOURCE),
    (TooMuch, Outcome.FAILED, Gap.TOO_MUCH),
    (Ambiguous, Outcome.FAILED, Gap.HELD_BACK),
    (SourceError, Outcome.FAILED, Gap.FAILED),
)
_SILENT: Final = frozenset({Gap.TIMED_OUT, Gap.FAILED})
"""Gaps that speak against the source's health. One patient's record that is too large, or held twice, does not."""
_SERVED: Final = frozenset({Outcome.ANSWERED, Outcome.PARTIAL, Outcome.NO_RECORD, Outcome.WITHHELD_BY_SOURCE})


@dataclass(slots=True)
class SourceState:
    """What is known of one source's health, for `GET /sources` and the operator. No patient, no content."""

    breaker: Breaker
    bulkhead: asyncio.Semaphore
    connector: Connector
    recent_ms: deque[float] = field(default_factory=lambda: deque(maxlen=50))
    last_success: datetime | None = None
    last_outcome: Outcome | None = None
    under_way: set[asyncio.Task[Answer]] = field(default_factory=set)

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
        state = self.states.get(source)
        if state is None or state.breaker.state is BreakerState.OPEN:
            return _left_alone(source, ask)
        if not await _has_room(state.bulkhead, ask.deadline):
            return _without(source, ask, Outcome.NOT_ASKED, Gap.NOT_ASKED, "is too busy to be asked now")
        # Only now: the breaker may have opened while this call waited for its place.
        epoch = state.breaker.admit()
        if epoch is None:
            state.bulkhead.release()
            return _left_alone(source, ask)
        started = asyncio.get_running_loop().time()
        try:
            answer = await _answer(source, ask, state)
        except BaseException:
            state.breaker.abandon(epoch)
            raise
        answer.took_ms = round((asyncio.get_running_loop().time() - started) * 1000, 1)
        _note(state, epoch, ask, answer)
        return answer


async def _has_room(bulkhead: asyncio.Semaphore, deadline: float) -> bool:
    try:
        async with asyncio.timeout_at(deadline):
            return await bulkhead.acquire()
    except TimeoutError:
        return False


async def _answer(source: str, ask: Ask, state: SourceState) -> Answer:
    """What the connector says, or what its error means."""
    try:
        return _made_consistent(source, ask, await _within_deadline(ask, state))
    except NoRecord as error:
        return Answer(source, Outcome.NO_RECORD, told=error.told)
    except SourceError as error:
        outcome, gap = next((outcome, gap) for kind, outcome, gap in _OUTCOME_OF if isinstance(error, kind))
        return _without(source, ask, outcome, gap, error.told, f"{type(error).__name__}: {error}")
    except Exception as error:  # a connector's own fault must cost its own organisation only
        return _faulty(source, ask, type(error).__name__)


async def _within_deadline(ask: Ask, state: SourceState) -> Answer:
    """The connector runs as a task of its own, so that one which swallows its cancellation can be left behind."""
    task = asyncio.create_task(_call(state.connector, ask))
    state.under_way.add(task)
    task.add_done_callback(lambda ended: _leave(state, ended))
    remaining = ask.deadline + _GRACE - asyncio.get_running_loop().time()
    try:
        done, _ = await asyncio.wait({task}, timeout=max(remaining, 0.0))
    finally:
        task.cancel()
    if not done:
        raise SourceTimeout("overran its deadline")
    if task.cancelled():
        raise SourceError("gave itself up")
    return task.result()


async def _call(connector: Connector, ask: Ask) -> Answer:
    return await connector.ask(ask)


def _leave(state: SourceState, ended: asyncio.Task[Answer]) -> None:
    state.under_way.discard(ended)
    state.bulkhead.release()
    if not ended.cancelled():
        # The error of a call that was left behind is nobody's any more; looking at it keeps it out of the log.
        ended.exception()


def _made_consistent(source: str, ask: Ask, answer: Answer) -> Answer:
    """Fail closed on what a connector must not say: another's items, a gap that isn't named, an answer with gaps."""
    if type(answer) is not Answer or answer.source != source or any(item.source != source for item in answer.items):
        return _faulty(source, ask, "answer of another source")
    if answer.outcome is Outcome.NO_RECORD and (answer.items or answer.gaps):
        return _faulty(source, ask, "no record, but items or gaps")
    if answer.outcome.leaves_gap and not answer.gaps:
        answer.gaps = dict.fromkeys(sorted(ask.sections), Gap.FAILED)
    elif answer.outcome is Outcome.ANSWERED and answer.gaps:
        answer.outcome = Outcome.PARTIAL
    return answer


def _without(source: str, ask: Ask, outcome: Outcome, gap: Gap, told: str, detail: str = "") -> Answer:
    """An Answer that brings nothing: every asked section has a gap."""
    return Answer(source, outcome, gaps=dict.fromkeys(sorted(ask.sections), gap), told=told, detail=detail)


def _left_alone(source: str, ask: Ask) -> Answer:
    return _without(source, ask, Outcome.NOT_ASKED, Gap.NOT_ASKED, "has not been answering and is left alone")


def _faulty(source: str, ask: Ask, fault: str) -> Answer:
    return _without(source, ask, Outcome.FAILED, Gap.FAILED, SourceError.told, f"fault: {fault}")


def _note(state: SourceState, epoch: int, ask: Ask, answer: Answer) -> None:
    state.last_outcome = answer.outcome
    if answer.outcome is Outcome.NOT_ASKED:
        state.breaker.abandon(epoch)
    elif _is_silent(ask, answer):
        state.breaker.failure(epoch)
    else:
        state.breaker.success(epoch)
        state.recent_ms.append(answer.took_ms)
    if answer.outcome in _SERVED and not _is_silent(ask, answer):
        state.last_success = datetime.now(UTC)


def _is_silent(ask: Ask, answer: Answer) -> bool:
    """A refusal is an answer; silence and errors, also in every single section, are not."""
    if answer.outcome is Outcome.PARTIAL:
        clinical = ask.sections - {Section.DEMOGRAPHICS}
        return bool(clinical) and all(answer.gaps.get(section) in _SILENT for section in clinical)
    return answer.outcome in (Outcome.TIMED_OUT, Outcome.FAILED) and set(answer.gaps.values()) <= _SILENT
