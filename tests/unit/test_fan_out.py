"""One Ask, one Answer, by the deadline, whatever a connector does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from connectors.sdk import errors
from connectors.sdk.model import Answer, Ask, Found, Gap, Outcome, PersonSought, Section
from gateway.breaker import BreakerState
from gateway.fan_out import FanOut, NoFinder, TurnedAway
from tests.leaping import BACKEND
from tests.unit.pipeline import ASKED_BY, PRACTICE, TRUST, an_ask, an_item, answered, patient

Behaviour = Callable[[Ask], Awaitable[Any]]


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Seconds of this module pass by leaps: none of it depends on how fast the machine is."""
    return BACKEND


class Source:
    """A connector that does what a test says, and counts."""

    def __init__(self, behave: Behaviour) -> None:
        self.behave = behave
        self.calls = 0
        self.under_way = 0
        self.most_under_way = 0

    async def ask(self, ask: Ask) -> Answer:
        self.calls += 1
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            answer: Answer = await self.behave(ask)
            return answer
        finally:
            self.under_way -= 1

    async def aclose(self) -> None:
        """Nothing to close."""


async def well(ask: Ask) -> Answer:
    return answered(TRUST, patient())


async def hang(ask: Ask) -> Answer:
    await asyncio.sleep(60)
    raise AssertionError("unreachable")


async def hang_stubbornly(ask: Ask) -> Answer:
    """Swallows its cancellation, as code with a bare `except` around an await does."""
    for _ in range(6):
        try:
            await asyncio.sleep(0.1)
        except asyncio.CancelledError:
            continue
    return answered(TRUST, patient())


def raising(error: BaseException) -> Behaviour:
    async def behave(ask: Ask) -> Answer:
        raise error

    return behave


def returning(value: Any) -> Behaviour:
    async def behave(ask: Ask) -> Any:
        return value

    return behave


def now() -> float:
    return asyncio.get_running_loop().time()


def soon(seconds: float = 0.2, sections: frozenset[Section] = frozenset(Section)) -> Ask:
    return an_ask(sections, deadline=now() + seconds)


async def ask_one(behave: Behaviour, seconds: float = 0.2, **options: Any) -> tuple[Answer, FanOut]:
    fan_out = FanOut({TRUST: Source(behave)}, **options)
    (answer,) = await fan_out.ask({TRUST: soon(seconds)})
    return answer, fan_out


@pytest.mark.parametrize(
    ("error", "outcome", "gap"),
    [
        (errors.SourceTimeout("x"), Outcome.TIMED_OUT, Gap.TIMED_OUT),
        (errors.Refused("x"), Outcome.REFUSED, Gap.REFUSED),
        (errors.Withheld("x"), Outcome.WITHHELD_BY_SOURCE, Gap.WITHHELD_BY_SOURCE),
        (errors.TooMuch("x"), Outcome.FAILED, Gap.TOO_MUCH),
        (errors.Ambiguous("x"), Outcome.FAILED, Gap.HELD_BACK),
        (errors.Unreachable("x"), Outcome.FAILED, Gap.FAILED),
        (errors.Unwell("x"), Outcome.FAILED, Gap.FAILED),
        (errors.WrongContent("x"), Outcome.FAILED, Gap.FAILED),
        (errors.NotUnderstood("x"), Outcome.FAILED, Gap.FAILED),
        (errors.SourceError("x"), Outcome.FAILED, Gap.FAILED),
        (TimeoutError(), Outcome.FAILED, Gap.FAILED),
        (ValueError("9990000018 in a text"), Outcome.FAILED, Gap.FAILED),
        (asyncio.CancelledError(), Outcome.FAILED, Gap.FAILED),
        (asyncio.InvalidStateError(), Outcome.FAILED, Gap.FAILED),
        (ExceptionGroup("several", [ValueError("a")]), Outcome.FAILED, Gap.FAILED),
    ],
)
async def test_whatever_is_raised_becomes_one_answer_with_every_section_missing(
    error: BaseException, outcome: Outcome, gap: Gap
) -> None:
    answer, _ = await ask_one(raising(error))
    assert (answer.source, answer.outcome) == (TRUST, outcome)
    assert answer.gaps == dict.fromkeys(Section, gap)
    assert answer.told
    assert not answer.items
    assert "9990000018" not in answer.told + answer.detail


