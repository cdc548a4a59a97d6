"""Elements that R4 doesn't know: a misspelt `onsetDatetime` has no wrong shape, and yet many clients refuse it."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from connectors.sdk import shape
from connectors.sdk.model import Resource

_encode: Final = msgspec.json.Encoder(decimal_format="number").encode


def strange_element(resource: Resource) -> str | None:
    """The path of the first element that R4 doesn't know, or None. Types that belong to no section aren't looked at."""
    kind = str(resource.get("resourceType"))
    if kind not in shape.KNOWN_TYPES:
        return None
    return _first_left_out(resource, shape.decode(kind, _encode(resource)), kind)


def _first_left_out(sent: Any, known: Any, path: str) -> str | None:
    """The decoder reads what R4 knows and leaves out the rest: where the two differ, it didn't know the element."""
    if isinstance(sent, dict):
        if left_out := sorted(sent.keys() - known.keys()):
            return f"{path}.{left_out[0]}"
        pairs = [(f"{path}.{name}", value, known[name]) for name, value in sent.items()]
    elif isinstance(sent, list):
        pairs = [(path, *both) for both in zip(sent, known, strict=True)]
    else:
        return None
    return next(filter(None, (_first_left_out(value, other, where) for where, value, other in pairs)), None)
