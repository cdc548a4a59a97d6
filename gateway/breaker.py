"""A circuit breaker that lets exactly one probe through.

Three published Python breakers let 50 of 50 waiting calls through when they were half open; a source that has just
come back would fall over again.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum


class BreakerState(StrEnum):
    """Closed lets calls through; open doesn't; half-open lets exactly one through."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Breaker:
    """Opens after `failures` failures in a row, for `rest` seconds; then one probe decides.

    `now` is a monotonic clock in seconds. `admit` hands out the number of the current epoch, and every opening and
    closing begins a new one: what a call of an earlier epoch reports comes too late to say anything, so it can't free
    the probe's place for a second probe.
    """

    def __init__(self, now: Callable[[], float], *, failures: int = 5, rest: float = 10.0) -> None:
        self._now = now
        self._limit = failures
        self._rest = rest
        self._failures = 0
        self._open_until: float | None = None
        self._probing = False
        self._epoch = 1

    @property
    def state(self) -> BreakerState:
        """As a call would find it now."""
        if self._open_until is None:
            return BreakerState.CLOSED
        return BreakerState.HALF_OPEN if self._now() >= self._open_until else BreakerState.OPEN

    def admit(self) -> int | None:
        """The epoch, where a call may go out; else None. Whoever is admitted reports `success`, `failure` or `abandon`
        with it, once."""
        state = self.state
        if state is BreakerState.OPEN or (state is BreakerState.HALF_OPEN and self._probing):
            return None
        self._probing = state is BreakerState.HALF_OPEN
        return self._epoch

    def success(self, epoch: int) -> None:
        """The source answered."""
        if epoch == self._epoch:
            self._failures = 0
            if self._open_until is not None:
                self._turn(None)

    def failure(self, epoch: int) -> None:
        """The source did not answer."""
        if epoch == self._epoch:
            self._failures += 1
            if self._failures >= self._limit:  # of a failed probe too: only a success forgets
                self._turn(self._now() + self._rest)

    def abandon(self, epoch: int) -> None:
        """The call was given up for a reason that says nothing about the source (the caller went away)."""
        if epoch == self._epoch:
            self._probing = False

    def _turn(self, open_until: float | None) -> None:
        self._open_until = open_until
        self._probing = False
        self._epoch += 1
