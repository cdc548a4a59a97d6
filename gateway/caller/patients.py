"""A patient as a caller: somebody whose sign-in proved that an NHS number is their own.

They act in no organisation and hold no role profile. A row names them by `account`, a keyed digest of who the provider
says they are, and by the keyed tag of the patient, who is the same person: no name, no NHS number in clear.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from connectors.sdk.organisations import OrganisationType
from gateway.caller.model import Caller, KnownCaller, Role

NAME: Final = "The patient"
PURPOSE: Final = "PATRQT"
"""v3-ActReason: at the patient's request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """What a sign-in says of a patient: who vouches for them, through which client, how far their identity was proven
    (`proofing`, such as P9), and which sign-in it was."""

    issuer: str
    client_id: str
    account: str = field(repr=False)
    proofing: str
    token_id: str


def patient_caller(signed_in: SignedIn, nhs_number: str) -> Caller:
    """The patient with this number, who may ask about themselves alone."""
    return Caller(
        issuer=signed_in.issuer,
        user_id=signed_in.account,
        name=NAME,
        role_profile_id="",
        job_role_code="",
        role=Role.PATIENT,
        organisation="",
        organisation_name="",
        organisation_type=OrganisationType.NATIONAL_SERVICE,
        client_id=signed_in.client_id,
        purpose=PURPOSE,
        acr=signed_in.proofing,
        token_id=signed_in.token_id,
        patient=nhs_number,
    )


def known_patient(signed_in: SignedIn) -> KnownCaller:
    """Somebody who signed in as a patient and isn't let in. Which patient they are isn't believed, so no row says."""
    return KnownCaller(
        issuer=signed_in.issuer,
        token_id=signed_in.token_id,
        user_id=signed_in.account,
        name=NAME,
        role=Role.PATIENT,
        organisation_type=OrganisationType.NATIONAL_SERVICE,
        client_id=signed_in.client_id,
        purpose=PURPOSE,
        acr=signed_in.proofing,
    )
