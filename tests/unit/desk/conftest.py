"""The room of the desk's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.desk.room import Room


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    made = Room(tmp_path)
    yield made
    await made.volume.aclose()
    await made.follow_up.aclose()
    await made.store.aclose()
