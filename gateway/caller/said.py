"""Single values of a token, read strictly. Wrong types are refused rather than repaired: a claim is the issuer's word,
and half a word is none. What is wrong is named by our own name for it; its value never is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from gateway.caller.refusals import not_signed_in
from gateway.errors import NotSignedIn

IDENTIFIER: Final = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
"""No `|`: identifiers are joined with it where a permission is bound to a caller."""
_LONGEST: Final = 200


def text(said: Mapping[str, Any], name: str, default: str | None = None) -> str:
    """A printable text of at most 200 characters; without a default it must be there, and say something."""
    value = said.get(name, default)
    if not isinstance(value, str) or len(value) > _LONGEST or not value.isprintable():
        raise wrong(name)
    if default is None and not value.strip():
        raise wrong(name)
    return value


def matching(said: Mapping[str, Any], name: str, pattern: re.Pattern[str], default: str | None = None) -> str:
    """A text that is wholly of a pattern."""
    value = said.get(name, default)
    if not isinstance(value, str) or pattern.fullmatch(value) is None:
        raise wrong(name)
    return value


def whole_number(said: Mapping[str, Any], name: str) -> int | None:
    """A whole number, or None where it isn't there."""
    value = said.get(name)
    if isinstance(value, bool) or not isinstance(value, int | None):
        raise wrong(name)
    return value


def wrong(name: str) -> NotSignedIn:
    """The refusal of a token that doesn't say this as its issuer's mapping expects."""
    return not_signed_in("token.claims", f"{name} is missing, or not as the issuer's mapping expects it")
