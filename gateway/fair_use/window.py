"""The moving windows in this worker's memory, on a clock that a test can turn: a storage for the library `limits`.

The library's own memory storage reads the machine's clock and starts a thread to forget; this one forgets as it counts.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from typing import Final

from limits.storage import MovingWindowSupport, Storage

_TIDY_EVERY: Final = 60.0
"""Seconds between two sweeps for keys of which nothing is left."""


class _Window:
    """The moments at which one key was counted, oldest first. `seconds` is how long each counts."""

    __slots__ = ("moments", "seconds")

    def __init__(self, seconds: int) -> None:
        self.moments: list[float] = []
        self.seconds = seconds

    def forget(self, now: float) -> None:
        """Let go of what doesn't count any more. What seems to be yet to come was counted before the clock was set
        back: it counts as of now, so that nobody waits longer than the window for it, and moments stay in order."""
        if self.moments and self.moments[-1] > now:
            first = bisect_right(self.moments, now)
            self.moments[first:] = [now] * (len(self.moments) - first)
        del self.moments[: bisect_right(self.moments, now - self.seconds)]


class Windows(Storage, MovingWindowSupport):
    """Counts by key. `clock` is seconds since 1970. Not for several threads: an event loop is one."""

    STORAGE_SCHEME = None

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__()
        self._clock = clock
        self._kept: dict[str, _Window] = {}
        self._tidied = clock()

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def base_exceptions(self) -> type[Exception]:
        """Nothing here fails but by a fault of its own."""
        return AssertionError

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Count `amount` more, if the window has room for them."""
        window = self._current(key, expiry)
        if window is None:
            window = self._kept[key] = _Window(expiry)
        if len(window.moments) + amount > limit:
            return False
        # Read again, it may have been set back since: moments must stay in order.
        moment = max(self._clock(), window.moments[-1]) if window.moments else self._clock()
        window.moments += [moment] * amount
        return True

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        """When the oldest that still counts was counted, and how many do."""
        window = self._current(key, expiry)
        if window is None or not window.moments:
            return self._clock(), 0
        return window.moments[0], len(window.moments)

    def _current(self, key: str, expiry: int) -> _Window | None:
        now = self._clock()
        if not 0 <= now - self._tidied < _TIDY_EVERY:
            self._tidy(now)
        window = self._kept.get(key)
        if window is not None:
            window.forget(now)
        return window

    def _tidy(self, now: float) -> None:
        self._tidied = now
        for window in self._kept.values():
            window.forget(now)
        self._kept = {key: window for key, window in self._kept.items() if window.moments}

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Fixed windows aren't kept here."""
        raise NotImplementedError

    def get(self, key: str) -> int:
        """How many were counted under this key, at the last look."""
        window = self._kept.get(key)
        return len(window.moments) if window else 0

    def get_expiry(self, key: str) -> float:
        """When the last that was counted under this key stops counting."""
        window = self._kept.get(key)
        return window.moments[-1] + window.seconds if window and window.moments else self._clock()

    def check(self) -> bool:
        """Memory is always there."""
        return True

    def reset(self) -> int:
        """Forget everything; says how many keys there were."""
        count = len(self._kept)
        self._kept.clear()
        return count

    def clear(self, key: str) -> None:
        """Forget one key."""
        self._kept.pop(key, None)
