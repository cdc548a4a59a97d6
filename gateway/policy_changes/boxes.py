"""Tells a set of cases by few sentences: as boxes, each of which holds every combination of what it names."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

Names = tuple[str, ...]
Box = tuple[frozenset[str], ...]


def boxes(points: Collection[Names]) -> list[Box]:
    """Boxes that hold just these points between them, none of them twice, the largest first.

    Values of the first field after which the very same follows go together, and so on field by field.
    """
    if not points:
        return []
    return sorted(_split(sorted(points)), key=lambda box: (-_size(box), [sorted(field) for field in box]))


def _split(points: Sequence[Names]) -> list[Box]:
    if not points[0]:
        return [()]
    following: dict[str, list[Names]] = {}
    for first, *rest in points:
        following.setdefault(first, []).append(tuple(rest))
    alike: dict[tuple[Names, ...], list[str]] = {}
    for first, rests in following.items():
        alike.setdefault(tuple(rests), []).append(first)
    return [(frozenset(firsts), *box) for rests, firsts in alike.items() for box in _split(rests)]


def _size(box: Box) -> int:
    size = 1
    for field in box:
        size *= len(field)
    return size


def told(box: Box, fields: Sequence[str], every: Mapping[str, Collection[str]]) -> str:
    """`role: nurse; section: any but results`: without the fields in which it holds every value there is."""
    parts = []
    for name, values in zip(fields, box, strict=True):
        others = frozenset(every[name]) - values
        if others and any(values):
            said = ", ".join(sorted(filter(None, values)))
            parts.append(
                f"{name}: any but {', '.join(sorted(others))}" if len(others) < len(values) else f"{name}: {said}"
            )
    return "; ".join(parts) or "always"
