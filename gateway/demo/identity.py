"""The demo's OpenID provider: anybody who can reach it can be anybody. For a demo on one machine, never for more.

It shows itself for what it is: its issuer ends in `/demo`, and its discovery document and key set carry
`connect_care_demo`, for which a gateway in production refuses their keys. It answers loopback names only, signs with a
key made at its start and kept nowhere, and sends codes to loopback addresses only.

    GET  /demo/.well-known/openid-configuration    GET  /demo/jwks
    POST /demo/token       grant_type=urn:connect-care:demo&as=gp, or authorization_code with PKCE
    GET  /demo/authorize   the code flow for sign-in pages: choose a person, or name one with `as`

    python -m gateway.demo.identity --audience URL --state FILE [--port N] [--patients FILE]
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from joserfc import jws
from joserfc.jwk import ECKey, Key
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from gateway.caller.jwk import DEMO_MARK
from gateway.demo.codes import CODE_SECONDS, HOSTS, NO_STORE, Codes, Wrong, authorize_query, choosing, form_of
from gateway.demo.people import PEOPLE, NoSuchPerson, person
from gateway.demo.token import DEMO_GRANT

DEMO_PATH: Final = "/demo"
DEMO_CLIENT: Final = "connect-care-demo"
ALGORITHM: Final = "ES256"
LIFETIME_SECONDS: Final = 3600


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
        said |= {"iat": now, "exp": now + CODE_SECONDS * 5} | ({"nonce": nonce} if nonce else {})
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


def serving(demo: Demo, beside: Sequence[Route] = ()) -> Starlette:
    """The provider as an ASGI app, with its `Demo` in `app.state.demo`. The issuer's path must be `/demo`. `beside` are
    the addresses of another provider that it serves."""
    if urlsplit(demo.issuer).path != DEMO_PATH:
        raise ValueError(f"the demo's issuer must have the path {DEMO_PATH}, so that it is known for what it is")
    doors = _Doors(demo)
    app = Starlette(
        routes=[
            Route(f"{DEMO_PATH}/.well-known/openid-configuration", doors.discovery),
            Route(f"{DEMO_PATH}/jwks", doors.jwks),
            Route(f"{DEMO_PATH}/authorize", doors.authorize),
            Route(f"{DEMO_PATH}/token", doors.token, methods=["POST"]),
            *beside,
        ],
        # A page elsewhere that points its own name at this machine (DNS rebinding) gets nothing.
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=HOSTS, www_redirect=False)],
    )
    app.state.demo = doors.demo
    return app


class _Doors:
    def __init__(self, demo: Demo) -> None:
        self.demo = demo
        self._codes = Codes(demo.clock)

    async def discovery(self, _request: Request) -> Response:
        return JSONResponse(self.demo.discovery())

    async def jwks(self, _request: Request) -> Response:
        return JSONResponse(self.demo.jwks())

    async def authorize(self, request: Request) -> Response:
        """Choose a person; with `as` the choice is made. Answers a code at the redirect address."""
        try:
            asked = authorize_query(request)
            if "as" not in asked:
                return HTMLResponse(_people_page(asked), headers=NO_STORE)
            return self._codes.sent_back(asked, _spoken(asked["as"]), self.demo.issuer)
        except Wrong as wrong:
            return wrong.response()

    async def token(self, request: Request) -> Response:
        try:
            asked = await form_of(request)
            grant = asked.get("grant_type")
            if grant == DEMO_GRANT:
                answer = self._answer(asked.get("as", ""), DEMO_CLIENT, asked.get("purpose", "TREAT"))
            elif grant == "authorization_code":
                answer = self._redeem(asked)
            else:
                raise Wrong("unsupported_grant_type", f"Use grant_type={DEMO_GRANT} with as=gp, or authorization_code.")
        except Wrong as wrong:
            return wrong.response()
        return JSONResponse(answer, headers=NO_STORE)

    def _answer(self, spoken: str, client_id: str, purpose: str = "TREAT") -> dict[str, Any]:
        try:
            token = self.demo.mint(spoken, client_id=client_id, claims={"purpose_of_use": purpose})
        except NoSuchPerson as error:
            raise Wrong("invalid_request", str(error)) from error
        return {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": LIFETIME_SECONDS,
            "scope": "openid profile",
        }

    def _redeem(self, asked: Mapping[str, str]) -> dict[str, Any]:
        held = self._codes.redeem(asked)
        id_token = self.demo.mint_id_token(held.spoken, client_id=held.client_id, nonce=held.nonce)
        return self._answer(held.spoken, held.client_id) | {"id_token": id_token}


def _spoken(asked_for: str) -> str:
    try:
        return person(asked_for).spoken
    except NoSuchPerson as error:
        raise Wrong("invalid_request", str(error)) from error


def _people_page(asked: Mapping[str, str]) -> str:
    people = {each.spoken: f"{each.name}, {each.role} at {each.organisation}" for each in PEOPLE}
    return choosing("Demo sign-in", people, asked)


if __name__ == "__main__":
    from gateway.demo.serve import main

    main()
