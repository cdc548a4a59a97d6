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
from collections.abc import Callable, Coroutine, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from connectors.sdk.connector import Connector, Finder
from connectors.sdk.errors import (
    Ambiguous,
    NoRecord,
    NotUnderstood,
    Refused,
    SourceError,
    SourceTimeout,
    Superseded,
    TooMuch,
    Unreachable,
    Unwell,
    Withheld,
)
from connectors.sdk.model import Answer, Ask, Found, Gap, Outcome, PersonSought, Section, SourceWarning, Traced
from gateway.audit.row import Alarm
from gateway.breaker import BreakerState
from gateway.coming import Coming
from gateway.guard import KINDS
from gateway.observe import spans
from gateway.observe.meters import SOURCE_ALARMS, SOURCE_ANSWERS, SOURCE_CALLS, SOURCE_SECONDS, expect
from gateway.sources import MOST_KEPT, PRACTICES, Limits, NotAsked, NotConnected, Sources, SourceState

_GRACE: Final = 0.05
"""Seconds that a connector may overrun the deadline to hand over what it has; then it is cut."""

_OUTCOME_OF: Final[tuple[tuple[type[SourceError], Outcome, Gap], ...]] = (
    (SourceTimeout, Outcome.TIMED_OUT, Gap.TIMED_OUT),
    (Refused, Outcome.REFUSED, Gap.REFUSED),
    (Withheld, Outcome.WITHHELD_BY_SOURCE, Gap.WITHHELD_BY_SOURCE),
    (TooMuch, Outcome.FAILED, Gap.TOO_MUCH),
    (Ambiguous, Outcome.FAILED, Gap.HELD_BACK),
    (Superseded, Outcome.FAILED, Gap.HELD_BACK),
    (SourceError, Outcome.FAILED, Gap.FAILED),
)
_SILENT: Final = frozenset({Gap.TIMED_OUT, Gap.FAILED})
"""Gaps that speak against the source's health. One patient's record that is too large, or held twice, does not."""
_SERVED: Final = frozenset({Outcome.ANSWERED, Outcome.PARTIAL, Outcome.NO_RECORD, Outcome.WITHHELD_BY_SOURCE})
_UNWELL: Final = (SourceTimeout, Unreachable, Unwell)
"""What speaks against the source's health where a search for a person ends in it."""
_LEFT_ALONE: Final = "has not been answering and is left alone"
_BUSY: Final = "is too busy to be asked now"

Follow = Callable[[Answer], Mapping[str, Ask]]
"""(an Answer) -> the Asks that it makes possible: the register's names the practice that is to be asked."""
_T = TypeVar("_T")


class TurnedAway(SourceError):
    """The source isn't asked now: it has not been answering, or it is full. The text says which."""


class NoFinder(NotUnderstood):
    """The source's connector can't search for a person."""


def _nothing_more(_: Answer) -> Mapping[str, Ask]:
    return {}


def _nobody(source: str) -> Connector:
    raise NotAsked(source)


class FanOut:
    """Asks sources. `connectors` last as long as this; `connect` builds that of any other source at its first Ask, and
    raises NotAsked for one that isn't to be. `per_source` is how many Asks one source may have under way."""

    def __init__(
        self,
        connectors: Mapping[str, Connector],
        connect: Callable[[str], Connector] = _nobody,
        *,
        per_source: int = 32,
        failures: int = 5,
        rest: float = 10.0,
        most_kept: int = MOST_KEPT,
        known: Mapping[str, SourceState] | None = None,
    ) -> None:
        self.sources = Sources(connectors, connect, Limits(per_source, failures, rest, most_kept), known)
        for label in (*connectors, PRACTICES):
            expect(label, KINDS)

    @property
    def states(self) -> Mapping[str, SourceState]:
        """What is known of each source that is connected now."""
        return self.sources.states

    def note_alarms(self, alarms: Iterable[Alarm]) -> None:
        """Remember of whose answers the guard took something out. A practice that was let go meanwhile is forgotten."""
        states, now = self.states, datetime.now(UTC)
        for alarm in alarms:
            state = states.get(alarm.source)
            if state is not None:
                state.last_quarantine = now
            SOURCE_ALARMS.labels(state.label if state else PRACTICES, alarm.kind).inc(alarm.count)

    async def ask(self, asks: Mapping[str, Ask], follow: Follow = _nothing_more) -> list[Answer]:
        """One Answer for each Ask, in their order; those of the Asks that follow from one come right behind it.

        Returns by the latest deadline.
        """
        groups = await asyncio.gather(*(self._ask_and_follow(source, ask, follow) for source, ask in asks.items()))
        return [answer for group in groups for answer in group]

    def coming(self, asks: Mapping[str, Ask], follow: Follow = _nothing_more) -> Coming:
        """The same Answers as they come, for a look in parts: to be entered, and left when nobody waits any more."""
        return Coming(self._ask_one, asks, follow)

    async def find(self, source: str, sought: PersonSought) -> Found:
        """One search for a person by name, within the same bulkhead, breaker and deadline as an Ask.

        Raises a SourceError: TurnedAway where the source isn't asked now, NoFinder where it can't search.
        """
        try:
            with self.sources.hold(source) as state:
                return await _find_watched(sought, state)
        except (NotAsked, NotConnected) as error:
            raise TurnedAway(_LEFT_ALONE) from error

    async def _ask_and_follow(self, source: str, ask: Ask, follow: Follow) -> list[Answer]:
        answer = await self._ask_one(source, ask)
        further = follow(answer)
        return [answer, *(await self.ask(further) if further else ())]

    async def _ask_one(self, source: str, ask: Ask) -> Answer:
        try:
            with self.sources.hold(source) as state:
                return await _ask_watched(source, ask, state)
        except NotConnected:
            return _faulty(source, ask, "not connected")
        except NotAsked:
            return _not_asked(source, ask, _LEFT_ALONE)


