"""An event loop whose clock stands still while anything is done, and leaps to the next appointment once nothing is.

What a test says of seconds is then true of every machine, and no test waits for them: a deadline of a tenth of a second
isn't missed because the machine stood still for two. It's for tests whose world is in the loop: what a thread or
another process does takes no time here. A module takes it by its own fixture `anyio_backend`, which returns BACKEND.
"""

from __future__ import annotations

import asyncio
import selectors
from typing import Any, Final


class _Leaps(selectors.DefaultSelector):
    """Waits for nothing, but says how long it should have waited."""

    waited = 0.0

    def select(self, timeout: float | None = None) -> Any:
        """What is ready. With no appointment to leap to it waits, as ever."""
        found = super().select(None if timeout is None else 0)
        if not found and timeout:
            self.waited += max(timeout, 0.0)
        return found


class Leaping(asyncio.SelectorEventLoop):
    """See above. Its time begins at nought."""

    def __init__(self) -> None:
        self._leaps = _Leaps()
        super().__init__(self._leaps)

    def time(self) -> float:
        """Seconds, of which none passes but between two appointments."""
        return self._leaps.waited


BACKEND: Final = ("asyncio", {"loop_factory": Leaping})
