"""An event loop whose clock stands still while anything is done, and leaps to the next appointment once nothing is.

What a test says of seconds is then true of every machine, and no test waits for them: a deadline of a tenth of a second
isn't missed because the machine stood still for two. A thread of the loop's own takes no time either; sockets and other
processes do, and aren't waited for. A module takes it by a fixture `anyio_backend` of its own, which returns BACKEND.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from typing import Any, Final


class _Leaps(selectors.DefaultSelector):
    """Waits for nothing but threads, and knows how long it should have waited."""

    waited = 0.0
    threads = 0

    def select(self, timeout: float | None = None) -> Any:
        """What is ready. With no appointment to leap to it waits, as ever."""
        if timeout is None or (timeout > 0 and self.threads):
            return super().select()
        found = super().select(0)
        if not found:
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

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        """As ever; until it's done no time passes."""
        future = super().run_in_executor(executor, func, *args)
        self._leaps.threads += 1
        future.add_done_callback(self._is_done)
        return future

    def _is_done(self, _: asyncio.Future[Any]) -> None:
        self._leaps.threads -= 1


BACKEND: Final = ("asyncio", {"loop_factory": Leaping})
