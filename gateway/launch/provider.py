"""What the gateway asks of an authorization server at which it is a client: its addresses, a token for a code, who the
user is.

All of it goes through the one HTTP module, within bounds of time and size, without redirects. An address that the
server itself names (its token endpoint, say) is asked only where it is as secure as the registered one has to be.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from authlib.oauth2.rfc7523 import private_key_jwt_sign
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from connectors.sdk.errors import NotUnderstood, Refused, SourceError
from connectors.sdk.http import Limits, SourceClient, Transport
from connectors.sdk.intake import FHIR_JSON, PLAIN_JSON
from gateway.caller.compact import Malformed, strict_json
from gateway.launch.refusals import EhrUnavailable, declined
from gateway.launch.settings import Client

SECONDS: Final = 5.0
"""For everything that is asked in one step of a sign-in."""
_FRESH: Final = 300.0
_REST: Final = 5.0
"""Seconds for which a server whose discovery failed isn't asked for it again."""
_MOST_BYTES: Final = 1024 * 1024
_ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ASSERTION_SECONDS: Final = 240
_TOKEN: Final = re.compile(r"[!-~]{1,8192}", re.ASCII)
_FORM: Final = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where its endpoints are (SMART App Launch 2.2, `.well-known/smart-configuration`; OpenID Connect Discovery 1.0).

    `names_itself`: it promises `iss` in every answer of its authorize endpoint (RFC 9207). `leave`: where somebody
    signs out at the server itself (OpenID Connect RP-Initiated Logout 1.0).
    """

    authorize: str
    token: str
    userinfo: str | None
    names_itself: bool
    leave: str | None = None


class Provider:
    """One authorization server, whose addresses are in the document at `discovery`. `transport` is shared with the
    others, and closed by whoever made it."""

    def __init__(
        self, client: Client, discovery: str, transport: Transport, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.client = client
        self._discovery = discovery
        self._transport = transport
        self._clock = clock
        self._key = _private_key(client)
        self._known: tuple[float, Addresses] | None = None
        self._failed: tuple[float, str] | None = None
        self._discovering = asyncio.Lock()

    async def addresses(self) -> Addresses:
        """Fetched when needed, by one sign-in for all that wait, and kept for minutes. Anybody can begin one: a
        server that fails is left alone for seconds, whoever comes. Raises EhrUnavailable."""
        async with self._discovering:
            if self._known is None or self._clock() - self._known[0] >= _FRESH:
                self._known = (self._clock(), await self._discovered())
            return self._known[1]

    async def leaving(self) -> str:
        """Where somebody signs out at the server itself; "" where it offers none, or doesn't answer. No hint says who:
        an ID token would stand in an address."""
        try:
            address = (await self.addresses()).leave
        except EhrUnavailable:
            return ""
        if not address:
            return ""
        return f"{address}{'&' if '?' in address else '?'}{urlencode({'client_id': self.client.client_id})}"

    async def _discovered(self) -> Addresses:
        if self._failed is not None and self._clock() - self._failed[0] < _REST:
            raise EhrUnavailable("launch.discovery", self._failed[1])
        try:
            document = await self.get(self._discovery, "launch.discovery")
            found = self._addresses(document)
        except EhrUnavailable as error:
            self._failed = (self._clock(), error.detail)
            raise
        self._failed = None
        return found

    async def exchange(self, code: str, verifier: str, redirect_uri: str) -> dict[str, Any]:
        """The answer of the token endpoint for a code, as it came.

        Raises EhrUnavailable, or Refusal where the server doesn't accept the code.
        """
        addresses = await self.addresses()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
            "client_id": self.client.client_id,
            **self._proof(addresses.token),
        }
        asking = self._asking(addresses.token, PLAIN_JSON)
        headers = {"Content-Type": _FORM, "Accept": "application/json"}
        try:
            body = await asking.post(addresses.token, urlencode(form).encode(), deadline=_soon(), headers=headers)
        except (NotUnderstood, Refused) as error:
            raise declined() from error
        except SourceError as error:
            raise EhrUnavailable("launch.token", type(error).__name__) from error
        return _json(body, "launch.token")

    async def userinfo(self, access_token: str) -> Mapping[str, Any]:
        """What the server says of the person. Raises EhrUnavailable."""
        address = (await self.addresses()).userinfo
        if address is None:
            raise EhrUnavailable("launch.userinfo", "the server names no userinfo_endpoint")
        return await self.get(address, "launch.userinfo", access_token)

    async def get(self, url: str, rule: str, token: str = "") -> dict[str, Any]:
        """A JSON object, with that token. Raises EhrUnavailable under that rule."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        asking = self._asking(url, FHIR_JSON)
        try:
            body = await asking.get(url, deadline=_soon(), headers={"Accept": "application/json", **headers})
        except SourceError as error:
            raise EhrUnavailable(rule, type(error).__name__) from error
        return _json(body, rule)

    def _asking(self, url: str, accepted: frozenset[str]) -> SourceClient:
        parts = urlsplit(url)
        limits = Limits(max_bytes=_MOST_BYTES, retry_reserve=0)
        return SourceClient(f"{parts.scheme}://{parts.netloc}", self._transport, limits=limits, content_types=accepted)

    def _addresses(self, document: Mapping[str, Any]) -> Addresses:
        """Raises EhrUnavailable for a document of another issuer, or one that leads to where nothing may be sent."""
        if document.get("issuer", self.client.issuer) != self.client.issuer:
            raise EhrUnavailable("launch.discovery", "the issuer is not the registered one")
        methods = document.get("code_challenge_methods_supported", ["S256"])
        if not isinstance(methods, list) or "S256" not in methods:
            raise EhrUnavailable("launch.discovery", "the server doesn't take PKCE with S256")
        return Addresses(
            authorize=self._address(document.get("authorization_endpoint"), query=True),
            token=self._address(document.get("token_endpoint")),
            userinfo=self._address(document["userinfo_endpoint"]) if "userinfo_endpoint" in document else None,
            names_itself=document.get("authorization_response_iss_parameter_supported") is True,
            leave=self._leave(document),
        )

    def _leave(self, document: Mapping[str, Any]) -> str | None:
        """Nobody is kept from signing in for a wrong address at which to sign out."""
        try:
            return self._address(document.get("end_session_endpoint"), query=True)
        except EhrUnavailable:
            return None

    def _address(self, value: Any, *, query: bool = False) -> str:
        try:
            if not isinstance(value, str) or ("?" in value and not query):
                raise ValueError("an endpoint is missing, or isn't a URL that can be used")
            self.client.check(value)
        except ValueError as error:
            raise EhrUnavailable("launch.discovery", str(error)) from error
        return value

    def _proof(self, token_url: str) -> dict[str, str]:
        """`private_key_jwt` (RFC 7523, section 2.2; SMART App Launch 2.2, asymmetric client authentication)."""
        if self._key is None:
            return {}
        settings = self.client
        assertion = private_key_jwt_sign(
            self._key,
            client_id=settings.client_id,
            token_endpoint=token_url,
            header={"kid": settings.kid, "typ": "JWT"},
            alg=settings.key_algorithm,
            expires_in=_ASSERTION_SECONDS,
        )
        return {"client_assertion_type": _ASSERTION, "client_assertion": assertion}


