"""The official AllergyIntolerance pair: ours equals the expected R4 but for the differences that 0008 lists."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from connectors.gp_connect.stu3 import translate
from tests.connectors.stu3.sent import NEEDS_DATA, SHARED, read

pytestmark = NEEDS_DATA
PAIR = SHARED / "stu3-to-r4" / "test-data"
NAME = "allergyintolerance/AllergyIntolerance_000.json"
DECISION = Path(__file__).parents[3] / "docs" / "decisions" / "0008-stu3-to-r4.md"


def test_the_pair_differs_exactly_as_decided() -> None:
    ours = translate([read(PAIR / "careconnect" / NAME)]).resources[0]
    expected = read(PAIR / "ukcore" / NAME)
    assert set(differences(expected, ours)) == decided()


def decided() -> set[str]:
    section = DECISION.read_text().partition("## The official pair")[2].partition("\n## ")[0]
    return set(re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE))


def differences(expected: Any, ours: Any, path: str = "") -> list[str]:
    """The paths of what is in one only, or not the same in both. Extensions are told apart by their urls."""
    if isinstance(expected, dict) and isinstance(ours, dict):
        names = dict.fromkeys([*expected, *ours])
        return [one for name in names for one in _child(expected, ours, name, f"{path}.{name}".lstrip("."))]
    if isinstance(expected, list) and isinstance(ours, list) and len(expected) == len(ours):
        return [one for e, o in zip(expected, ours, strict=True) for one in differences(e, o, path)]
    return [] if expected == ours else [path]


def _child(expected: dict[str, Any], ours: dict[str, Any], name: str, path: str) -> list[str]:
    if name not in expected or name not in ours:
        return [path]
    if name != "extension":
        return differences(expected[name], ours[name], path)
    theirs, own = _by_url(expected[name]), _by_url(ours[name])
    return [
        one
        for url in dict.fromkeys([*theirs, *own])
        for one in (
            differences(theirs[url], own[url], f"{path}({url})") if url in theirs and url in own else [f"{path}({url})"]
        )
    ]


def _by_url(extensions: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for extension in extensions:
        found.setdefault(extension["url"].rpartition("/")[2], []).append(extension)
    return found