async def test_no_record_is_an_answer_without_a_gap() -> None:
    answer, _ = await ask_one(raising(errors.NoRecord("x")))
    assert (answer.outcome, answer.gaps, answer.told) == (Outcome.NO_RECORD, {}, errors.NoRecord.told)


async def test_a_connector_that_is_no_coroutine_costs_only_itself() -> None:
    class Synchronous:
        def ask(self, ask: Ask) -> Any:
            raise ZeroDivisionError

        async def aclose(self) -> None:
            """Nothing to close."""

    fan_out = FanOut({PRACTICE: Synchronous(), TRUST: Source(well)}, per_source=1)
    for _ in range(3):
        first, second = await fan_out.ask({PRACTICE: soon(), TRUST: soon()})
        assert (first.outcome, second.outcome) == (Outcome.FAILED, Outcome.ANSWERED)


@pytest.mark.parametrize("behave", [hang, hang_stubbornly], ids=["hangs", "swallows its cancellation"])
async def test_nothing_outlives_the_deadline(behave: Behaviour) -> None:
    started = now()
    answer, _ = await ask_one(behave, 0.1)
    assert answer.outcome is Outcome.TIMED_OUT
    assert 0.1 <= now() - started < 10
    assert answer.took_ms >= 100


async def test_what_comes_just_after_the_deadline_still_counts_and_later_does_not() -> None:
    async def at_the_deadline(ask: Ask) -> Answer:
        await asyncio.sleep(ask.deadline - now() + 0.005)
        return answered(TRUST, patient())

    async def too_late(ask: Ask) -> Answer:
        await asyncio.sleep(ask.deadline - now() + 0.2)
        return answered(TRUST, patient())

    assert (await ask_one(at_the_deadline, 0.05))[0].outcome is Outcome.ANSWERED
    assert (await ask_one(too_late, 0.05))[0].outcome is Outcome.TIMED_OUT


async def test_a_deadline_that_is_past_is_not_waited_for() -> None:
    started = now()
    answer, _ = await ask_one(hang, -5)
    assert answer.outcome is Outcome.TIMED_OUT
    assert now() - started < 10


@pytest.mark.parametrize(
    "value",
    [
        None,
        "an answer",
        [],
        Answer(PRACTICE, Outcome.ANSWERED),
        answered(PRACTICE, patient()),
        Answer(TRUST, Outcome.ANSWERED, [an_item(PRACTICE, patient())]),
        Answer(TRUST, Outcome.NO_RECORD, [an_item(TRUST, patient())]),
        Answer(TRUST, Outcome.NO_RECORD, gaps={Section.ALLERGIES: Gap.FAILED}),
        Answer(TRUST, Outcome.PARTIAL, gaps={"allergy": "gone"}),  # type: ignore[dict-item]
        Answer(TRUST, Outcome.PARTIAL, gaps=[Section.ALLERGIES]),  # type: ignore[arg-type]
        Answer(TRUST, "answered"),  # type: ignore[arg-type]
    ],
    ids=lambda value: type(value).__name__,
)
async def test_an_answer_that_makes_no_sense_is_a_failure_of_every_section(value: Any) -> None:
    answer, _ = await ask_one(returning(value))
    assert (answer.source, answer.outcome, answer.items) == (TRUST, Outcome.FAILED, [])
    assert answer.gaps == dict.fromkeys(Section, Gap.FAILED)


@pytest.mark.parametrize("outcome", [one for one in Outcome if one.leaves_gap])
async def test_an_outcome_that_leaves_gaps_unnamed_leaves_them_everywhere(outcome: Outcome) -> None:
    answer, _ = await ask_one(returning(Answer(TRUST, outcome)))
    assert answer.outcome is outcome
    assert answer.gaps.keys() == set(Section)


async def test_an_answer_with_a_gap_is_partial() -> None:
    answer, _ = await ask_one(returning(answered(TRUST, patient(), gaps={Section.RESULTS: Gap.TOO_MUCH})))
    assert (answer.outcome, answer.gaps) == (Outcome.PARTIAL, {Section.RESULTS: Gap.TOO_MUCH})


async def test_answers_come_in_the_order_of_the_asks() -> None:
    async def after(ask: Ask, source: str, seconds: float) -> Answer:
        await asyncio.sleep(seconds)
        return answered(source, patient())

    fan_out = FanOut(
        {
            PRACTICE: Source(lambda ask: after(ask, PRACTICE, 0.05)),
            TRUST: Source(lambda ask: after(ask, TRUST, 0.0)),
        }
    )
    answers = await fan_out.ask({PRACTICE: soon(), TRUST: soon()})
    assert [answer.source for answer in answers] == [PRACTICE, TRUST]
    assert await fan_out.ask({}) == []


