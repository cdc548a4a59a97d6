"""A JWT taken apart strictly, before anything in it is believed.

JSON readers disagree on repeated keys, on NaN and on base64 with spare bits: a token that two readers understand
differently can pass a check in one and be used by the other. Whatever is ambiguous is refused.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from dataclasses import dataclass
from typing import Any, NoReturn

_PARTS = 3


class Malformed(ValueError):
    """Not one unambiguous signed JWT. The text says what is wrong and repeats nothing of the token."""


@dataclass(frozen=True, slots=True)
class Compact:
    """The two readable parts of a JWS in compact form; the signature has not been checked."""

    header: dict[str, Any]
    claims: dict[str, Any]


def parse_compact(token: str) -> Compact:
    """Header and claims of `header.payload.signature`. Raises Malformed."""
    parts = token.split(".")
    if len(parts) != _PARTS or not all(parts):
        raise Malformed("not three parts")
    decode_base64url(parts[2])
    return Compact(_json_object(parts[0], "header"), _json_object(parts[1], "payload"))


def decode_base64url(text: str) -> bytes:
    """The bytes of base64url without padding, in its one canonical spelling (RFC 7515, section 2). Raises Malformed."""
    try:
        decoded = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise Malformed("not base64url") from error
    if base64.urlsafe_b64encode(decoded).rstrip(b"=").decode() != text:
        raise Malformed("not canonical base64url")
    return decoded


def strict_json(body: bytes) -> Any:
    """JSON in UTF-8 without repeated keys, NaN, infinities or lone surrogates. Raises Malformed."""
    try:
        value = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_no_repeats,
            parse_constant=_no_constant,
            parse_float=_finite,
        )
        # A lone surrogate is legal JSON, but can't be written out again: it would fail later, in the journal.
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as error:
        raise Malformed("not unambiguous JSON") from error
    return value


def _json_object(part: str, name: str) -> dict[str, Any]:
    value = strict_json(decode_base64url(part))
    if not isinstance(value, dict):
        raise Malformed(f"the {name} is not a JSON object")
    return value


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("repeated key")
    return value


def _no_constant(_name: str) -> NoReturn:
    raise ValueError("not a JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("number out of range")
    return number
