"""The demo's OpenID provider: anybody who can reach it can be anybody. For a demo on one machine, never for more.

It shows itself for what it is: its issuer ends in `/demo`, and its discovery document and key set carry
`connect_care_demo`, for which a gateway in production refuses their keys. It answers loopback names only, signs with a
key made at its start and kept nowhere, and sends codes to loopback addresses only.

    GET  /demo/.well-known/openid-configuration    GET  /demo/jwks
    POST /demo/token       grant_type=urn:connect-care:demo&as=gp, or authorization_code with PKCE
    GET  /demo/authorize   the code flow for sign-in pages: choose a person, or name one with `as`

    python -m gateway.demo.identity --audience URL --state FILE [--port N]
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import html
import json
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from joserfc import jws
from joserfc.jwk import ECKey, Key
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from gateway.caller.jwk import DEMO_MARK
from gateway.demo.people import PEOPLE, NoSuchPerson, person
from gateway.demo.token import DEMO_GRANT

DEMO_PATH: Final = "/demo"
DEMO_CLIENT: Final = "connect-care-demo"
ALGORITHM: Final = "ES256"
LIFETIME_SECONDS: Final = 3600
_CODE_SECONDS: Final = 60
_MOST_CODES: Final = 100
_MOST_BYTES: Final = 16 * 1024
_HOSTS: Final = ("127.0.0.1", "localhost")
_NO_STORE: Final = {"Cache-Control": "no-store"}


class Demo:
    """Issuer, audience and signing key: makes tokens, true ones and, for tests, any other.

    `clock` is seconds since 1970.
    """

    def __init__(self, issuer: str, audience: str, *, clock: Callable[[], float] = time.time) -> None:
        self.issuer = issuer
        self.audience = audience
        self.key: Key = ECKey.generate_key("P-256", {"use": "sig", "alg": ALGORITHM}, auto_kid=True)
        self.clock = clock

    def mint(
        self,
        spoken: str = "gp",
        *,
        claims: Mapping[str, Any] | None = None,
        without: Iterable[str] = (),
        header: Mapping[str, Any] | None = None,
        key: Key | None = None,
        client_id: str = DEMO_CLIENT,
        lifetime: float = LIFETIME_SECONDS,
    ) -> str:
        """An access token (RFC 9068) of that person; claims and header members may be replaced or left out.

        Raises NoSuchPerson.
        """
        now = int(self.clock())
        said: dict[str, Any] = {
            **person(spoken).claims(),
            "iss": self.issuer,
            "aud": self.audience,
            "client_id": client_id,
            "jti": secrets.token_urlsafe(16),
            "iat": now,
            "nbf": now,
            "exp": now + int(lifetime),
            "auth_time": now,
            "acr": "AAL3",
            "scope": "openid profile",
            **(claims or {}),
        }
        return self.sign({name: said[name] for name in said.keys() - set(without)}, header=header, key=key)

    def mint_id_token(self, spoken: str, *, client_id: str, nonce: str) -> str:
        """An ID token of that person for a client that signs people in."""
        now = int(self.clock())
        said = person(spoken).claims() | {"iss": self.issuer, "aud": client_id, "auth_time": now, "acr": "AAL3"}
        said |= {"iat": now, "exp": now + _CODE_SECONDS * 5} | ({"nonce": nonce} if nonce else {})
        return self.sign(said, header={"typ": "JWT"})

    def sign(
        self, claims: Mapping[str, Any], *, header: Mapping[str, Any] | None = None, key: Key | None = None
    ) -> str:
        """The claims as a signed JWT; a header member given as None is left out."""
        signer = key or self.key
        members = {"typ": "at+jwt", "alg": ALGORITHM, "kid": signer.kid, **(header or {})}
        members = {name: value for name, value in members.items() if value is not None}
        algorithms = [str(members["alg"])]
        return jws.serialize_compact(members, json.dumps(claims).encode(), signer, algorithms=algorithms)

    def discovery(self) -> dict[str, Any]:
        """The discovery document (OpenID Connect Discovery 1.0, section 3)."""
        return {
            "issuer": self.issuer,
            DEMO_MARK: True,
            "jwks_uri": f"{self.issuer}/jwks",
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "response_types_supported": ["code"],
            "grant_types_supported": ["authorization_code", DEMO_GRANT],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [ALGORITHM],
            "scopes_supported": ["openid", "profile"],
        }

    def jwks(self) -> dict[str, Any]:
        """The key set: the public key of this start."""
        return {DEMO_MARK: True, "keys": [self.key.as_dict(private=False)]}

    async def fetch(self, url: str) -> bytes:
        """Serves `Keys` without a network, in tests. Raises LookupError for any other address."""
        documents = {
            f"{self.issuer}/.well-known/openid-configuration": self.discovery,
            f"{self.issuer}/jwks": self.jwks,
        }
        return json.dumps(documents[url]()).encode()


def create_app(issuer_url: str, audience: str, *, clock: Callable[[], float] = time.time) -> Starlette:
    """The provider as an ASGI app, with its `Demo` in `app.state.demo`. The issuer's path must be `/demo`."""
    return serving(Demo(issuer_url, audience, clock=clock))