async def test_a_source_that_nobody_connected_is_named_as_not_asked() -> None:
    (answer,) = await FanOut({}).ask({TRUST: soon()})
    assert (answer.outcome, answer.gaps) == (Outcome.NOT_ASKED, dict.fromkeys(Section, Gap.NOT_ASKED))


async def test_a_bulkhead_holds_its_number_and_no_more() -> None:
    async def brief(ask: Ask) -> Answer:
        await asyncio.sleep(0.01)
        return answered(TRUST, patient())

    source = Source(brief)
    fan_out = FanOut({TRUST: source}, per_source=4)
    answers = await asyncio.gather(*(fan_out.ask({TRUST: soon(2)}) for _ in range(40)))
    assert {answer.outcome for (answer,) in answers} == {Outcome.ANSWERED}
    assert source.most_under_way == 4
    assert source.calls == 40


async def test_who_finds_no_place_until_the_deadline_is_told_that_it_is_busy() -> None:
    fan_out = FanOut({TRUST: Source(hang)}, per_source=1, failures=100)
    first, second = await asyncio.gather(fan_out.ask({TRUST: soon(0.4)}), fan_out.ask({TRUST: soon(0.1)}))
    assert first[0].outcome is Outcome.TIMED_OUT
    assert (second[0].outcome, second[0].told) == (Outcome.NOT_ASKED, "is too busy to be asked now")
    assert fan_out.states[TRUST].breaker.state is BreakerState.CLOSED


async def test_a_call_that_will_not_stop_keeps_its_place_until_it_ends() -> None:
    fan_out = FanOut({TRUST: Source(hang_stubbornly)}, per_source=1, failures=100)
    (cut,) = await fan_out.ask({TRUST: soon(0.05)})
    assert cut.outcome is Outcome.TIMED_OUT
    assert len(fan_out.states[TRUST].under_way) == 1
    (turned_away,) = await fan_out.ask({TRUST: soon(0.05)})
    assert turned_away.outcome is Outcome.NOT_ASKED
    await asyncio.wait(fan_out.states[TRUST].under_way)
    await asyncio.sleep(0)
    assert fan_out.states[TRUST].bulkhead._value == 1


async def test_the_error_of_a_call_that_was_left_behind_is_not_shouted() -> None:
    shouted: list[dict[str, Any]] = []

    async def stubborn_then_broken(ask: Ask) -> Answer:
        try:
            await asyncio.sleep(1)
        except asyncio.CancelledError:
            await asyncio.sleep(0.05)
        raise ValueError("too late to matter")

    asyncio.get_running_loop().set_exception_handler(lambda _, context: shouted.append(context))
    answer, fan_out = await ask_one(stubborn_then_broken, 0.02)
    assert answer.outcome is Outcome.TIMED_OUT
    await asyncio.sleep(0.15)
    assert not fan_out.states[TRUST].under_way
    assert not shouted


async def test_when_the_caller_goes_away_the_call_stops_and_its_place_is_free() -> None:
    source = Source(hang)
    fan_out = FanOut({TRUST: source}, per_source=1)
    asking = asyncio.create_task(fan_out.ask({TRUST: soon(30)}))
    await asyncio.sleep(0.02)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await asyncio.sleep(0)
    assert source.under_way == 0
    source.behave = well
    (answer,) = await fan_out.ask({TRUST: soon()})
    assert answer.outcome is Outcome.ANSWERED


async def test_who_goes_away_while_waiting_takes_no_place_with_them() -> None:
    fan_out = FanOut({TRUST: Source(hang)}, per_source=1)
    first = asyncio.create_task(fan_out.ask({TRUST: soon(0.2)}))
    await asyncio.sleep(0.01)
    waiting = [asyncio.create_task(fan_out.ask({TRUST: soon(5)})) for _ in range(5)]
    await asyncio.sleep(0.01)
    for one in waiting:
        one.cancel()
    await first
    await asyncio.gather(*waiting, return_exceptions=True)
    assert fan_out.states[TRUST].bulkhead._value == 1


