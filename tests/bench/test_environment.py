"""What only the bench needs is installed once for each lock, or said not to be had."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench import environment
from tests.bench.environment import Absent
from tests.clients.installed import NoRegistry

MADE: list[Path] = []


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lock; no venv is made and nothing is installed."""
    MADE.clear()
    monkeypatch.setattr(environment.subprocess, "run", lambda *_, **__: None)
    monkeypatch.setattr(environment, "pip", lambda interpreter, _: MADE.append(interpreter))
    (tmp_path / "requirements.lock").write_text("healthchain==0.16.1")
    return tmp_path / "requirements.lock"


def test_it_is_made_again_only_for_another_lock(tmp_path: Path, lock: Path) -> None:
    first = environment.python(tmp_path / "place", lock)
    assert environment.python(tmp_path / "place", lock) == first
    assert len(MADE) == 1
    lock.write_text("healthchain==0.17.0")
    environment.python(tmp_path / "place", lock)
    assert len(MADE) == 2


def test_where_there_is_no_registry_that_is_said_and_tried_again(
    tmp_path: Path, lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise NoRegistry("no registry answers")

    monkeypatch.setattr(environment, "pip", refuse)
    for _ in range(2):
        with pytest.raises(Absent, match="no registry answers"):
            environment.python(tmp_path / "place", lock)