def serving(demo: Demo) -> Starlette:
    """The same around a Demo that is there already."""
    if urlsplit(demo.issuer).path != DEMO_PATH:
        raise ValueError(f"the demo's issuer must have the path {DEMO_PATH}, so that it is known for what it is")
    doors = _Doors(demo)
    app = Starlette(
        routes=[
            Route(f"{DEMO_PATH}/.well-known/openid-configuration", doors.discovery),
            Route(f"{DEMO_PATH}/jwks", doors.jwks),
            Route(f"{DEMO_PATH}/authorize", doors.authorize),
            Route(f"{DEMO_PATH}/token", doors.token, methods=["POST"]),
        ],
        # A page elsewhere that points its own name at this machine (DNS rebinding) gets nothing.
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=_HOSTS, www_redirect=False)],
    )
    app.state.demo = doors.demo
    return app


@dataclass(frozen=True, slots=True)
class _Code:
    """What an authorisation code stands for, for 60 seconds and one use."""

    spoken: str
    client_id: str
    redirect_uri: str
    challenge: str
    nonce: str
    expires: float


class _Wrong(Exception):
    """An OAuth error: its code, and a sentence."""

    def __init__(self, error: str, told: str) -> None:
        super().__init__(told)
        self.error = error
        self.told = told

    def response(self) -> JSONResponse:
        return JSONResponse({"error": self.error, "error_description": self.told}, status_code=400, headers=_NO_STORE)