async def test_what_sources_says_follows_what_happened() -> None:
    source = Source(well)
    fan_out = FanOut({TRUST: source}, failures=2, rest=60)
    state = fan_out.states[TRUST]
    assert (state.last_outcome, state.last_success, state.typical_ms) == (None, None, None)
    await fan_out.ask({TRUST: soon()})
    assert (state.last_outcome, state.breaker.state) == (Outcome.ANSWERED, BreakerState.CLOSED)
    assert state.last_success is not None
    assert state.typical_ms is not None
    succeeded = state.last_success
    source.behave = raising(errors.Refused("no"))
    await fan_out.ask({TRUST: soon()})
    assert (state.last_outcome, state.last_success) == (Outcome.REFUSED, succeeded)
    source.behave = raising(errors.Unreachable("no"))
    for _ in range(2):
        await fan_out.ask({TRUST: soon()})
    assert (state.last_outcome, state.breaker.state) == (Outcome.FAILED, BreakerState.OPEN)
    assert state.last_success == succeeded


def partial(*missing: Section, gap: Gap = Gap.FAILED) -> Behaviour:
    return returning(answered(TRUST, patient(), outcome=Outcome.PARTIAL, gaps=dict.fromkeys(missing, gap)))


CLINICAL = [section for section in Section if section is not Section.DEMOGRAPHICS]


@pytest.mark.parametrize(
    ("behave", "opens"),
    [
        (raising(errors.Unreachable("x")), True),
        (raising(errors.Unwell("x")), True),
        (raising(errors.SourceTimeout("x")), True),
        (raising(errors.WrongContent("x")), True),
        (raising(RuntimeError("x")), True),
        (partial(*CLINICAL), True),
        (partial(*CLINICAL, gap=Gap.TIMED_OUT), True),
        (partial(*CLINICAL, gap=Gap.REFUSED), False),
        (partial(*CLINICAL[1:]), False),
        (partial(Section.RESULTS, gap=Gap.TIMED_OUT), False),
        (raising(errors.TooMuch("one patient's record is too large")), False),
        (raising(errors.Ambiguous("one patient is held twice")), False),
        (raising(errors.Refused("x")), False),
        (raising(errors.Withheld("x")), False),
        (raising(errors.NoRecord("x")), False),
    ],
)
async def test_the_breaker_opens_for_silence_and_errors_never_for_an_answer(behave: Behaviour, opens: bool) -> None:
    source = Source(behave)
    fan_out = FanOut({TRUST: source}, failures=3, rest=60)
    for _ in range(3):
        await fan_out.ask({TRUST: soon()})
    (last,) = await fan_out.ask({TRUST: soon()})
    assert (last.outcome is Outcome.NOT_ASKED) is opens
    assert source.calls == (3 if opens else 4)
    if opens:
        assert last.gaps == dict.fromkeys(Section, Gap.NOT_ASKED)


async def test_a_source_that_is_asked_for_the_patient_alone_and_gives_it_is_well() -> None:
    source = Source(partial(Section.DEMOGRAPHICS))
    fan_out = FanOut({TRUST: source}, failures=1, rest=60)
    await fan_out.ask({TRUST: soon(sections=frozenset({Section.DEMOGRAPHICS}))})
    assert fan_out.states[TRUST].breaker.state is BreakerState.CLOSED


async def opened(source: Source, *, rest: float, **options: Any) -> FanOut:
    source.behave = raising(errors.Unreachable("x"))
    fan_out = FanOut({TRUST: source}, failures=2, rest=rest, **options)
    for _ in range(2):
        await fan_out.ask({TRUST: soon()})
    assert fan_out.states[TRUST].breaker.state is BreakerState.OPEN
    source.calls = 0
    return fan_out


@pytest.mark.parametrize("per_source", [1, 8, 32])
async def test_exactly_one_of_fifty_callers_is_the_probe(per_source: int) -> None:
    the_others_are_done = asyncio.Event()

    async def well_at_last(ask: Ask) -> Answer:
        await the_others_are_done.wait()
        return answered(TRUST, patient())

    source = Source(well)
    fan_out = await opened(source, rest=0.05, per_source=per_source)
    source.behave = well_at_last
    await asyncio.sleep(0.07)
    probe, *others = [asyncio.create_task(fan_out.ask({TRUST: soon(seconds)})) for seconds in (60, *[0.04] * 49)]
    assert [answer.outcome for (answer,) in await asyncio.gather(*others)] == [Outcome.NOT_ASKED] * 49
    the_others_are_done.set()
    [answer] = await probe
    assert answer.outcome is Outcome.ANSWERED
    assert source.calls == 1
    assert fan_out.states[TRUST].bulkhead._value == per_source
    assert fan_out.states[TRUST].breaker.state is BreakerState.CLOSED


