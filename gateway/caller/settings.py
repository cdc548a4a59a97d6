"""Which issuers' access tokens are accepted, and how each is checked."""

from __future__ import annotations

import ipaddress
from typing import Final, Literal, Self
from urllib.parse import SplitResult, urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator

Algorithm = Literal["RS256", "PS256", "ES256", "EdDSA", "Ed25519"]
"""Asymmetric signatures only: with `none` or HS* anybody who knows the public key could write tokens."""

_LOOPBACK_NAME: Final = "localhost"


class IssuerSettings(BaseModel):
    """One OpenID Connect issuer.

    `issuer` is compared character for character with `iss`, so write it as the issuer does, trailing slash and all.
    `audience` is the gateway's own name at that issuer. Without `jwks_uri` the keys' address comes from the issuer's
    discovery document. `allow_insecure_loopback` lets a demo or a test use plain HTTP on this machine, nowhere else.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: str = Field(min_length=1, max_length=512)
    audience: str = Field(min_length=1, max_length=512)
    algorithms: tuple[Algorithm, ...] = Field(min_length=1)
    jwks_uri: str | None = None
    claims: Literal["care-identity"] = "care-identity"
    allow_insecure_loopback: bool = False

    @model_validator(mode="after")
    def _check_addresses(self) -> Self:
        check_address(self.issuer, allow_insecure_loopback=self.allow_insecure_loopback)
        if "?" in self.issuer:
            raise ValueError("an issuer's URL has no query (OpenID Connect Discovery 1.0, section 2)")
        if self.jwks_uri is not None:
            check_address(self.jwks_uri, allow_insecure_loopback=self.allow_insecure_loopback)
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
