"""The conformance kit against `pds`: every numbered case of docs/connector-kit.md that applies to it."""

from __future__ import annotations

import pytest

from connectors.kit.check import Subject, subject_of
from connectors.kit.suite import ConnectorSuite


class TestPds(ConnectorSuite):
    @pytest.fixture
    def subject(self) -> Subject:
        return subject_of("pds")