async def test_a_probe_that_fails_opens_again_and_one_that_is_well_closes() -> None:
    source = Source(well)
    fan_out = await opened(source, rest=0.05)
    await asyncio.sleep(0.06)
    await fan_out.ask({TRUST: soon()})
    assert (source.calls, fan_out.states[TRUST].breaker.state) == (1, BreakerState.OPEN)
    await fan_out.ask({TRUST: soon()})
    assert source.calls == 1
    await asyncio.sleep(0.06)
    source.behave = well
    (answer,) = await fan_out.ask({TRUST: soon()})
    assert (answer.outcome, fan_out.states[TRUST].breaker.state) == (Outcome.ANSWERED, BreakerState.CLOSED)


async def test_a_probe_whose_caller_goes_away_leaves_room_for_the_next() -> None:
    source = Source(well)
    fan_out = await opened(source, rest=0.02)
    await asyncio.sleep(0.03)
    source.behave = hang
    probe = asyncio.create_task(fan_out.ask({TRUST: soon(30)}))
    await asyncio.sleep(0.02)
    (meanwhile,) = await fan_out.ask({TRUST: soon()})
    assert meanwhile.outcome is Outcome.NOT_ASKED
    probe.cancel()
    await asyncio.gather(probe, return_exceptions=True)
    source.behave = well
    (answer,) = await fan_out.ask({TRUST: soon()})
    assert answer.outcome is Outcome.ANSWERED


async def test_a_hung_probe_counts_as_failed_at_its_deadline() -> None:
    source = Source(well)
    fan_out = await opened(source, rest=0.02)
    await asyncio.sleep(0.03)
    source.behave = hang_stubbornly
    (answer,) = await fan_out.ask({TRUST: soon(0.05)})
    assert (answer.outcome, fan_out.states[TRUST].breaker.state) == (Outcome.TIMED_OUT, BreakerState.OPEN)


async def test_who_waited_for_a_place_while_the_breaker_opened_is_not_sent_out() -> None:
    source = Source(hang)
    fan_out = FanOut({TRUST: source}, per_source=2, failures=2, rest=60)
    asks = [fan_out.ask({TRUST: soon(0.1)}) for _ in range(2)] + [fan_out.ask({TRUST: soon(5)}) for _ in range(20)]
    answers = await asyncio.gather(*asks)
    assert source.calls == 2
    assert [answer.outcome for (answer,) in answers] == [Outcome.TIMED_OUT] * 2 + [Outcome.NOT_ASKED] * 20


async def test_a_hundred_records_with_one_hung_source_keep_the_healthy_ones_fast() -> None:
    async def healthy(ask: Ask) -> Answer:
        await asyncio.sleep(0.02)
        return answered(PRACTICE, patient())

    hung = Source(hang)
    fan_out = FanOut({PRACTICE: Source(healthy), TRUST: hung}, per_source=100, failures=5, rest=60)
    state = fan_out.states[PRACTICE]
    started = now()
    records = await asyncio.gather(*(fan_out.ask({PRACTICE: soon(2), TRUST: soon(2)}) for _ in range(100)))
    took = now() - started
    assert took < 20
    assert {practice.outcome for practice, _ in records} == {Outcome.ANSWERED}
    assert {trust.outcome for _, trust in records} == {Outcome.TIMED_OUT}
    assert state.typical_ms is not None
    assert state.typical_ms < 1500
    started = now()
    practice, trust = await fan_out.ask({PRACTICE: soon(2), TRUST: soon(2)})
    assert (practice.outcome, trust.outcome) == (Outcome.ANSWERED, Outcome.NOT_ASKED)
    assert now() - started < 2


async def test_every_ask_has_its_answer_in_a_storm_of_behaviours() -> None:
    behaviours: list[Behaviour] = [
        well, hang, hang_stubbornly, raising(errors.Unwell("x")), raising(OSError()), returning(None),
        raising(asyncio.CancelledError()), raising(errors.NoRecord("x")), partial(Section.RESULTS),
    ]  # fmt: skip
    sources = {f"S{number}": Source(behave) for number, behave in enumerate(behaviours)}
    fan_out = FanOut(sources, per_source=3, failures=3, rest=0.05)
    asked = [{source: soon(0.15) for source in sources} for _ in range(30)]
    records = await asyncio.gather(*(fan_out.ask(asks) for asks in asked))
    for asks, answers in zip(asked, records, strict=True):
        assert [answer.source for answer in answers] == list(asks)
        assert all(answer.gaps for answer in answers if answer.outcome.leaves_gap)


