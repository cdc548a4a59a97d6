"""Times as they were written: what is a moment, what is only a day, and what is no time at all."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from connectors.sdk.model import Resource
from connectors.social_care.kept import HeldBack

_DATE_TIME: Final = re.compile(r"\d{4}(-\d\d(-\d\d(T\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d))?)?)?", re.ASCII)
"""R4 dateTime: a time has seconds and a zone."""
_FRACTION: Final = re.compile(r"\.\d+")


def is_moment(text: str | None) -> bool:
    """True for what R4 calls an instant, to the second and with its zone."""
    return text is not None and "T" in text


def check_period(period: Resource | None) -> None:
    """Raises HeldBack where a time isn't one that R4 knows or no calendar has, or where it ends before it starts.

    No zone is guessed: an hour's error in a visit is worse than a gap.
    """
    start, end = (_read((period or {}).get(name)) for name in ("start", "end"))
    if start and end and end < start:
        raise HeldBack("it ends before it starts")


def _read(text: str | None) -> datetime | None:
    """The moment; None for what is a day or less exact. Raises HeldBack."""
    if text is None:
        return None
    found = _DATE_TIME.fullmatch(text)
    try:
        if found is None:
            raise ValueError
        padded = text if found[1] and found[2] else f"{text}{'-01' if found[1] else '-01-01'}"
        # Fractions may be longer than Python reads; which of two moments is first hardly ever hangs on them.
        moment = datetime.fromisoformat(_FRACTION.sub("", padded))
    except ValueError as error:
        raise HeldBack("a time in it isn't one that R4 knows: a day, or a moment with seconds and zone") from error
    return moment if found[3] else None
