"""What differs from run to run, made the same: times, and ids that are drawn by chance.

A time is one of the run's own where it lies within a few minutes of it, or of when something granted in it ends. Then
it stands as if the run had been on one morning; the sources' own times stay what they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

MORNING: Final = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
_NEAR: Final = timedelta(minutes=15)
_LASTS: Final = (timedelta(0), timedelta(hours=1), timedelta(hours=8))
"""When something ends that the run begins: best-interests access, a permission."""

_MOMENT: Final = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:Z|[+-]\d{2}:\d{2})")
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_CURSOR: Final = re.compile(r"(?<=_cursor=)[A-Za-z0-9_-]+")
_HASH: Final = re.compile(r"\b[0-9a-f]{64}\b")
_SECONDS: Final = re.compile(r"(?<=in )\d+(?= seconds?\b)")
_BY_NAME: Final[dict[str, Any]] = {
    "took_ms": 12.3,
    "token_id": "the-tokens-jti",
    "typicalMilliseconds": 12.3,
    "Retry-After": "42",
}


class Settled:
    """The same for the same run, whenever it is. `begun` is when the run began."""

    def __init__(self, begun: datetime) -> None:
        self._begun = begun
        self._ids: dict[str, str] = {}
        self._steps: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
            (_MOMENT, self._moment),
            (_UUID, self._id),
            (_CURSOR, lambda _: "PAGE-2"),
            (_HASH, lambda _: "0" * 64),
        )

    def of(self, value: Any) -> Any:
        """The value with every text in it settled."""
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, list):
            return [self.of(each) for each in value]
        if isinstance(value, dict):
            return {self._text(name): self._member(name, each) for name, each in value.items()}
        return value

    def _member(self, name: str, value: Any) -> Any:
        fixed = _BY_NAME.get(name)
        return self.of(value) if fixed is None else fixed

    def _text(self, text: str) -> str:
        for pattern, instead in self._steps:
            text = pattern.sub(instead, text)
        return _SECONDS.sub("42", text) if "Try again in" in text else text

    def _id(self, found: re.Match[str]) -> str:
        return self._ids.setdefault(found[0], f"00000000-0000-4000-8000-{len(self._ids) + 1:012d}")

    def _moment(self, found: re.Match[str]) -> str:
        moment = datetime.fromisoformat(found[0])
        for lasts in _LASTS:
            if abs(moment - self._begun - lasts) < _NEAR:
                zone = "Z" if found[0].endswith("Z") else "+00:00"
                return f"{MORNING + lasts:%Y-%m-%dT%H:%M:%S}{zone}"
        return found[0]
