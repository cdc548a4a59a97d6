"""A replay asks nobody; and a connector with a fault."""

from __future__ import annotations

import functools
import json
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import connectors
from gateway.connector_commands import replay as replaying
from gateway.policy.decide import Policy
from tests.flow.replay.asking import MANIFEST

load_policy = functools.cache(Policy.load)


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is asked of anybody. The policies, which are always the same, are read once."""

    def refuse(*_: object) -> None:
        raise AssertionError("a replay went to the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(replaying, "Policy", SimpleNamespace(load=load_policy))


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., Path]:
    """Writes a payload to a file of its own."""
    numbers = iter(range(100))

    def save(payload: Any) -> Path:
        file = tmp_path / f"payload-{next(numbers)}.json"
        file.write_bytes(payload if isinstance(payload, bytes) else json.dumps(payload).encode())
        return file

    return save


LOSING = '''\
"""A connector that loses what it should bring."""

from dataclasses import replace

from connectors.fhir_r4.connector import connect as fhir_r4
from connectors.fhir_r4.settings import Settings
from connectors.sdk.model import Item, Section, Traced


class Losing:
    def __init__(self, inner):
        self.inner = inner

    async def ask(self, ask):
        BEFORE
        answer = await self.inner.ask(ask)
        FAULT
        return answer

    async def aclose(self):
        await self.inner.aclose()


def connect(setup):
    return Losing(fhir_r4(setup))
'''


@pytest.fixture
def losing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Installs a connector with a fault."""

    def install(fault: str, before: str = "pass", *, with_replay: bool = True) -> None:
        folder = tmp_path / "more" / "losing"
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text(LOSING.replace("FAULT", fault).replace("BEFORE", before))
        if with_replay:
            (folder / "replay.py").write_text("from connectors.fhir_r4.replay import replaying\n")
        (folder / "manifest.yaml").write_text(json.dumps(MANIFEST))
        (folder / "README.md").touch()
        monkeypatch.setattr(connectors, "__path__", [*connectors.__path__, str(tmp_path / "more")])

    yield install
    for module in ("connectors.losing", "connectors.losing.replay"):
        sys.modules.pop(module, None)
