"""The conformance kit on `fhir_r4`, both ways in which it asks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from connectors.kit.check import Subject, subject_of
from connectors.kit.suite import ConnectorSuite


@pytest.mark.slow
class TestByLogicalId(ConnectorSuite):
    @pytest.fixture
    def subject(self) -> Subject:
        return subject_of("fhir_r4")


class TestByIdentifier(ConnectorSuite):
    @pytest.fixture
    def subject(self) -> Subject:
        subject = subject_of("fhir_r4", "RJ2")
        settings = {**subject.kit.settings, "patient_by": "identifier"}
        return replace(subject, kit=subject.kit.model_copy(update={"settings": settings}))
