"""Moments as a store keeps them: whole microseconds since 1970 in UTC, so that order and equality are exact."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

Clock = Callable[[], datetime]
"""Tells the present moment, aware and in UTC. Injected everywhere, so that a test can stand on a boundary."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_MICROS_A_SECOND: Final = 1_000_000


def utc_now() -> datetime:
    """The present moment by this machine's clock."""
    return datetime.now(UTC)


def to_micros(moment: datetime) -> int:
    """Raises ValueError for a moment without a time zone: nobody can say when it was."""
    if moment.tzinfo is None:
        raise ValueError("a moment must carry its time zone")
    return (moment - _EPOCH) // _MICROSECOND


def from_seconds(seconds: float) -> datetime:
    """The moment that lies so long after 1970, as tokens count (RFC 7519, NumericDate); parts of a microsecond drop."""
    return from_micros(int(seconds * _MICROS_A_SECOND))


def from_micros(micros: int) -> datetime:
    """The same moment again, in UTC."""
    return _EPOCH + micros * _MICROSECOND
