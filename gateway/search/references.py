"""The references that stand in a resource."""

from __future__ import annotations

from collections.abc import Iterator


def references_in(value: object) -> Iterator[str]:
    """Every `reference` in a resource, in document order, without recursion: data may be deep."""
    stack = [value]
    while stack:
        current = stack.pop()
        if isinstance(current, dict):
            reference = current.get("reference")
            if isinstance(reference, str):
                yield reference
            stack.extend(inner for inner in reversed(current.values()) if isinstance(inner, (dict, list)))
        elif isinstance(current, list):
            stack.extend(inner for inner in reversed(current) if isinstance(inner, (dict, list)))
