"""Is this patient known, and are they who the caller thinks they are? Asked between merging and showing.

An unknown patient is an error at every door, a search too: an empty answer would be read as "nothing recorded". Who may
open a record and holds the patient's permission may know that nobody knows the patient; others are refused earlier.
"""

from __future__ import annotations

from typing import Final

from connectors.sdk.model import Outcome
from gateway.errors import NobodyAnswered, NotFound
from gateway.locate import Look
from gateway.merge import Record

_SAID_ALL: Final = frozenset({Outcome.NO_RECORD, Outcome.NOT_ASKED})
"""Without a gap these leave nothing open: who isn't asked and has no gap holds none of what was asked for."""


def require_patient(record: Record, look: Look) -> None:
    """Raises NotFound where every source answered that it doesn't know the patient, where the birth date differs, or
    where there was nobody to ask; NobodyAnswered where too few could answer to tell."""
    if not record.patients:
        _raise_unknown(record)
    if look.birth_date is not None and all(
        patient.resource.get("birthDate") != look.birth_date for patient in record.patients
    ):
        raise NotFound(
            "No patient has both this NHS number and this birth date. Check both with the patient.",
            rule="patient.birth-date-differs",
            expression="birthdate",
        )


def _raise_unknown(record: Record) -> None:
    if not record.lines:
        raise NotFound("No organisation that takes part now offers what was asked for.", rule="sources.none")
    missing = [line for line in record.lines if line.gaps or line.outcome not in _SAID_ALL]
    if not missing:
        raise NotFound(
            "No organisation that takes part knows a patient with this NHS number. Check it with the patient.",
            rule="patient.unknown",
        )
    named = "; ".join(f"{line.name} {line.told}" for line in missing)
    raise NobodyAnswered(
        f"No record can be shown: {named}. This does not mean that nothing is recorded. Try again shortly.",
        rule="sources.nobody-answered",
        detail=", ".join(f"{line.source}={line.outcome}" for line in missing),
    )