def _private_key(settings: Client) -> ECKey | RSAKey | None:
    """Read at start-up, so that a wrong file stops it there. Raises ValueError with what to do."""
    if settings.key_file is None:
        return None
    kind = RSAKey if settings.key_algorithm.startswith("RS") else ECKey
    try:
        key = kind.import_key(settings.key_file.read_bytes())
        private_key_jwt_sign(key, client_id="x", token_endpoint="x", header={}, alg=settings.key_algorithm)  # noqa: S106
    except OSError as error:
        raise ValueError(f"The key file {settings.key_file} can't be read ({error.strerror}).") from error
    except (ValueError, TypeError, JoseError) as error:
        raise ValueError(
            f"The key file {settings.key_file} isn't a private key for {settings.key_algorithm}. Give an unencrypted "
            "PEM file."
        ) from error
    return key


@dataclass(frozen=True, slots=True)
class Tokens:
    """What every answer of a token endpoint must hold."""

    access_token: str
    id_token: str

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> Tokens:
        """Raises EhrUnavailable where it can't be used."""
        token, id_token = answer.get("access_token"), answer.get("id_token")
        if str(answer.get("token_type")).lower() != "bearer":
            raise EhrUnavailable("launch.token", "the token is not a bearer token")
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            raise EhrUnavailable("launch.token", "there is no token that can be used")
        if not isinstance(id_token, str):
            raise EhrUnavailable("launch.token", "there is no ID token: the scope openid was not granted")
        return cls(token, id_token)


def _json(body: bytes, rule: str) -> dict[str, Any]:
    try:
        value = strict_json(body)
    except Malformed as error:
        raise EhrUnavailable(rule, str(error)) from error
    if not isinstance(value, dict):
        raise EhrUnavailable(rule, "not a JSON object")
    return value


def _soon() -> float:
    return asyncio.get_running_loop().time() + SECONDS
