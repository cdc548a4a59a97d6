"""Which of a test's many parameters the quick suite tries; the slow one tries the others too."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import pytest


def every(number: int, parameters: Iterable[Any]) -> list[Any]:
    """The first, and every so many after it, are quick. A parameter that is a tuple stands for several arguments."""
    return [_param(each, is_quick=place % number == 0) for place, each in enumerate(parameters)]


def only(quick: Collection[Any], parameters: Iterable[Any]) -> list[Any]:
    """These are quick."""
    return [_param(each, is_quick=each in quick) for each in parameters]


def _param(value: Any, *, is_quick: bool) -> Any:
    values = value if isinstance(value, tuple) else (value,)
    return pytest.param(*values, marks=() if is_quick else pytest.mark.slow)
