"""Where an issuer's tokens say what the gateway needs: a preset for each kind of issuer, and places that override."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from gateway.caller.pointer import Pointer


class Preset(StrEnum):
    """The kinds of issuers that are known here."""

    CARE_IDENTITY = "nhs-care-identity"
    KEYCLOAK = "keycloak"
    EHR_ASSERTION = "ehr-assertion"

    @property
    def asks_userinfo(self) -> bool:
        """Care Identity says at its userinfo endpoint which roles somebody holds, where the token doesn't."""
        return self is Preset.CARE_IDENTITY

    @property
    def signs_people_in(self) -> bool:
        """False where somebody else's software says who its user is: nobody can be sent there to sign in."""
        return self is not Preset.EHR_ASSERTION

    @property
    def token_types(self) -> frozenset[str]:
        """The `typ` of its tokens, in small letters. An ID token or another assertion is never taken for one."""
        return _ASSERTIONS if self is Preset.EHR_ASSERTION else _ACCESS_TOKENS

    @property
    def longest_life(self) -> float | None:
        """Seconds from `iat` to `exp` at most, where the kind sets a bound: five minutes, as GP Connect has it."""
        return 300.0 if self is Preset.EHR_ASSERTION else None


_ACCESS_TOKENS: Final = frozenset({"at+jwt", "application/at+jwt"})
_ASSERTIONS: Final = frozenset({"user-assertion+jwt", "application/user-assertion+jwt"})

OfToken = Literal[
    "user_id", "name", "roles", "selected_role", "purpose", "scope", "acr", "auth_time", "patient", "client_id"
]
OfRole = Literal["role_id", "organisation", "role_code", "activities"]


class ClaimsSettings(BaseModel):
    """One issuer's mapping. A preset by itself may be written as its name alone.

    `at` says where in a token something is, `in_role` where in each role; what a place doesn't hold is not looked for
    elsewhere. Roles are a list of objects, one object, or a list of texts such as `RJ2.R8000`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    preset: Preset = Preset.CARE_IDENTITY
    at: dict[OfToken, Pointer] = Field(default_factory=dict)
    in_role: dict[OfRole, Pointer] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _name_alone(cls, given: Any) -> Any:
        return {"preset": given} if isinstance(given, str) else given
