"""What every test may use."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real payloads that nobody here wrote; they are never copied into the project."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"the folder of real payloads is absent: {SHARED_DATA}")
    return SHARED_DATA
