"""Who is asking."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from connectors.sdk.organisations import OrganisationType
from gateway.caller.scopes import Grants, read_scopes
from gateway.caller.themselves import UNKNOWN, Themselves


class Role(StrEnum):
    """The roles that the policies know."""

    GP = "gp"
    HOSPITAL_DOCTOR = "hospital-doctor"
    NURSE = "nurse"
    DISTRICT_NURSE = "district-nurse"
    OCCUPATIONAL_THERAPIST = "occupational-therapist"
    SOCIAL_WORKER = "social-worker"
    PRIVACY_OFFICER = "privacy-officer"
    COMMISSIONER = "commissioner"
    PATIENT = "patient"


STAFF: Final = tuple(role for role in Role if role is not Role.PATIENT)
"""The roles that somebody can have by their work: no job-role code makes anybody a patient."""


def binding_key(issuer: str, user_id: str, role_profile_id: str, organisation: str) -> str:
    """One string for the four, such that no two different fours share one, whatever characters an issuer allows."""
    return json.dumps([issuer, user_id, role_profile_id, organisation])


@dataclass(frozen=True, slots=True)
class Caller:
    """A person, with one role profile, in one organisation, through one client, for one purpose of use.

    `purpose` is a v3-ActReason code (`TREAT`, `ETREAT`). `acr` and `auth_time` are as the issuer stated them.
    `token_id` is the token's `jti`: the audit names the token by it, never by its bytes. `themselves` is what the
    issuer says of the private person: compared with the patient, and never kept or shown. `patient` is the NHS number
    of the patient in the launch context, where the token names one; of a patient (`gateway.caller.patients`) their own.
    """

    issuer: str
    user_id: str
    name: str
    role_profile_id: str
    job_role_code: str
    role: Role
    organisation: str
    organisation_name: str
    organisation_type: OrganisationType
    client_id: str
    purpose: str = "TREAT"
    scopes: frozenset[str] = frozenset()
    acr: str = ""
    auth_time: int | None = None
    token_id: str = ""
    themselves: Themselves = field(default=UNKNOWN, repr=False, compare=False)
    patient: str | None = field(default=None, repr=False)

    @property
    def key(self) -> str:
        """What a permission is bound to: this person, in this role profile, in this organisation."""
        return binding_key(self.issuer, self.user_id, self.role_profile_id, self.organisation)

    @property
    def grants(self) -> Grants:
        """What the token's scopes leave of the role. Read from `scopes`, so that no caller can be made without them."""
        return replace(read_scopes(self.scopes), patient=self.patient)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownCaller:
    """As much as is known of somebody who was refused before they were a `Caller`; "" where it isn't known.

    It has the fields that the audit writes of a Caller, so a refusal is written as fully as a look.
    """

    issuer: str
    token_id: str
    user_id: str = ""
    name: str = ""
    role_profile_id: str = ""
    job_role_code: str = ""
    role: str = ""
    organisation: str = ""
    organisation_name: str = ""
    organisation_type: str = ""
    client_id: str = ""
    purpose: str = ""
    acr: str = ""
