"""A gateway for each test that asks for one."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from connectors.fhir_r4 import sandbox
from gateway import assembly
from gateway.caller.roles import load_job_roles
from gateway.policy.decide import Policy
from tests.flow.stack import Stack, running
from tests.r4 import RUN


@pytest.fixture(scope="session", autouse=True)
def _read_once() -> Iterator[None]:
    """What the same files always give is read once a run: policies, job roles and the sandboxes' data."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assembly, "Policy", SimpleNamespace(load=functools.cache(Policy.load)))
        patch.setattr(assembly, "load_job_roles", functools.cache(load_job_roles))
        patch.setattr(sandbox, "holdings", functools.cache(sandbox.holdings))
        yield


@pytest.fixture(scope="session", autouse=True)
def _held_against_r4(request: pytest.FixtureRequest) -> None:
    """The quick suite holds a sample of the answers against R4, every other run all of them."""
    RUN.every = "not slow" not in request.config.getoption("markexpr")


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    async with running(tmp_path) as stack:
        yield stack
