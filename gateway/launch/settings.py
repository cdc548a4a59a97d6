"""Whom the gateway lets open its viewer, and whom it answers with cards: the systems that are registered.

Each is registered by an agreement between organisations, under exact names. A system vouches for people of one issuer
of `issuers`, and only for staff of the organisations that it is registered for: no EHR can sign in somebody else's.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from gateway.caller.settings import Algorithm, IssuerSettings, check_address

OdsCode = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]{2,6}$")]
Tag = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{1,30}$")]
Users = Literal["access-token", "id-token", "userinfo"]
_UNPROVEN: Final = frozenset({"P0", "P5"})
_SCOPE_WORDS: Final = "launch openid fhirUser patient/Patient.rs"


class Signing(BaseModel):
    """What every system says whose statements are believed. `issuer` signs them, and is compared character for
    character; without `jwks_uri` the keys' address comes from the issuer's OpenID discovery document."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=100)
    issuer: str = Field(min_length=1, max_length=256)
    jwks_uri: str | None = None
    algorithms: tuple[Algorithm, ...] = Field(default=("ES384", "RS384", "ES256", "RS256"), min_length=1)
    allow_insecure_loopback: bool = False

    @model_validator(mode="after")
    def _check_issuer(self) -> Self:
        _ = self.signer
        return self

    @property
    def signer(self) -> IssuerSettings:
        """Its keys, as `gateway.caller.keys.Keys` fetches them: each kind of statement has an audience of its own."""
        return IssuerSettings(
            issuer=self.issuer,
            audience="(of each kind of statement)",
            algorithms=self.algorithms,
            jwks_uri=self.jwks_uri,
            allow_insecure_loopback=self.allow_insecure_loopback,
        )

    @property
    def registration(self) -> str:
        """Names this entry among all that are registered: its kind and its issuer."""
        return f"{type(self).__name__} {self.issuer}"

    def check(self, address: str) -> None:
        """Raises ValueError for an address that nothing of a launch may be sent to."""
        check_address(address, allow_insecure_loopback=self.allow_insecure_loopback)


class Registered(Signing):
    """A system that states who somebody is. `counts_as` names the entry of `issuers` whose people these are: their
    permissions are the same ones, however they came in. `organisations` are the ODS codes of the organisations for
    whose staff it may speak; None is for an issuer that speaks for its own people."""

    counts_as: str = Field(min_length=1, max_length=512)
    organisations: Annotated[frozenset[OdsCode], Field(min_length=1)] | None


class Client(Signing):
    """A system at which the gateway is a client of the authorization code flow.

    With `key_file` (an unencrypted PEM) and `kid` the gateway proves itself by `private_key_jwt`, without by PKCE alone
    (a public client). `scope` is what is asked for.
    """

    client_id: str = Field(min_length=1, max_length=256)
    key_file: Path | None = None
    kid: str = ""
    key_algorithm: Literal["ES384", "RS384", "RS512"] = "ES384"
    scope: str = "openid profile"

    @property
    def needed_scopes(self) -> frozenset[str]:
        """Without these nobody can be signed in."""
        return frozenset({"openid"})

    @model_validator(mode="after")
    def _check_client(self) -> Self:
        missing = self.needed_scopes - set(self.scope.split())
        if missing:
            raise ValueError(f"scope lacks {' and '.join(sorted(missing))}, without which nobody is signed in")
        if (self.key_file is None) != (self.kid == ""):
            raise ValueError("key_file and kid go together: give both, or neither for a public client")
        return self


class EhrSettings(Client, Registered):
    """One EHR that opens the viewer by SMART launch.

    `fhir_base` is what it sends as `iss`, character for character; `issuer` signs its ID tokens.

    `users` says what names the person: their `access-token`, where it is a token of `counts_as` for this gateway; the
    claims of the `id-token`; or those of the `userinfo` endpoint with the ID token's. `nhs_number_claim` is a claim of
    the ID token that names the patient as `system|value`; without it the Patient is read at the EHR.
    """

    organisations: frozenset[OdsCode] = Field(min_length=1)
    fhir_base: str = Field(min_length=8, max_length=512)
    scope: str = _SCOPE_WORDS
    users: Users = "id-token"
    nhs_number_claim: str | None = None

    @property
    def registration(self) -> str:
        """Several EHRs may sign in at one issuer."""
        return f"{super().registration} {self.fhir_base}"

    @property
    def needed_scopes(self) -> frozenset[str]:
        return frozenset({"launch", "openid"})

    @model_validator(mode="after")
    def _check_launch(self) -> Self:
        self.check(self.fhir_base)
        if "?" in self.fhir_base:
            raise ValueError("fhir_base holds a query. Give the base URL of the EHR's FHIR API alone")
        return self


