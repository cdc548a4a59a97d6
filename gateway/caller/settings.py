"""Which issuers' access tokens are accepted, and how each is checked."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Final, Literal, Self
from urllib.parse import SplitResult, urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator

from gateway.caller.floors import Acr
from gateway.caller.mapping import ClaimsSettings, Preset

Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA", "Ed25519"]
"""Asymmetric signatures only: with `none` or HS* anybody who knows the public key could write tokens."""

Level = Literal["AAL1", "AAL2", "AAL3"]
Ods = Annotated[str, Field(pattern=r"^[A-Z0-9]{2,6}$")]
Capability = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,64}$")]
_Audience = Annotated[str, Field(min_length=1, max_length=512)]
_LOOPBACK_NAME: Final = "localhost"


class IssuerSettings(BaseModel):
    """One OpenID Connect issuer.

    `issuer` is compared character for character with `iss`, so write it as the issuer does, trailing slash and all.
    `audience` is the gateway's own name at that issuer. Without `jwks_uri` the keys' address comes from the issuer's
    discovery document; so does that of the userinfo endpoint without `userinfo_uri`, where the mapping asks for it and
    no `jwks_uri` is given. `claims` says how its tokens are read. `acr` are its own words for the authentication
    assurance levels. `organisations`: it speaks for the staff of these alone (ODS codes); empty: of any.
    `logout_audience` is the gateway's name in its logout tokens, where that isn't `audience`; several where it names
    the applications that people signed in to (Keycloak does). `smart_capabilities` are those of SMART App Launch that
    it has besides what its discovery document shows (`context-ehr-patient`, say).
    `allow_insecure_loopback` lets a demo or a test use plain HTTP on this machine, nowhere else.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: str = Field(min_length=1, max_length=512)
    audience: str = Field(min_length=1, max_length=512)
    algorithms: tuple[Algorithm, ...] = Field(min_length=1)
    jwks_uri: str | None = None
    userinfo_uri: str | None = None
    claims: ClaimsSettings = ClaimsSettings()
    acr: dict[Acr, Level] = Field(default_factory=dict)
    organisations: tuple[Ods, ...] = ()
    logout_audience: _Audience | tuple[_Audience, ...] = ()
    smart_capabilities: tuple[Capability, ...] = ()
    allow_insecure_loopback: bool = False

    @property
    def named_at_logout(self) -> frozenset[str]:
        """The gateway's names in this issuer's logout tokens: any of them will do."""
        given = self.logout_audience
        return frozenset([given] if isinstance(given, str) else given or [self.audience])

    @model_validator(mode="after")
    def _check_addresses(self) -> Self:
        check_address(self.issuer, allow_insecure_loopback=self.allow_insecure_loopback)
        if "?" in self.issuer:
            raise ValueError("an issuer's URL has no query (OpenID Connect Discovery 1.0, section 2)")
        for address in (self.jwks_uri, self.userinfo_uri):
            if address is not None:
                check_address(address, allow_insecure_loopback=self.allow_insecure_loopback)
        return self

    @model_validator(mode="after")
    def _check_claims(self) -> Self:
        if self.userinfo_uri is not None and not self.claims.preset.asks_userinfo:
            raise ValueError(f"userinfo_uri: {self.claims.preset} asks no userinfo endpoint. Leave it out")
        if self.claims.preset is Preset.EHR_ASSERTION and not self.organisations:
            raise ValueError(
                "organisations is missing: a supplier's key could say anybody's name. List the ODS codes of the "
                "organisations whose staff it speaks for"
            )
        return self


def check_address(url: str, *, allow_insecure_loopback: bool) -> None:
    """Raise ValueError unless it is an absolute https URL without user, password or fragment.

    Plain http passes for this machine's own addresses where that is allowed.
    """
    if not url.isascii() or not url.isprintable() or " " in url or "|" in url:
        raise ValueError("the URL holds characters that a URL can't hold")
    parts = urlsplit(url)
    if not parts.hostname or "#" in url or "@" in parts.netloc:
        raise ValueError("give an absolute URL with a host, and without user, password or fragment")
    if parts.scheme == "https":
        return
    if parts.scheme != "http" or not (allow_insecure_loopback and _is_loopback(parts)):
        raise ValueError("give an https URL: over anything else, somebody on the way could put in keys of their own")


def _is_loopback(parts: SplitResult) -> bool:
    host = parts.hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == _LOOPBACK_NAME