async def _find_watched(sought: PersonSought, state: SourceState) -> Found:
    """One search, counted, timed and in a span of its own."""
    span, started = spans.begin("source", {spans.SOURCE: state.label}), asyncio.get_running_loop().time()
    outcome = "search-failed"
    try:
        found = await _find_held(sought, state)
        outcome = "search-answered"
        return found
    except TurnedAway:
        outcome = Outcome.NOT_ASKED.value
        raise
    finally:
        SOURCE_ANSWERS.labels(state.label, outcome).inc()
        if outcome != Outcome.NOT_ASKED.value:
            SOURCE_SECONDS.labels(state.label).observe(asyncio.get_running_loop().time() - started)
        if span is not None:
            span.end(attributes={spans.OUTCOME: outcome})


async def _ask_watched(source: str, ask: Ask, state: SourceState) -> Answer:
    """One Ask, counted, timed and in a span of its own. One that was given up is counted nowhere."""
    span = spans.begin("source", {spans.SOURCE: state.label})
    outcome = "given-up"
    try:
        answer = await _ask_held(source, ask, state)
        outcome = answer.outcome.value
    finally:
        if span is not None:
            span.end(attributes={spans.OUTCOME: outcome})
    SOURCE_ANSWERS.labels(state.label, outcome).inc()
    if answer.outcome is not Outcome.NOT_ASKED:
        SOURCE_SECONDS.labels(state.label).observe(answer.took_ms / 1000)
        SOURCE_CALLS.labels(state.label).inc(max(answer.calls, 0))
    return answer


async def _ask_held(source: str, ask: Ask, state: SourceState) -> Answer:
    try:
        epoch = await _admitted(state, ask.deadline)
    except TurnedAway as error:
        return _not_asked(source, ask, str(error))
    started = asyncio.get_running_loop().time()
    try:
        answer = await _answer(source, ask, state)
    except BaseException:
        state.breaker.abandon(epoch)
        raise
    answer.took_ms = round((asyncio.get_running_loop().time() - started) * 1000, 1)
    _note(state, epoch, ask, answer)
    return answer


async def _find_held(sought: PersonSought, state: SourceState) -> Found:
    finder = state.connector
    if not isinstance(finder, Finder):
        raise NoFinder("its connector can't search for a person")
    epoch = await _admitted(state, sought.deadline)
    try:
        found = await _within_deadline(_search(finder, sought), sought.deadline, state)
        if type(found) is not Found:
            raise SourceError("fault: a search that ended in something else")
    except _UNWELL:
        state.breaker.failure(epoch)
        raise
    except SourceError:
        state.breaker.success(epoch)
        raise
    except Exception as error:  # a connector's own fault
        state.breaker.failure(epoch)
        raise SourceError(f"fault: {type(error).__name__}") from error
    except BaseException:
        state.breaker.abandon(epoch)
        raise
    state.breaker.success(epoch)
    return found


async def _admitted(state: SourceState, deadline: float) -> int:
    """The epoch of a call that holds a place in the bulkhead and may go out now. Raises TurnedAway."""
    if state.breaker.state is BreakerState.OPEN:
        raise TurnedAway(_LEFT_ALONE)
    if not await _has_room(state.bulkhead, deadline):
        raise TurnedAway(_BUSY)
    # Only now: the breaker may have opened while this call waited for its place.
    epoch = state.breaker.admit()
    if epoch is None:
        state.bulkhead.release()
        raise TurnedAway(_LEFT_ALONE)
    return epoch


async def _has_room(bulkhead: asyncio.Semaphore, deadline: float) -> bool:
    try:
        async with asyncio.timeout_at(deadline):
            return await bulkhead.acquire()
    except TimeoutError:
        return False


async def _answer(source: str, ask: Ask, state: SourceState) -> Answer:
    """What the connector says, or what its error means."""
    try:
        call = _call(state.connector, ask)
        return _made_consistent(source, ask, await _within_deadline(call, ask.deadline, state))
    except NoRecord as error:
        return Answer(source, Outcome.NO_RECORD, told=error.told, error=error)
    except SourceError as error:
        outcome, gap = next((outcome, gap) for kind, outcome, gap in _OUTCOME_OF if isinstance(error, kind))
        answer = _without(source, ask, outcome, gap, error.told, f"{type(error).__name__}: {error}")
        answer.error = error
        return answer
    except Exception as error:  # a connector's own fault must cost its own organisation only
        return _faulty(source, ask, type(error).__name__)