class ContextSettings(Registered):
    """One system that opens the viewer by the UK contextual launch: a JWT that its `issuer` signed for us."""

    organisations: frozenset[OdsCode] = Field(min_length=1)


class HookSettings(Registered):
    """One EHR that asks for cards. Its JWTs may name `jku`, which must be `jwks_uri` then, and is never followed."""

    organisations: frozenset[OdsCode] = Field(min_length=1)


class SignInSettings(Client, Registered):
    """One OpenID provider at which staff sign in to the pages by themselves: an issuer of `issuers`, for its own
    people. `tag` names it in addresses.

    `users` as in `EhrSettings`: the `access-token`, where the provider gives out tokens for this gateway; else the
    claims of the `id-token`, or those of the `userinfo` endpoint with the ID token's.
    """

    counts_as: str = Field(default_factory=lambda given: given["issuer"], min_length=1, max_length=512)
    organisations: None = None
    tag: Tag
    users: Users = "access-token"


class PatientSignInSettings(Client):
    """One OpenID provider at which patients sign in to their own pages (NHS login, for one). `tag` as above.

    What it states of them is read at the userinfo endpoint, or is in the ID token: `nhs_number`, `birthdate` and
    `identity_proofing_level`, which must be `proofing` (P9: identity proven to the level that health records ask for).
    `youngest` is the age in years from which somebody speaks for themselves here (NHS login opens at 13). Its issuer
    signs in no staff.
    """

    tag: Tag
    proofing: str = Field(default="P9", min_length=1, max_length=32)
    scope: str = "openid profile profile_extended"
    algorithms: tuple[Algorithm, ...] = Field(default=("RS512", "ES384", "RS384", "ES256", "RS256"), min_length=1)
    youngest: int = Field(default=13, ge=0, le=18)

    @field_validator("proofing")
    @classmethod
    def _proves_somebody(cls, proofing: str) -> str:
        if proofing in _UNPROVEN:
            raise ValueError(
                "P0 and P5 prove nobody's identity: whoever typed an NHS number could read about it. Use P9"
            )
        return proofing


def fault_of(registered: Sequence[Signing], issuers: frozenset[str], *, is_demo: bool) -> str:
    """What is wrong with the registered systems as a whole, with what to do; "" where nothing is."""
    staffs = issuers | {one.issuer for one in registered if isinstance(one, Registered)}
    for one in registered:
        if isinstance(one, Registered) and one.counts_as not in issuers:
            return f"{one.name}: counts_as names {one.counts_as}, which is none of issuers. Name one of them exactly"
        if one.allow_insecure_loopback and not is_demo:
            return f"{one.name}: allow_insecure_loopback is for the demo. Give an https issuer"
        if isinstance(one, PatientSignInSettings) and one.issuer in staffs:
            return f"{one.name}: patients and staff sign in at issuers of their own. Give patients another than staff's"
    published: dict[str, str | None] = {}
    for one in registered:
        if published.setdefault(one.issuer, one.jwks_uri) != one.jwks_uri:
            return f"{one.name}: another entry gives {one.issuer} other keys. Give both the same jwks_uri, or none"
    bases = [one.fhir_base for one in registered if isinstance(one, EhrSettings)]
    if len(set(bases)) < len(bases):
        return "two launches have the same fhir_base. Leave one of them out"
    tags = [one.tag for one in registered if isinstance(one, (SignInSettings, PatientSignInSettings))]
    if len(set(tags)) < len(tags):
        return "two ways to sign in have the same tag. Give each its own"
    for kind in (ContextSettings, HookSettings, PatientSignInSettings):
        signing = [one.issuer for one in registered if isinstance(one, kind)]
        if len(set(signing)) < len(signing):
            return "two contexts, two hooks or two patient_sign_ins have the same issuer. Leave one of them out"
    return ""


class SessionTimes(BaseModel):
    """Minutes. A session ends `idle` after the last page, and `longest` after it began, whatever happens."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    idle: float = Field(default=15, gt=0, le=60)
    longest: float = Field(default=240, gt=0, le=720)

    @model_validator(mode="after")
    def _idle_is_shorter(self) -> Self:
        if self.idle > self.longest:
            raise ValueError("idle is longer than longest. Raise that, or lower this")
        return self
