"""Which store a gateway has in these suites."""

from __future__ import annotations

import pytest

from tests.stores import PostgresPlace


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> str | None:
    """A PostgreSQL database of the test's own, or None for SQLite in the data folder."""
    if request.param == "sqlite":
        return None
    place: PostgresPlace = request.getfixturevalue("postgres_place")
    return place.url
