"""The table of each resource type: what becomes of every element that the type has in STU3."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from connectors.gp_connect.stu3.resources.allergy_intolerance import ALLERGY_INTOLERANCE
from connectors.gp_connect.stu3.resources.appointment import APPOINTMENT
from connectors.gp_connect.stu3.resources.condition import CONDITION
from connectors.gp_connect.stu3.resources.diagnostic_report import DIAGNOSTIC_REPORT
from connectors.gp_connect.stu3.resources.encounter import ENCOUNTER
from connectors.gp_connect.stu3.resources.immunization import IMMUNIZATION
from connectors.gp_connect.stu3.resources.medication import MEDICATION
from connectors.gp_connect.stu3.resources.medication_request import MEDICATION_REQUEST
from connectors.gp_connect.stu3.resources.medication_statement import MEDICATION_STATEMENT
from connectors.gp_connect.stu3.resources.observation import OBSERVATION
from connectors.gp_connect.stu3.resources.parties import LOCATION, ORGANIZATION, PRACTITIONER, PRACTITIONER_ROLE
from connectors.gp_connect.stu3.resources.patient import PATIENT
from connectors.gp_connect.stu3.resources.specimen import SPECIMEN
from connectors.gp_connect.stu3.rules import Rules

TABLES: Final[Mapping[str, Rules]] = {
    rules.kind: rules
    for rules in (
        ALLERGY_INTOLERANCE,
        APPOINTMENT,
        CONDITION,
        DIAGNOSTIC_REPORT,
        ENCOUNTER,
        IMMUNIZATION,
        LOCATION,
        MEDICATION,
        MEDICATION_REQUEST,
        MEDICATION_STATEMENT,
        OBSERVATION,
        ORGANIZATION,
        PATIENT,
        PRACTITIONER,
        PRACTITIONER_ROLE,
        SPECIMEN,
    )
}
"""By resource type. A type without a table is never in the output (`reasons.REASON_OF_TYPE` says why)."""
