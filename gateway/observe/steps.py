"""How long each of the eleven steps takes (`gateway/record.py`), as a metric and, where spans are sent, as a span."""

from __future__ import annotations

from enum import StrEnum
from time import perf_counter
from types import TracebackType
from typing import Final

from gateway.observe import spans
from gateway.observe.meters import STEP_SECONDS


class Step(StrEnum):
    """The eleven steps of a look."""

    CALLER = "caller"
    INTENT = "intent"
    CHOICE = "choice"
    AUTHORITY = "authority"
    LOCATE = "locate"
    FAN_OUT = "fan-out"
    GUARD = "guard"
    MERGE = "merge"
    POLICY = "policy"
    SEARCH = "search"
    RELEASE = "release"


_TIMES: Final = {each: STEP_SECONDS.labels(each.value) for each in Step}


class step:  # noqa: N801 (reads as a word of record.py: `with step(Step.MERGE)`)
    """Around one step: it counts as long as it takes, also where it ends in a refusal. Never around a `yield`."""

    __slots__ = ("_began", "_name", "_span")

    def __init__(self, name: Step) -> None:
        self._name = name

    def __enter__(self) -> None:
        self._span = spans.begin(f"step {self._name}", {spans.STEP: self._name.value})
        self._began = perf_counter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _TIMES[self._name].observe(perf_counter() - self._began)
        if self._span is not None:
            self._span.end(error=error)
