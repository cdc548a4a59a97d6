"""What every test may use."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

from tests import read_once
from tests.canaries import leaked
from tests.figures import figure, pytest_configure, pytest_terminal_summary
from tests.stores import place, postgres, postgres_place, sqlite_place, template

__all__ = [
    "figure",
    "place",
    "postgres",
    "postgres_place",
    "pytest_configure",
    "pytest_terminal_summary",
    "sqlite_place",
    "template",
]

# The same cases each time, however slow the machine; others by `--hypothesis-profile default`.
settings.register_profile("steady", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("steady")
read_once.install()

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


def pytest_sessionfinish(session: pytest.Session) -> None:
    """After the whole run: no clinical content in any store, log or temporary file that it left behind."""
    if hasattr(session.config, "workerinput"):
        return  # the controller sees the folders of all its workers
    factory = getattr(session.config, "_tmp_path_factory", None)
    if factory is None or factory._basetemp is None:
        return
    found = list(leaked(factory._basetemp))
    for path, canary in found:
        print(f"\nclinical content was kept: {canary} in {path}")
    if found:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
