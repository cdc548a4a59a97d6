"""Whom the gateway lets open its viewer, and whom it answers with cards: the systems that are registered.

Each is registered by an agreement between organisations, under exact names. A system vouches for people of one issuer
of `issuers`, and only for staff of the organisations that it is registered for: no EHR can sign in somebody else's.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from gateway.caller.settings import Algorithm, IssuerSettings, check_address

OdsCode = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]{2,6}$")]
_SCOPE_WORDS: Final = "launch openid fhirUser patient/Patient.rs"


class Registered(BaseModel):
    """What every registered system says. `issuer` signs its statements, and is compared character for character;
    without `jwks_uri` the keys' address comes from the issuer's OpenID discovery document. `counts_as` names the entry
    of `issuers` whose people these are: their permissions are the same ones, however they came in. `organisations` are
    the ODS codes of the organisations for whose staff it may speak."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=100)
    issuer: str = Field(min_length=1, max_length=256)
    jwks_uri: str | None = None
    algorithms: tuple[Algorithm, ...] = Field(default=("ES384", "RS384", "ES256", "RS256"), min_length=1)
    counts_as: str = Field(min_length=1, max_length=512)
    organisations: frozenset[OdsCode] = Field(min_length=1)
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


class EhrSettings(Registered):
    """One EHR that opens the viewer by SMART launch.

    `fhir_base` is what it sends as `iss`, character for character; `issuer` signs its ID tokens. With `key_file` (an
    unencrypted PEM) and `kid` the gateway proves itself by `private_key_jwt`, without by PKCE alone (a public client).

    `users` says what names the person: their `access-token`, where it is a token of `counts_as` for this gateway; the
    claims of the `id-token`; or those of the `userinfo` endpoint with the ID token's. `nhs_number_claim` is a claim of
    the ID token that names the patient as `system|value`; without it the Patient is read at the EHR.
    """

    fhir_base: str = Field(min_length=8, max_length=512)
    client_id: str = Field(min_length=1, max_length=256)
    key_file: Path | None = None
    kid: str = ""
    key_algorithm: Literal["ES384", "RS384"] = "ES384"
    scope: str = _SCOPE_WORDS
    users: Literal["access-token", "id-token", "userinfo"] = "id-token"
    nhs_number_claim: str | None = None

    @property
    def registration(self) -> str:
        """Several EHRs may sign in at one issuer."""
        return f"{super().registration} {self.fhir_base}"

    @model_validator(mode="after")
    def _check_launch(self) -> Self:
        self.check(self.fhir_base)
        if "?" in self.fhir_base:
            raise ValueError("fhir_base holds a query. Give the base URL of the EHR's FHIR API alone")
        missing = {"launch", "openid"} - set(self.scope.split())
        if missing:
            raise ValueError(f"scope lacks {' and '.join(sorted(missing))}, without which nobody is launched")
        if (self.key_file is None) != (self.kid == ""):
            raise ValueError("key_file and kid go together: give both, or neither for a public client")
        return self


class ContextSettings(Registered):
    """One system that opens the viewer by the UK contextual launch: a JWT that its `issuer` signed for us."""


class HookSettings(Registered):
    """One EHR that asks for cards. Its JWTs may name `jku`, which must be `jwks_uri` then, and is never followed."""


def fault_of(registered: Sequence[Registered], issuers: frozenset[str], *, is_demo: bool) -> str:
    """What is wrong with the registered systems as a whole, with what to do; "" where nothing is."""
    for one in registered:
        if one.counts_as not in issuers:
            return f"{one.name}: counts_as names {one.counts_as}, which is none of issuers. Name one of them exactly"
        if one.allow_insecure_loopback and not is_demo:
            return f"{one.name}: allow_insecure_loopback is for the demo. Give an https issuer"
    published: dict[str, str | None] = {}
    for one in registered:
        if published.setdefault(one.issuer, one.jwks_uri) != one.jwks_uri:
            return f"{one.name}: another entry gives {one.issuer} other keys. Give both the same jwks_uri, or none"
    bases = [one.fhir_base for one in registered if isinstance(one, EhrSettings)]
    if len(set(bases)) < len(bases):
        return "two launches have the same fhir_base. Leave one of them out"
    for kind in (ContextSettings, HookSettings):
        signing = [one.issuer for one in registered if isinstance(one, kind)]
        if len(set(signing)) < len(signing):
            return "two contexts, or two hooks, have the same issuer. Leave one of them out"
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