# --- What follows from an Answer, and a search for a person ----------------------------------------------------------


async def test_what_follows_from_an_answer_is_asked_as_soon_as_it_is_there() -> None:
    asked_at: dict[str, float] = {}

    def source(ods: str, seconds: float) -> Source:
        async def behave(ask: Ask) -> Answer:
            asked_at[ods] = now()
            await asyncio.sleep(seconds)
            return answered(ods, patient())

        return Source(behave)

    fan_out = FanOut({TRUST: source(TRUST, 0.3), "X26": source("X26", 0.05), PRACTICE: source(PRACTICE, 0.0)})
    started = now()
    answers = await fan_out.ask(
        {"X26": soon(1), TRUST: soon(1)}, lambda answer: {PRACTICE: soon(1)} if answer.source == "X26" else {}
    )
    assert [answer.source for answer in answers] == ["X26", PRACTICE, TRUST]
    assert 0.04 < asked_at[PRACTICE] - started < 0.25
    assert now() - started < 10


async def test_an_error_is_kept_with_its_answer() -> None:
    for error in (errors.Invalidated("x"), errors.Superseded("9990000026"), errors.Unwell("x")):
        answer, fan_out = await ask_one(raising(error))
        assert answer.error is error
        assert "9990000026" not in repr(answer) + answer.told + answer.detail
    replaced, fan_out = await ask_one(raising(errors.Superseded("9990000026")), failures=1)
    assert replaced.outcome is Outcome.FAILED
    assert fan_out.states[TRUST].breaker.state is BreakerState.CLOSED


SOUGHT = PersonSought("Adebayo", "Grace", "1958-03-12", ASKED_BY, 0.0, "request-1")


class Finding(Source):
    """A register that finds as a test says."""

    async def find(self, sought: PersonSought) -> Found:
        found: Found = await self.behave(sought)  # type: ignore[arg-type]
        return found


async def find(behave: Behaviour, seconds: float = 0.2, **options: Any) -> tuple[Found | Exception, FanOut]:
    fan_out = FanOut({TRUST: Finding(behave)}, **options)
    try:
        return await fan_out.find(TRUST, replace(SOUGHT, deadline=now() + seconds)), fan_out
    except errors.SourceError as error:
        return error, fan_out


async def test_a_search_returns_what_was_found() -> None:
    found, fan_out = await find(returning(Found(too_many=True)))
    assert found == Found(too_many=True)
    assert fan_out.states[TRUST].bulkhead._value == 32


@pytest.mark.parametrize(
    ("behave", "raised", "opens"),
    [
        (hang, errors.SourceTimeout, True),
        (raising(errors.Unreachable("x")), errors.Unreachable, True),
        (raising(ValueError("x")), errors.SourceError, True),
        (raising(errors.Refused("x")), errors.Refused, False),
        (returning("nobody"), errors.SourceError, False),
    ],
)
async def test_a_search_that_fails_says_how_and_counts(behave: Behaviour, raised: type[Exception], opens: bool) -> None:
    error, fan_out = await find(behave, 0.05, failures=1)
    assert isinstance(error, raised)
    assert (fan_out.states[TRUST].breaker.state is BreakerState.OPEN) is opens
    if opens:
        with pytest.raises(TurnedAway, match="left alone"):
            await fan_out.find(TRUST, replace(SOUGHT, deadline=now() + 1))


async def test_a_search_waits_for_its_place_and_no_longer_than_its_deadline() -> None:
    fan_out = FanOut({TRUST: Finding(hang)}, per_source=1, failures=100)
    first = asyncio.create_task(fan_out.find(TRUST, replace(SOUGHT, deadline=now() + 0.4)))
    await asyncio.sleep(0.01)
    with pytest.raises(TurnedAway, match="too busy"):
        await fan_out.find(TRUST, replace(SOUGHT, deadline=now() + 0.1))
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_who_cannot_search_or_is_not_connected_is_not_asked() -> None:
    with pytest.raises(NoFinder):
        await FanOut({TRUST: Source(well)}).find(TRUST, SOUGHT)
    with pytest.raises(TurnedAway):
        await FanOut({}).find(TRUST, SOUGHT)
