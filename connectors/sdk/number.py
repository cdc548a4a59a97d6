"""FHIR decimals: the digits that were sent are the digits that are kept (R4, "Data Types": precision is significant).

`0.10` stays `0.10`. A number that a source wrote with an exponent, or one smaller than 0.000001, keeps its value and
its significant digits but may come out in the other notation: `1e-7` and `0.0000001` both leave as `1E-7`.
"""

from __future__ import annotations

from decimal import Decimal, DecimalException
from typing import Any, Final

_MOST_DIGITS: Final = 64
_LARGEST_EXPONENT: Final = 400


def read_number(text: str) -> Decimal:
    """The number of a JSON text that isn't a plain integer (msgspec's `float_hook`).

    Raises ValueError for what no measurement is: more than 64 characters, or a power of ten beyond 400 either way,
    which would cost whoever computes with it far more than it cost to send.
    """
    if len(text) > _MOST_DIGITS:
        raise ValueError("a number out of range")
    try:
        number = Decimal(text)
    except DecimalException as error:
        raise ValueError("a number out of range") from error
    # Without an exponent, no text as short as this is out of range.
    if ("e" in text or "E" in text) and abs(number.adjusted()) > _LARGEST_EXPONENT:
        raise ValueError("a number out of range")
    return number


class _Numeric(type):
    def __instancecheck__(cls, value: object) -> bool:
        return type(value) is int or type(value) is Decimal


class Number(metaclass=_Numeric):
    """The JSON number of a FHIR decimal, as a decoder's type: `int` or `Decimal`, never text that looks like one.

    (Where a type says `Decimal`, msgspec takes `"4.50"` and even `"NaN"` for a number.)
    """


def as_it_is(_: type, value: Any) -> Any:
    """msgspec's `dec_hook` for `Number`: nothing is converted, the instance check decides."""
    return value
