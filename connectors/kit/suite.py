"""The conformance kit as a pytest class: inherit it, give it a subject, and every case is a test.

class TestMyConnector(ConnectorSuite):
    @pytest.fixture
    def subject(self) -> Subject:
        return subject_of("my_connector")
"""

from __future__ import annotations

import pytest

from connectors.kit.cases import ALL
from connectors.kit.check import Subject, play
from connectors.kit.registry import Case
from connectors.sdk import shape


class ConnectorSuite:
    """Inherit and give it a fixture `subject`. A case that the manifest skips is skipped, with its reason."""

    @pytest.fixture
    def subject(self) -> Subject:
        """What is checked."""
        raise NotImplementedError("give the class a fixture called subject, of connectors.kit.check.subject_of")

    @pytest.mark.anyio
    @pytest.mark.parametrize("case", ALL.values(), ids=lambda case: f"{case.number} {case.title}")
    async def test_case(self, subject: Subject, case: Case) -> None:
        """One case of docs/connector-kit.md."""
        shape.prepare()
        result = await play(subject, case)
        if result.skipped:
            pytest.skip(result.said)
        assert result.passed, f"{result.number} {result.title}: {result.said}. See {result.paragraph}"