async def _within_deadline(call: Coroutine[Any, Any, _T], deadline: float, state: SourceState) -> _T:
    """The connector runs as a task of its own, so that one which swallows its cancellation can be left behind."""
    task = asyncio.create_task(call)
    state.under_way.add(task)
    task.add_done_callback(lambda ended: _leave(state, ended))
    remaining = deadline + _GRACE - asyncio.get_running_loop().time()
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


async def _search(finder: Finder, sought: PersonSought) -> Found:
    return await finder.find(sought)


def _leave(state: SourceState, ended: asyncio.Task[Any]) -> None:
    state.under_way.discard(ended)
    state.bulkhead.release()
    if not ended.cancelled():
        # The error of a call that was left behind is nobody's any more; looking at it keeps it out of the log.
        ended.exception()


def _made_consistent(source: str, ask: Ask, answer: Answer) -> Answer:
    """Fail closed on what a connector must not say: another's items, a gap that isn't named, an answer with gaps."""
    if type(answer) is not Answer or answer.source != source or any(item.source != source for item in answer.items):
        return _faulty(source, ask, "answer of another source")
    if type(answer.outcome) is not Outcome or not _are_gaps(answer.gaps) or not _are_words(answer):
        return _faulty(source, ask, "an outcome, gaps or words that aren't any")
    if answer.outcome is Outcome.NO_RECORD and (answer.items or answer.gaps):
        return _faulty(source, ask, "no record, but items or gaps")
    if answer.outcome.leaves_gap and not answer.gaps:
        answer.gaps = dict.fromkeys(sorted(ask.sections), Gap.FAILED)
    elif answer.outcome is Outcome.ANSWERED and answer.gaps:
        answer.outcome = Outcome.PARTIAL
    return answer


def _are_gaps(gaps: object) -> bool:
    """Words of our own alone: whatever else stood there would be told to a reader, or break the record's manifest."""
    return isinstance(gaps, dict) and all(
        type(section) is Section and type(gap) is Gap for section, gap in gaps.items()
    )


def _are_words(answer: Answer) -> bool:
    """Nothing checks a connector's types while it runs: what later steps take for text and numbers must be such."""
    return (
        isinstance(answer.told, str)
        and isinstance(answer.detail, str)
        and isinstance(answer.calls, int)
        and isinstance(answer.includes, frozenset)
        and isinstance(answer.warnings, list)
        and all(type(warning) is SourceWarning for warning in answer.warnings)
        and isinstance(answer.traced, list)
        and all(type(line) is Traced for line in answer.traced)
    )


def _without(source: str, ask: Ask, outcome: Outcome, gap: Gap, told: str, detail: str = "") -> Answer:
    """An Answer that brings nothing: every asked section has a gap."""
    return Answer(source, outcome, gaps=dict.fromkeys(sorted(ask.sections), gap), told=told, detail=detail)


def _not_asked(source: str, ask: Ask, told: str) -> Answer:
    return _without(source, ask, Outcome.NOT_ASKED, Gap.NOT_ASKED, told)


def _faulty(source: str, ask: Ask, fault: str) -> Answer:
    return _without(source, ask, Outcome.FAILED, Gap.FAILED, SourceError.told, f"fault: {fault}")


def _note(state: SourceState, epoch: int, ask: Ask, answer: Answer) -> None:
    state.last_outcome = answer.outcome
    if answer.outcome is not Outcome.NOT_ASKED:
        state.unwell -= ask.sections
        state.unwell |= {section for section in ask.sections if answer.gaps.get(section) in _SILENT}
    if answer.outcome is Outcome.NOT_ASKED or (ask.hurried and _only_late(ask, answer)):
        state.breaker.abandon(epoch)
    elif _is_silent(ask, answer):
        state.breaker.failure(epoch)
    else:
        state.breaker.success(epoch)
        state.recent_ms.append(answer.took_ms)
    if answer.outcome in _SERVED and not _is_silent(ask, answer):
        state.last_success = datetime.now(UTC)


def _only_late(ask: Ask, answer: Answer) -> bool:
    """A hurried Ask that came to nothing for want of time: the source might have answered a moment later."""
    return _is_silent(ask, answer) and Gap.TIMED_OUT in answer.gaps.values()


def _is_silent(ask: Ask, answer: Answer) -> bool:
    """A refusal is an answer; silence and errors, also in every single section, are not."""
    if answer.outcome is Outcome.PARTIAL:
        clinical = ask.sections - {Section.DEMOGRAPHICS}
        return bool(clinical) and all(answer.gaps.get(section) in _SILENT for section in clinical)
    return answer.outcome in (Outcome.TIMED_OUT, Outcome.FAILED) and set(answer.gaps.values()) <= _SILENT
