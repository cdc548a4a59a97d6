"""Access tokens: OAuth client credentials by secret or by signed assertion, fetched once for all who wait.

Authlib's client parts make the request; it goes over the same bounded HTTP module as everything else.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from typing import Final
from urllib.parse import urlsplit

import msgspec
from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.rfc6749.parameters import prepare_token_request
from authlib.oauth2.rfc7523 import PrivateKeyJWT, private_key_jwt_sign
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from connectors.sdk.errors import ConfigurationError, Refused, WrongContent
from connectors.sdk.http import AiohttpTransport, Call, Limits, SourceClient, Transport
from connectors.sdk.intake import PLAIN_JSON
from connectors.sdk.schemes import BackendServices, ClientCredentials, read_secret

_TOKEN_LIMIT: Final = 64 * 1024
_TOKEN_SECONDS: Final = 10.0
_RENEW_BEFORE: Final = 30.0
_DEFAULT_LIFETIME: Final = 300.0
_LONGEST_LIFETIME: Final = 3600.0
# SMART App Launch 2.2, backend services: `exp` lies no more than five minutes in the future.
_ASSERTION_LIFETIME: Final = 240
_TOKEN_TEXT: Final = re.compile(r"[!-~]+")


class TokenHolder:
    """One source's access token: fetched when needed, by one task for all who wait, renewed before it ends.

    A fetch belongs to no single call: it has its own `_TOKEN_SECONDS`, each call waits for it until its own deadline,
    and where it fails, all who waited fail with it, so that fifty waiting calls make one token call and not fifty.
    """

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
        self._own_transport = None if transport else AiohttpTransport(limits, tls)
        self._client = SourceClient(
            f"{parts.scheme}://{parts.netloc}",
            transport or self._own_transport or AiohttpTransport(limits, tls),
            limits=limits,
            content_types=PLAIN_JSON,
        )
        self._token = ""
        self._ends = 0.0
        self._renewal: asyncio.Task[str] | None = None

    async def __call__(self, call: Call, deadline: float) -> Call:
        """The call with a bearer token. Raises a `SourceError` where none can be had."""
        token = self._token
        if not token or asyncio.get_running_loop().time() >= self._ends:
            token = await asyncio.shield(self._renewing())
        return call.with_header("Authorization", f"Bearer {token}")

    def refused(self, call: Call) -> None:
        """Forget the token that this call carried; one that was fetched meanwhile stays."""
        if call.headers.get("Authorization") == f"Bearer {self._token}":
            self._token = ""

    async def aclose(self) -> None:
        """Stop a fetch under way and close the pool towards the token endpoint."""
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.wait((self._renewal,))
        if self._own_transport is not None:
            await self._own_transport.aclose()

    def _renewing(self) -> asyncio.Task[str]:
        if self._renewal is None or self._renewal.done():
            self._renewal = asyncio.create_task(self._renew())
            # Those who waited may all have left before it failed.
            self._renewal.add_done_callback(lambda task: task.cancelled() or task.exception())
        return self._renewal

    async def _renew(self) -> str:
        asked = asyncio.get_running_loop().time()
        body = prepare_token_request("client_credentials", scope=self._auth.scope)
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        _, headers, body = self._client_auth.prepare("POST", self._auth.token_url, headers, body)
        answer = await self._client.post(
            self._auth.token_url, body.encode(), deadline=asked + _TOKEN_SECONDS, headers=headers
        )
        token = _read_token(answer)
        self._token = token.access_token
        lifetime = min(token.expires_in, _LONGEST_LIFETIME)
        self._ends = asked + max(lifetime - _RENEW_BEFORE, lifetime / 2)
        return self._token


def _read_token(answer: bytes) -> _TokenAnswer:
    try:
        # Not strict: the national API platform sends `"expires_in": "599"`, a string.
        token = msgspec.json.decode(answer, type=_TokenAnswer, strict=False)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise WrongContent("the token endpoint's answer is not a token") from error
    if token.token_type.lower() != "bearer":
        raise Refused("the token endpoint offers no bearer token")
    if not _TOKEN_TEXT.fullmatch(token.access_token) or not token.expires_in > 0:
        raise WrongContent("the token endpoint's token can't be used")
    return token


class _TokenAnswer(msgspec.Struct):
    access_token: str
    token_type: str
    expires_in: float = _DEFAULT_LIFETIME


def _client_auth(auth: ClientCredentials | BackendServices) -> ClientAuth:
    if isinstance(auth, ClientCredentials):
        return ClientAuth(auth.client_id, read_secret(auth.secret_file), auth.method)
    kind = RSAKey if auth.algorithm.startswith("RS") else ECKey
    method = _Assertion(auth.token_url, headers={"kid": auth.kid, "typ": "JWT"}, alg=auth.algorithm)
    try:
        client = ClientAuth(auth.client_id, kind.import_key(auth.key_file.read_bytes()), method)
        method.sign(client, auth.token_url)  # a public key, or one for another curve, shows here and not in the night
    except OSError as error:
        raise ConfigurationError(f"The key file {auth.key_file} can't be read ({error.strerror}).") from error
    except (ValueError, TypeError, JoseError) as error:
        raise ConfigurationError(
            f"The key file {auth.key_file} isn't a private key for {auth.algorithm}. Give an unencrypted PEM file."
        ) from error
    return client


class _Assertion(PrivateKeyJWT):  # type: ignore[misc]
    """Authlib's assertion lasts an hour; SMART allows five minutes."""

    def sign(self, auth: ClientAuth, token_endpoint: str) -> str:
        """The signed assertion (RFC 7523 section 3)."""
        signed: str = private_key_jwt_sign(
            auth.client_secret,
            client_id=auth.client_id,
            token_endpoint=token_endpoint,
            header=dict(self.headers),
            alg=self.alg,
            expires_in=_ASSERTION_LIFETIME,
        )
        return signed