class _Doors:
    def __init__(self, demo: Demo) -> None:
        self.demo = demo
        self._codes: dict[str, _Code] = {}

    async def discovery(self, _request: Request) -> Response:
        return JSONResponse(self.demo.discovery())

    async def jwks(self, _request: Request) -> Response:
        return JSONResponse(self.demo.jwks())

    async def authorize(self, request: Request) -> Response:
        """Choose a person; with `as` the choice is made. Answers a code at the redirect address."""
        try:
            asked = _once(request.url.query)
            _check_authorize(asked)
            if "as" not in asked:
                return HTMLResponse(_people_page(asked), headers=_NO_STORE)
            code = self._new_code(asked)
        except _Wrong as wrong:
            return wrong.response()
        answer = {"code": code, "iss": self.demo.issuer} | ({"state": asked["state"]} if "state" in asked else {})
        glue = "&" if urlsplit(asked["redirect_uri"]).query else "?"
        return RedirectResponse(f"{asked['redirect_uri']}{glue}{urlencode(answer)}", status_code=303, headers=_NO_STORE)

    async def token(self, request: Request) -> Response:
        try:
            asked = _once((await _body(request)).decode("utf-8", errors="replace"))
            grant = asked.get("grant_type")
            if grant == DEMO_GRANT:
                answer = self._answer(asked.get("as", ""), DEMO_CLIENT, asked.get("purpose", "TREAT"))
            elif grant == "authorization_code":
                answer = self._redeem(asked)
            else:
                raise _Wrong(
                    "unsupported_grant_type", f"Use grant_type={DEMO_GRANT} with as=gp, or authorization_code."
                )
        except _Wrong as wrong:
            return wrong.response()
        return JSONResponse(answer, headers=_NO_STORE)

    def _answer(self, spoken: str, client_id: str, purpose: str = "TREAT") -> dict[str, Any]:
        try:
            token = self.demo.mint(spoken, client_id=client_id, claims={"purpose_of_use": purpose})
        except NoSuchPerson as error:
            raise _Wrong("invalid_request", str(error)) from error
        return {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": LIFETIME_SECONDS,
            "scope": "openid profile",
        }

    def _new_code(self, asked: Mapping[str, str]) -> str:
        try:
            spoken = person(asked["as"]).spoken
        except NoSuchPerson as error:
            raise _Wrong("invalid_request", str(error)) from error
        now = self.demo.clock()
        live = {code: held for code, held in self._codes.items() if held.expires > now}
        if len(live) >= _MOST_CODES:
            raise _Wrong("temporarily_unavailable", "Too many sign-ins are under way. Wait a minute.")
        code = secrets.token_urlsafe(24)
        self._codes = live | {
            code: _Code(
                spoken=spoken,
                client_id=asked["client_id"],
                redirect_uri=asked["redirect_uri"],
                challenge=asked["code_challenge"],
                nonce=asked.get("nonce", ""),
                expires=now + _CODE_SECONDS,
            )
        }
        return code

    def _redeem(self, asked: Mapping[str, str]) -> dict[str, Any]:
        held = self._codes.pop(asked.get("code", ""), None)
        proof = hashlib.sha256(asked.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(proof).rstrip(b"=").decode()
        stands = (
            held is not None
            and held.expires > self.demo.clock()
            and (held.client_id, held.redirect_uri) == (asked.get("client_id"), asked.get("redirect_uri"))
            and hmac.compare_digest(held.challenge.encode(), challenge.encode())
        )
        if held is None or not stands:
            raise _Wrong("invalid_grant", "The code is not valid, or no longer. Start signing in again.")
        id_token = self.demo.mint_id_token(held.spoken, client_id=held.client_id, nonce=held.nonce)
        return self._answer(held.spoken, held.client_id) | {"id_token": id_token}


def _once(form: str) -> dict[str, str]:
    pairs = parse_qsl(form, keep_blank_values=True)
    asked = dict(pairs)
    if len(asked) != len(pairs):
        raise _Wrong("invalid_request", "A parameter stands twice.")
    return asked


async def _body(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST_BYTES:
            raise _Wrong("invalid_request", "The request is too large.")
    return body


def _check_authorize(asked: Mapping[str, str]) -> None:
    missing = {"client_id", "redirect_uri", "response_type", "code_challenge", "code_challenge_method"} - asked.keys()
    if missing:
        raise _Wrong("invalid_request", f"Missing: {', '.join(sorted(missing))}.")
    if asked["response_type"] != "code" or asked["code_challenge_method"] != "S256":
        raise _Wrong("invalid_request", "Only response_type=code with code_challenge_method=S256 is offered.")
    where = urlsplit(asked["redirect_uri"])
    if where.scheme != "http" or where.netloc.rpartition("@")[0] or where.hostname not in (*_HOSTS, "::1"):
        raise _Wrong("invalid_request", "The demo sends codes to this machine only: http://127.0.0.1 with any port.")
    if "#" in asked["redirect_uri"] or not asked["redirect_uri"].isprintable():
        raise _Wrong("invalid_request", "The redirect address holds a fragment or control characters.")


def _people_page(asked: Mapping[str, str]) -> str:
    links = "".join(
        f'<li><a href="?{html.escape(urlencode({**asked, "as": each.spoken}))}">'
        f"{html.escape(each.name)}, {html.escape(each.role)} at {html.escape(each.organisation)}</a></li>"
        for each in PEOPLE
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Demo sign-in</title>'
        f"<h1>Demo sign-in</h1><p>Everybody here is made up. Sign in as:</p><ul>{links}</ul></html>"
    )


if __name__ == "__main__":
    from gateway.demo.serve import main

    main()
