"""Every value of an STU3 resource, as it must be found in what came of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from connectors.gp_connect.stu3 import naming
from connectors.gp_connect.stu3.reasons import EMPTY_TEXT, PROFILE
from connectors.gp_connect.stu3.resources import TABLES

_NUMBERS = {("quantity", "value"), ("expectedSupplyDuration", "value")}
"""Where the published examples have text for a number: the same digits must come out, as a number."""
_DESCRIPTION = {"DescriptionID": "descriptionId", "DescriptionDisplay": "descriptionDisplay"}


def values(resource: Any) -> Counter[str]:
    """Each value in it, with its type and its very digits, as often as it occurs."""
    found: Counter[str] = Counter()
    level = [resource]
    while level:
        node = level.pop()
        if isinstance(node, dict):
            level.extend(node.values())
        elif isinstance(node, list):
            level.extend(node)
        elif node is not None:
            found[as_text(node)] += 1
    return found


def as_text(value: object) -> str:
    if isinstance(value, bool):
        return f"truth {value}"
    return f"number {value}" if isinstance(value, int | Decimal) else f"text {value}"


def unaccounted(resource: dict[str, Any], became: Any, left_out: Counter[str]) -> list[str]:
    """The paths whose values are neither in what became of the resource, nor counted by name as left out."""
    there = values(became)
    allowed = Counter(left_out)
    missing = []
    for path, value in _expected(resource, resource["resourceType"]):
        if allowed[path] > 0:
            allowed[path] -= 1
        elif there[value] > 0:
            there[value] -= 1
        else:
            missing.append(path)
    return missing


def _expected(resource: dict[str, Any], kind: str) -> Iterator[tuple[str, str]]:
    for part in resource.get("contained", ()):
        if part["resourceType"] in TABLES:
            yield from _expected(part, part["resourceType"])
    rest = {name: value for name, value in resource.items() if name != "contained"}
    yield from _walk(rest, kind, kind, consumed=False)


def _walk(node: Any, path: str, kind: str, *, consumed: bool) -> Iterator[tuple[str, str]]:
    if isinstance(node, list):
        for one in node:
            yield from _walk(one, path, kind, consumed=consumed)
    elif isinstance(node, dict):
        if path == f"{kind}.extension":
            consumed = naming.extension_name(node["url"]) in TABLES[kind].extensions
        for name, value in node.items():
            if name == "url" and "extension" in path:
                # Which element it became says what its url said.
                if not consumed:
                    yield path, as_text(_DESCRIPTION.get(value, naming.extension_url(value)))
            else:
                yield from _walk(value, f"{path}.{name}", kind, consumed=consumed)
    elif node is not None:
        yield from _leaf(node, path, kind)


def _leaf(value: Any, path: str, kind: str) -> Iterator[tuple[str, str]]:
    parent, name = path.split(".")[-2:]
    if not isinstance(value, str):
        yield path, as_text(value)
    elif not value.strip():
        yield EMPTY_TEXT, "text that is never there"
    elif (parent, name) in _NUMBERS:
        yield path, f"number {value}"
    elif path == f"{kind}.meta.profile":
        yield PROFILE, as_text(naming.profile(value, kind) or "a profile that is never there")
    elif path == "Condition.category.coding.system":
        yield path, as_text(f"{naming.TERMINOLOGY}condition-category")
    elif name == "system":
        yield path, as_text(naming.code_system(value.strip()))
    elif name == "reference":
        yield path, as_text(naming.target(value))
    else:
        yield path, as_text(value.strip() if name == "code" else value)
