"""Every log call in the code is one that the list of events takes, and every event of the list is logged somewhere."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from gateway.log_events import EVENTS, OF_AN_ERROR
from tests.contract.deployed import ROOT

LIST = ROOT / "gateway" / "log_events.py"
NOT_FIELDS = frozenset({"level"})


@dataclass(frozen=True)
class LogCall:
    """One call of `log.event` or `log.failed` with an event that stands there as a word."""

    place: str
    event: str
    keys: frozenset[str]


@cache
def trees() -> dict[Path, ast.Module]:
    files = [*(ROOT / "gateway").rglob("*.py"), *(ROOT / "connectors").rglob("*.py")]
    return {file: ast.parse(file.read_text(encoding="utf-8")) for file in files if file != LIST}


def calls() -> Iterator[LogCall]:
    for file, tree in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and node.args and (how := logs(node.func)):
                event = node.args[0]
                if isinstance(event, ast.Constant) and isinstance(event.value, str):
                    given = {each.arg for each in node.keywords if each.arg} - NOT_FIELDS
                    added = OF_AN_ERROR if how == "failed" else ()
                    yield LogCall(f"{file.name}:{node.lineno}", event.value, frozenset({*given, *added}))


def logs(function: ast.expr) -> str:
    """`event` or `failed`, where the called function is one of the log's; else ""."""
    if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name) and function.value.id == "log":
        return function.attr if function.attr in ("event", "failed") else ""
    return function.id if isinstance(function, ast.Name) and function.id in ("event", "failed") else ""


def test_every_call_is_one_that_the_list_takes() -> None:
    found = [call for call in calls() if "." in call.event]
    assert len(found) >= 30
    for call in found:
        assert call.event in EVENTS, f"{call.place}: {call.event} isn't in gateway/log_events.py"
        assert call.keys <= EVENTS[call.event].keys, f"{call.place}: {call.keys - EVENTS[call.event].keys}"


def test_every_event_of_the_list_is_logged_somewhere() -> None:
    words = {
        node.value
        for tree in trees().values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert EVENTS.keys() - words == set()


def test_every_key_of_an_event_is_used() -> None:
    """A key that nobody uses is room for something that nobody thought of."""
    used: dict[str, set[str]] = {}
    for call in calls():
        used.setdefault(call.event, set()).update(call.keys)
    dynamic = {"launch.refused", "signin.refused", "log.unnamed"}  # named by who calls gateway/api/entering.py
    for name, event in EVENTS.items():
        assert name in dynamic or event.keys == used[name], name
