"""Runs in a process of its own: one target under atheris, which sees each branch that the gateway's code takes.

python -m tests.fuzz.engine TARGET LIBFUZZER-ARGUMENTS...
"""

from __future__ import annotations

import json
import random
import sys
from typing import Any

import atheris

with atheris.instrument_imports(include=["gateway", "connectors"]):
    from tests.fuzz.targets import TARGETS

_ODD: tuple[Any, ...] = (None, True, -1, 1.5, "", "x", [], {}, [None], {"extension": [{}]}, "2026-02-30", "a" * 300)


def mutated(data: bytes, longest: int, seed: int) -> bytes:
    """JSON with something in its tree exchanged, left out or said again; other bytes as libFuzzer changes them."""
    chance = random.Random(seed)
    try:
        tree = json.loads(data)
    except (ValueError, RecursionError):
        return bytes(atheris.Mutate(data, longest))
    if chance.random() < 0.2:
        return bytes(atheris.Mutate(data, longest))
    for _ in range(chance.randint(1, 3)):
        _change(tree, chance)
    changed = json.dumps(tree).encode()
    return changed if len(changed) <= longest else data


def _change(tree: Any, chance: random.Random) -> None:
    places = list(_places(tree))
    if not places:
        return
    holder, key = chance.choice(places)
    kind = chance.random()
    if kind < 0.25:
        del holder[key]
    elif kind < 0.55:
        holder[key] = chance.choice(_ODD)
    elif kind < 0.8:
        other, name = chance.choice(places)
        holder[key] = json.loads(json.dumps(other[name]))
    else:
        holder[key] = [holder[key]] if chance.random() < 0.5 else {"extension": holder[key]}


def _places(node: Any) -> Any:
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in list(inner):
        yield node, key
        yield from _places(value)


def main() -> None:
    """Fuzz until the time is over, or something is found: then the exit code is not 0."""
    name, *arguments = sys.argv[1:]
    mutator = {"custom_mutator": mutated} if name == "stu3" else {}
    atheris.Setup([sys.argv[0], *arguments], TARGETS[name], **mutator)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
