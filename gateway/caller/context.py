"""The patient in context: a token with `patient/` scopes is about one patient, and about nobody else.

Source: SMART App Launch 2.2, "Scopes for requesting FHIR Resources" (patient-specific scopes) and "Launch context
arrives with your access_token". The claim `patient` holds the NHS number, or the sealed id of a Patient.
"""

from __future__ import annotations

from typing import Final

from gateway.caller.model import Caller
from gateway.errors import Refusal

RULE: Final = "caller.patient-context"
_NOBODY: Final = (
    "The scopes of your application's token are for one patient (patient/…), and it doesn't say for which in a way "
    "that can be used here. Start the application from the patient's record, or sign in and choose the patient."
)
_ANOTHER: Final = (
    "The scopes of your application's token are for the patient in context (patient/…), and for no other. Open the "
    "other patient in your own system, and start the application again from there."
)


def require_in_context(caller: Caller, nhs_number: str | None) -> None:
    """Raises Refusal where the token is bound to the patient in context, and this is another; None: any patient."""
    grants = caller.grants
    allowed = not grants.in_context if nhs_number is None else grants.is_about(nhs_number)
    if not allowed:
        raise Refusal(_NOBODY if grants.patient is None else _ANOTHER, rule=RULE)
