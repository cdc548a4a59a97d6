"""The grades of the connectors that ship are earned by what lies beside them, and by the code as it stands."""

from __future__ import annotations

import pytest

from connectors.sdk.grades import Grade, grade_of
from connectors.sdk.installed import available


@pytest.mark.parametrize("connector", available())
def test_every_connector_that_ships_has_passed_the_kit_as_it_stands(connector: str) -> None:
    assert grade_of(connector) >= Grade.BRONZE, f"{connector} was changed since the kit passed: make evidence"
