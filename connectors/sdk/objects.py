"""The objects in JSON that nobody has checked yet: what is none of them is passed over, wherever it stands."""

from __future__ import annotations

from typing import Any


def objects(value: object) -> list[dict[str, Any]]:
    """The objects of a list, in their order; none where it is no list."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def objects_or_one(value: object) -> list[dict[str, Any]]:
    """The same where an object may stand by itself, which some sources write in place of a list of one."""
    return [value] if isinstance(value, dict) else objects(value)
