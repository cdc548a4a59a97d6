"""The policies that ship, loaded once."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.policy.decide import Policy

POLICIES = Path(__file__).resolve().parents[2] / "policies"


@pytest.fixture(scope="session")
def policy() -> Policy:
    return Policy.load(POLICIES)


@pytest.fixture(scope="session")
def policies() -> Path:
    return POLICIES
