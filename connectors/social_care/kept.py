"""What is carried over of a resource: the elements that the contract names, and nothing else.

A council's system holds what must never come here: key safe numbers and door codes, notes about safeguarding, the
people around the person. The connector never asks for them (`_elements`). What comes all the same is left out, by an
allow-list, so that an element nobody thought of is left out too; it is counted by the name that R4 gives it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from connectors.sdk import shape
from connectors.sdk.bundle import Entry
from connectors.sdk.model import Resource

Tree = dict[str, "Tree"]
"""Element names, each with those inside it. An empty one is a leaf: text, a number, a truth value, a list of them."""

_OWN: Final = frozenset({"resourceType", "id", "meta"})
_UNKNOWN: Final = "what R4 doesn't know"
_WAY_IN: Final = re.compile(
    r"\b(?:key|door|entrance|gate|access|lock|alarm|security|building|lobby|buzzer)[ -]?(?:safe|pad|code|box|fob)\b"
    r"|\b(?:key|door|entry|gate|access)[ -]?(?:safe|pad|code)"
    r"|\bcode(?: is| for [\w ]{1,20})?[ :#-]*\d|\bk/?s[ :#-]+\d{3}"
    r"|\bkeys? (?:is |are |kept |left |held )?(?:under|behind|beneath|with|from|inside|next door)\b",
    re.IGNORECASE,
)
"""Words that people type into an address line when they mean how to get in."""
_WORDS: Final = frozenset({"display", "text", "city", "district", "state"})
"""Where people type besides the lines of an address: how a reference is called, a concept's own words."""
_HISTORY: Final = re.compile(r"/_history/[^/]+$")


class HeldBack(ValueError):
    """The resource can't be carried over truthfully; the text says why, without a word of it."""


@dataclass(slots=True)
class Mapped:
    """What a resource became, and how much was left out of it, by element."""

    resource: Resource
    left_out: Counter[str] = field(default_factory=Counter)

    def leave_out(self, element: str, keep: list[Any], came: list[Any]) -> None:
        """Put `keep` in the place of what came in `element`; what is missing in it is counted."""
        if len(keep) < len(came):
            self.left_out[element] += len(came) - len(keep)
        if keep:
            self.resource[element] = keep
        else:
            self.resource.pop(element, None)

    @property
    def told(self) -> str:
        """What was left out, in words for the account; empty where nothing was."""
        if not self.left_out:
            return ""
        named = ", ".join(f"{name} ({count})" for name, count in sorted(self.left_out.items()))
        return f"left out, since the contract doesn't name it: {named}"


def tree(*paths: str) -> Tree:
    """The tree of dotted paths. `a:concept` stands for a CodeableConcept, `a:coding` for a Coding, `a:reference` for a
    Reference, `a:period` for a Period."""
    root: Tree = {}
    for path in paths:
        stem, _, kind = path.partition(":")
        for leaf in _INSIDE.get(kind, ("",)):
            node = root
            for name in f"{stem}.{leaf}".strip(".").split("."):
                node = node.setdefault(name, {})
    return root


_CODING: Final = ("system", "code", "display")
_INSIDE: Final[Mapping[str, tuple[str, ...]]] = {
    "coding": _CODING,
    "concept": (*(f"coding.{name}" for name in _CODING), "text"),
    "reference": ("reference", "type", "display", "identifier.system", "identifier.value"),
    "period": ("start", "end"),
}


def keep(entry: Entry, named: Tree) -> Mapped:
    """The resource with the named elements only. Raises HeldBack where one that is left out could turn its meaning."""
    resource = entry.resource
    kind = str(resource["resourceType"])
    if _is_modified(resource):
        raise HeldBack("it has a modifier that isn't understood here")
    mapped = Mapped({"resourceType": kind, "id": resource["id"], "meta": meta(entry)})
    for name, value in resource.items():
        if name in named:
            kept, lost = _part(value, named[name])
            if kept is not None:
                mapped.resource[name] = kept
            if lost:
                mapped.left_out[f"parts of {name}"] += lost
        elif name not in _OWN:
            told = name if name in _elements(kind) else _UNKNOWN
            mapped.left_out[told] += len(value) if isinstance(value, list) else 1
    return mapped


def meta(entry: Entry) -> Resource:
    """Version, date and every security label, a contained resource's too. The rest is the council's own bookkeeping."""
    came = entry.resource.get("meta", {})
    kept = {name: came[name] for name in ("versionId", "lastUpdated") if name in came}
    own, _ = _part(came.get("security", []), {name: {} for name in _CODING})
    labels = own or []
    pairs = {(label.get("system", ""), label.get("code", "")) for label in labels}
    labels += [
        {"system": system, "code": code} for system, code in entry.findings.security if (system, code) not in pairs
    ]
    return with_labels(kept, labels)


def with_labels(meta: Resource, labels: Iterable[Resource]) -> Resource:
    """The meta with these labels too, each once."""
    together = list(meta.get("security", []))
    for label in labels:
        if label not in together:
            together.append(label)
    return {**meta, "security": together} if together else meta


def tells_a_way_in(text: object) -> bool:
    """True for an address line or a place's name that seems to hold a door code or where the key is."""
    return isinstance(text, str) and _WAY_IN.search(text) is not None


def leads_to(reference: Any, *types: str) -> bool:
    """True for a Reference whose `reference` leads to one of these types."""
    return led_to(reference)[0] in types


def led_to(reference: Any) -> tuple[str, str]:
    """The type and the id that a Reference leads to, relative or whole, to a version or not; empty texts for none."""
    target = reference.get("reference") if isinstance(reference, dict) else None
    if not isinstance(target, str):
        return "", ""
    before, _, target_id = _HISTORY.sub("", target).rpartition("/")
    return before.rpartition("/")[2], target_id


def _part(value: Any, inside: Tree) -> tuple[Any, int]:
    """What is kept of a value (None for nothing), and how many parts were not."""
    if isinstance(value, list):
        parts = [_part(one, inside) for one in value]
        return [kept for kept, _ in parts if kept is not None] or None, sum(lost for _, lost in parts)
    if not inside:
        return (None, 1) if isinstance(value, dict) else (value, 0)
    if not isinstance(value, dict):
        return None, 1
    kept: Resource = {}
    lost = 0
    for name, one in value.items():
        named = name in inside and not (name in _WORDS and tells_a_way_in(one))
        part, missing = _part(one, inside[name]) if named else (None, 1)
        lost += missing
        if part is not None:
            kept[name] = part
    return kept or None, lost


def _is_modified(value: Any) -> bool:
    """True where R4 says that whoever doesn't understand an element must not use the rest."""
    if isinstance(value, list):
        return any(_is_modified(one) for one in value)
    if not isinstance(value, dict):
        return False
    if "modifierExtension" in value or "implicitRules" in value:
        return True
    return any(_is_modified(one) for name, one in value.items() if name != "contained")


@lru_cache(maxsize=32)
def _elements(kind: str) -> frozenset[str]:
    return frozenset(shape.type_for(kind).__annotations__)
