"""How we show a source who we are: one model a scheme, chosen by `scheme` in the organisation's settings.

Secrets stand in files (`…_file`), never in `organisations.yaml`. Tokens come from Authlib's OAuth client parts and go
over the same bounded HTTP module as everything else.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.rfc6749.parameters import prepare_token_request
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from joserfc.jwk import ECKey, RSAKey
from pydantic import BaseModel, ConfigDict, Field

from connectors.sdk.errors import ConfigurationError, Refused, WrongContent
from connectors.sdk.http import AiohttpTransport, Call, Limits, SourceClient, Transport

_TOKEN_LIMIT = 64 * 1024
_RENEW_BEFORE = 30.0
_DEFAULT_LIFETIME = 300.0

Authorize = Callable[[Call, float], Awaitable[Call]]


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
    token_url: str
    client_id: str
    secret_file: Path
    scope: str = ""
    method: Literal["client_secret_basic", "client_secret_post"] = "client_secret_basic"


class BackendServices(_Scheme):
    """SMART Backend Services: client credentials with a signed assertion (`private_key_jwt`, RFC 7523)."""

    scheme: Literal["smart-backend-services"]
    token_url: str
    client_id: str
    key_file: Path
    kid: str
    algorithm: Literal["RS384", "ES384"] = "ES384"
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
            context.load_cert_chain(tls.certificate_file, tls.key_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"tls: the certificate files can't be used ({error.strerror or error}).") from error
    return context


def authorizer(auth: Any, *, transport: Transport | None = None, tls: ssl.SSLContext | None = None) -> Authorize | None:
    """What adds the proof to each call, or None where there is nothing to add. Raises ConfigurationError."""
    if isinstance(auth, StaticHeader):
        value = _secret(auth.value_file)

        async def with_header(call: Call, deadline: float) -> Call:
            return Call(call.method, call.url, {**call.headers, auth.name: value}, call.body)

        return with_header
    if isinstance(auth, ClientCredentials | BackendServices):
        return TokenHolder(auth, transport=transport, tls=tls).authorize
    return None


def _secret(path: Path) -> str:
    try:
        value = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigurationError(f"The secret file {path} can't be read ({error.strerror}).") from error
    if not value or "\n" in value:
        raise ConfigurationError(f"The secret file {path} must hold one line.")
    return value


class TokenHolder:
    """One source's access token: fetched when needed, by one task at a time, renewed before it ends."""

    def __init__(
        self,
        auth: ClientCredentials | BackendServices,
        *,
        transport: Transport | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._auth = auth
        self._client_auth = _client_auth(auth)
        parts = urlsplit(auth.token_url)
        limits = Limits(max_bytes=_TOKEN_LIMIT, connections=2)
        self._client = SourceClient(
            f"{parts.scheme}://{parts.netloc}", transport or AiohttpTransport(limits, tls), limits=limits
        )
        self._token = ""
        self._ends = 0.0
        self._lock = asyncio.Lock()

    async def authorize(self, call: Call, deadline: float) -> Call:
        """The call with a bearer token. Raises a `SourceError` where none can be had."""
        async with self._lock:
            if asyncio.get_running_loop().time() >= self._ends:
                await self._renew(deadline)
        return Call(call.method, call.url, {**call.headers, "Authorization": f"Bearer {self._token}"}, call.body)

    async def _renew(self, deadline: float) -> None:
        body = prepare_token_request("client_credentials", scope=self._auth.scope)
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        _, headers, body = self._client_auth.prepare("POST", self._auth.token_url, headers, body)
        answer = await self._client.post(
            self._auth.token_url, body.encode() if isinstance(body, str) else body, deadline=deadline, headers=headers
        )
        try:
            token = msgspec.json.decode(answer, type=_TokenAnswer)
        except msgspec.DecodeError as error:
            raise WrongContent("the token endpoint's answer is not a token") from error
        if token.token_type.lower() != "bearer":
            raise Refused("the token endpoint offers no bearer token")
        self._token = token.access_token
        self._ends = asyncio.get_running_loop().time() + max(token.expires_in - _RENEW_BEFORE, 1.0)


class _TokenAnswer(msgspec.Struct):
    access_token: str
    token_type: str
    expires_in: float = _DEFAULT_LIFETIME


def _client_auth(auth: ClientCredentials | BackendServices) -> ClientAuth:
    if isinstance(auth, ClientCredentials):
        return ClientAuth(auth.client_id, _secret(auth.secret_file), auth.method)
    try:
        pem = auth.key_file.read_bytes()
        kind = RSAKey if auth.algorithm.startswith("RS") else ECKey
        key = kind.import_key(pem)
    except OSError as error:
        raise ConfigurationError(f"The key file {auth.key_file} can't be read ({error.strerror}).") from error
    except ValueError as error:
        raise ConfigurationError(f"The key file {auth.key_file} isn't a key for {auth.algorithm}.") from error
    method = PrivateKeyJWT(auth.token_url, headers={"kid": auth.kid}, alg=auth.algorithm)
    return ClientAuth(auth.client_id, key, method)
