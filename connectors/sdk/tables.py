"""The shapes of `shape.py` and `envelope.py` as plain tables, for the native kernel: one source of what R4 asks for.

A node is an object's elements with their kinds, those that must be there, the groups of which one must be there, and
those of which at most one may be. A kind is a word, or a word and what it is about (`kernel/src/tables.rs`).
"""

from __future__ import annotations

from types import NoneType, UnionType
from typing import Annotated, Any, Final, Required, Union, get_args, get_origin, get_type_hints, is_typeddict

import msgspec

from connectors.sdk import shape
from connectors.sdk.envelope import Envelope
from connectors.sdk.number import Number

Kind = str | tuple[str, Any]
Group = tuple[str, ...]
Node = tuple[tuple[tuple[str, Kind], ...], Group, tuple[Group, ...], tuple[Group, ...]]

_OPEN: Final[Node] = ((), (), (), ())
_WORDS: Final[dict[Any, str]] = {
    Any: "any",
    str: "text",
    bool: "flag",
    int: "integer",
    Number: "number",
    msgspec.Raw: "resource",
}
_BOUNDED: Final = {(str, msgspec.Meta(min_length=1)): "some-text", (int, msgspec.Meta(ge=0)): "natural"}


def tables() -> tuple[list[Node], dict[str, int]]:
    """The nodes, and by resource type the place of its own: those of `KNOWN_TYPES`, and `Bundle`.

    Raises ValueError for a type that tables have no word for.
    """
    made = Tables()
    roots = {kind: made.place(shape.type_for(kind), shape.rule_for(kind)) for kind in sorted(shape.KNOWN_TYPES)}
    return made.nodes, roots | {"Bundle": made.place(Envelope, shape.NO_RULE)}


class Tables:
    """Nodes as they are made; the first is that of an object of which nothing is known. Equal ones are one."""

    def __init__(self) -> None:
        self.nodes = [_OPEN]
        self._places = {_OPEN: 0}

    def place(self, described: Any, rule: shape.Rule) -> int:
        """Where the node of this TypedDict, under this rule, stands."""
        inside = dict(rule.inside)
        hints = get_type_hints(described, include_extras=True)
        fields = tuple((name, self.kind(hint, inside.get(name, shape.NO_RULE))) for name, hint in hints.items())
        # (`__required_keys__` misses those of a class whose annotations are text.)
        required = tuple(sorted(name for name, hint in hints.items() if get_origin(hint) is Required))
        single = tuple(tuple(sorted(group)) for group in rule.single)
        node = (fields, required, rule.needed, single)
        if node not in self._places:
            self._places[node] = len(self.nodes)
            self.nodes.append(node)
        return self._places[node]

    def kind(self, hint: Any, rule: shape.Rule) -> Kind:
        """The kind of a value that is annotated so. Raises ValueError."""
        if is_typeddict(hint):
            return "object", self.place(hint, rule)
        origin, inner = get_origin(hint), get_args(hint)
        if origin is Required:
            return self.kind(inner[0], rule)
        if origin is Annotated:
            return _BOUNDED[inner]
        if origin is list:
            return "list", self.kind(inner[0], rule)
        if origin in (Union, UnionType):
            [kind] = (one for one in inner if one is not NoneType)
            return "or-null", self.kind(kind, rule)
        if hint == dict[str, Any] and rule is shape.NO_RULE:
            return "object", 0
        if hint in _WORDS:
            return _WORDS[hint]
        raise ValueError(f"no table has a word for {hint}")
