"""The breaker by itself, on a clock that the test moves."""

from __future__ import annotations

import random

import pytest

from gateway.breaker import Breaker, BreakerState


class Clock:
    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(clock, failures=3, rest=10.0)


def admitted(breaker: Breaker) -> int:
    epoch = breaker.admit()
    assert epoch is not None
    return epoch


def state_of(breaker: Breaker) -> BreakerState:
    return breaker.state


def open_it(breaker: Breaker) -> None:
    for _ in range(3):
        breaker.failure(admitted(breaker))
    assert state_of(breaker) is BreakerState.OPEN


def test_it_opens_after_so_many_failures_in_a_row(breaker: Breaker) -> None:
    for _ in range(2):
        breaker.failure(admitted(breaker))
    breaker.success(admitted(breaker))
    for _ in range(2):
        breaker.failure(admitted(breaker))
        assert state_of(breaker) is BreakerState.CLOSED
    breaker.failure(admitted(breaker))
    assert state_of(breaker) is BreakerState.OPEN
    assert breaker.admit() is None


def test_it_rests_for_its_time_and_no_longer(breaker: Breaker, clock: Clock) -> None:
    open_it(breaker)
    clock.time = 9.999
    assert (breaker.state, breaker.admit()) == (BreakerState.OPEN, None)
    clock.time = 10.0
    assert state_of(breaker) is BreakerState.HALF_OPEN
    assert breaker.admit() is not None


def test_half_open_admits_one_of_fifty(breaker: Breaker, clock: Clock) -> None:
    open_it(breaker)
    clock.time = 10.0
    assert sum(breaker.admit() is not None for _ in range(50)) == 1


def test_one_failed_probe_is_enough(breaker: Breaker, clock: Clock) -> None:
    open_it(breaker)
    clock.time = 10.0
    breaker.failure(admitted(breaker))
    assert state_of(breaker) is BreakerState.OPEN
    clock.time = 19.9
    assert breaker.admit() is None
    clock.time = 20.0
    breaker.success(admitted(breaker))
    assert state_of(breaker) is BreakerState.CLOSED
    # Closed means closed: the old failures are forgotten.
    breaker.failure(admitted(breaker))
    assert state_of(breaker) is BreakerState.CLOSED


def test_an_abandoned_probe_gives_its_place_to_the_next(breaker: Breaker, clock: Clock) -> None:
    open_it(breaker)
    clock.time = 10.0
    probe = admitted(breaker)
    assert breaker.admit() is None
    breaker.abandon(probe)
    assert breaker.admit() is not None
    assert breaker.admit() is None


@pytest.mark.parametrize("report", ["failure", "success", "abandon"])
def test_a_call_from_before_the_opening_can_not_free_the_probes_place(
    breaker: Breaker, clock: Clock, report: str
) -> None:
    late = admitted(breaker)
    open_it(breaker)
    clock.time = 10.0
    probe = admitted(breaker)
    getattr(breaker, report)(late)
    assert breaker.admit() is None
    assert state_of(breaker) is BreakerState.HALF_OPEN
    breaker.success(probe)
    assert state_of(breaker) is BreakerState.CLOSED


def test_late_failures_do_not_lengthen_the_rest(breaker: Breaker, clock: Clock) -> None:
    late = [admitted(breaker) for _ in range(40)]
    open_it(breaker)
    clock.time = 5.0
    for epoch in late:
        breaker.failure(epoch)
    clock.time = 10.0
    assert state_of(breaker) is BreakerState.HALF_OPEN


@pytest.mark.parametrize("seed", range(20))
def test_never_two_probes_whatever_the_order_of_reports(seed: int) -> None:
    rng = random.Random(seed)
    clock = Clock()
    breaker = Breaker(clock, failures=2, rest=1.0)
    out: list[tuple[int, BreakerState]] = []
    for _ in range(2_000):
        clock.time += rng.random() / 5
        if out and rng.random() < 0.5:
            epoch, _ = out.pop(rng.randrange(len(out)))
            rng.choice([breaker.success, breaker.failure, breaker.abandon])(epoch)
        else:
            state = breaker.state
            epoch_or_none = breaker.admit()
            assert (epoch_or_none is None) or state is not BreakerState.OPEN
            if epoch_or_none is not None:
                out.append((epoch_or_none, state))
        # A probe is a call that was let out half open and whose epoch is still the current one.
        probes = [epoch for epoch, state in out if state is BreakerState.HALF_OPEN and epoch == breaker._epoch]
        assert len(probes) <= 1
