"""JSON Pointer (RFC 6901), as far as settings name places in a token's claims with it."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from pydantic import AfterValidator

_POINTER: Final = re.compile(r"(?:/(?:[^/~\x00-\x1f]|~[01])*)*")
_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,3}", re.ASCII)
_LONGEST: Final = 512


def check_pointer(text: str) -> str:
    """The pointer itself. Raises ValueError."""
    if len(text) > _LONGEST or _POINTER.fullmatch(text) is None:
        raise ValueError('give a JSON Pointer (RFC 6901), such as /realm_access/roles; "" is the whole document')
    return text


Pointer = Annotated[str, AfterValidator(check_pointer)]


def found_at(document: Any, pointer: str) -> Any:
    """The value there. Raises LookupError where there is none."""
    value = document
    for step in pointer.split("/")[1:]:
        value = _step(value, step.replace("~1", "/").replace("~0", "~"))
    return value


def _step(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        return value[name]
    if isinstance(value, list) and _INDEX.fullmatch(name):
        return value[int(name)]
    raise LookupError(name)
