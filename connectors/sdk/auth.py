"""How we show a source who we are: a header, a token, or a client certificate (the models are in `schemes.py`)."""

from __future__ import annotations

import ssl
from typing import Any

from connectors.sdk.errors import ConfigurationError
from connectors.sdk.http import Authorizer, Call, Transport
from connectors.sdk.schemes import (
    AuthSettings,
    BackendServices,
    ClientCertificate,
    ClientCredentials,
    NoAuth,
    StaticHeader,
    TlsSettings,
    read_secret,
)
from connectors.sdk.tokens import TokenHolder

__all__ = [
    "AuthSettings",
    "BackendServices",
    "ClientCertificate",
    "ClientCredentials",
    "HeaderHolder",
    "NoAuth",
    "StaticHeader",
    "TlsSettings",
    "TokenHolder",
    "authorizer",
    "tls_context",
]


def tls_context(tls: TlsSettings, auth: Any) -> ssl.SSLContext | None:
    """The TLS context for a source, or None for the platform's own. Raises ConfigurationError."""
    if isinstance(auth, ClientCertificate) and tls.certificate_file is None:
        raise ConfigurationError("auth: client-certificate needs tls.certificate_file and tls.key_file. Add them.")
    if tls.ca_file is None and tls.certificate_file is None:
        return None
    try:
        context = ssl.create_default_context(cafile=tls.ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if tls.certificate_file is not None:
            context.load_cert_chain(tls.certificate_file, tls.key_file, password=_ask_nobody)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"tls: the certificate files can't be used ({error.strerror or error}).") from error
    return context


def _ask_nobody() -> str:
    """Without this, OpenSSL would ask the terminal for the passphrase of an encrypted key, and start-up would hang."""
    return ""


def authorizer(
    auth: Any, *, transport: Transport | None = None, tls: ssl.SSLContext | None = None
) -> Authorizer | None:
    """What adds the proof to each call, or None where there is nothing to add. Raises ConfigurationError.

    `transport` replaces the one towards the token endpoint (in tests); whoever gives it closes it.
    """
    if isinstance(auth, StaticHeader):
        return HeaderHolder(auth)
    if isinstance(auth, ClientCredentials | BackendServices):
        return TokenHolder(auth, transport=transport, tls=tls)
    return None


class HeaderHolder:
    """One source's fixed header."""

    def __init__(self, auth: StaticHeader) -> None:
        self._name = auth.name
        self._value = read_secret(auth.value_file)

    async def __call__(self, call: Call, deadline: float) -> Call:
        """The call with the header."""
        return call.with_header(self._name, self._value)

    def refused(self, call: Call) -> None:
        """There is no other value to try."""

    async def aclose(self) -> None:
        """Nothing is open."""
