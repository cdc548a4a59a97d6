"""What an organisation's `settings.auth` and `settings.tls` may say: one model a scheme, chosen by `scheme`.

Secrets stand in files (`…_file`), never in `organisations.yaml`.
"""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from connectors.sdk.address import address_fault
from connectors.sdk.errors import ConfigurationError

# What may stand in a header: a secret with a line break in it would add headers of its own.
_HEADER_TEXT: Final = re.compile(r"[ -~]+")


def _check_url(url: str) -> str:
    if fault := address_fault(url):
        raise ValueError(fault)
    parts = urlsplit(url)
    if parts.scheme != "https" and not _is_loopback(parts.hostname or ""):
        raise ValueError("must be https: over plain HTTP the secret and the token could be read on the way")
    return url


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


TokenUrl = Annotated[str, AfterValidator(_check_url)]


class _Scheme(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NoAuth(_Scheme):
    """Nothing but the network stands between: sandboxes only."""

    scheme: Literal["none"] = "none"


class StaticHeader(_Scheme):
    """One fixed header, an API key say."""

    scheme: Literal["header"]
    name: str = Field(pattern=r"^[A-Za-z0-9-]+$")
    value_file: Path


class ClientCredentials(_Scheme):
    """OAuth 2.0 client credentials (RFC 6749 section 4.4) with a client secret."""

    scheme: Literal["client-credentials"]
    token_url: TokenUrl
    client_id: str
    secret_file: Path
    scope: str = ""
    method: Literal["client_secret_basic", "client_secret_post"] = "client_secret_basic"


class BackendServices(_Scheme):
    """SMART Backend Services: client credentials with a signed assertion (`private_key_jwt`, RFC 7523).

    RS512 is what England's national API platform asks for; SMART itself names the other two.
    """

    scheme: Literal["smart-backend-services"]
    token_url: TokenUrl
    client_id: str
    key_file: Path
    kid: str
    algorithm: Literal["RS384", "ES384", "RS512"] = "ES384"
    scope: str = "system/*.rs"


class ClientCertificate(_Scheme):
    """Mutual TLS is all the proof that the source asks for; `tls` names the certificate."""

    scheme: Literal["client-certificate"]


AuthSettings = Annotated[
    NoAuth | StaticHeader | ClientCredentials | BackendServices | ClientCertificate, Field(discriminator="scheme")
]


class TlsSettings(_Scheme):
    """Whose certificates we trust, and our own where the source asks for it. PEM files."""

    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None


def read_secret(path: Path) -> str:
    """The one line of a secret file. Raises ConfigurationError, without the secret."""
    try:
        value = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"The secret file {path} can't be read ({type(error).__name__}).") from error
    if not _HEADER_TEXT.fullmatch(value):
        raise ConfigurationError(f"The secret file {path} must hold one line of plain ASCII characters.")
    return value
