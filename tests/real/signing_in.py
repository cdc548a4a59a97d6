"""A person at a browser, and the application that sent them: the code flow with PKCE and DPoP, driven over HTTP."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import secrets
import time
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
from joserfc import jws
from joserfc.jwk import ECKey

CALLBACK = "http://127.0.0.1/callback"
_FORM = re.compile(r'<form[^>]*id="kc-form-login"[^>]*action="([^"]+)"', re.ASCII)


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def claims_of(token: str) -> dict[str, Any]:
    """What a token says, unchecked: the tests look at what Keycloak writes."""
    return dict(json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "==")))


def header_of(token: str) -> dict[str, Any]:
    """A token's header, unchecked."""
    return dict(json.loads(base64.urlsafe_b64decode(token.split(".")[0] + "==")))


@dataclass
class Application:
    """A public client with a DPoP key of its own (RFC 9449)."""

    issuer: str
    client_id: str = "connect-care-ae"
    key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256"))

    def proof(self, method: str, url: str, token: str | None = None) -> str:
        """A fresh DPoP proof for one request; with the access token that it goes with, if any."""
        claims = {"jti": secrets.token_urlsafe(16), "htm": method, "htu": url, "iat": int(time.time())}
        if token is not None:
            claims["ath"] = _b64(hashlib.sha256(token.encode()).digest())
        header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": self.key.as_dict(private=False)}
        return jws.serialize_compact(header, json.dumps(claims).encode(), self.key, algorithms=["ES256"])

    def at_issuer(self, endpoint: str) -> dict[str, str]:
        """What goes with a code to the token endpoint."""
        return {"DPoP": self.proof("POST", endpoint)}

    def headers(self, method: str, url: str, token: str) -> dict[str, str]:
        """What a request with this token carries."""
        return {"Authorization": f"DPoP {token}", "DPoP": self.proof(method, url, token)}


@dataclass
class CertifiedApplication(Application):
    """A client that proves itself by its certificate (RFC 8705), as a proxy hands it on to either side."""

    certificate: bytes = b""
    """DER."""

    def at_issuer(self, endpoint: str) -> dict[str, str]:
        return {"SSL-Client-Cert": base64.b64encode(self.certificate).decode()}

    def headers(self, method: str, url: str, token: str) -> dict[str, str]:
        handed_on = f":{base64.b64encode(self.certificate).decode()}:"
        return {"Authorization": f"Bearer {token}", "Client-Cert": handed_on}


def _browser() -> httpx2.Client:
    """As browsers do, it takes this machine for a secure place, and so keeps Secure cookies without TLS."""
    cookies = CookieJar(DefaultCookiePolicy(secure_protocols=("http", "https")))
    closing = httpx2.Limits(max_keepalive_connections=0)
    return httpx2.Client(timeout=30, trust_env=False, cookies=cookies, limits=closing)


@dataclass
class Person:
    """Somebody at a browser of their own, with its cookies."""

    username: str
    password: str
    browser: httpx2.Client = field(default_factory=_browser)

    def sign_in(self, application: Application, *, scope: str = "openid profile", **more: str) -> dict[str, Any]:
        """The token endpoint's answer, once the person has typed the password at the issuer's page."""
        verifier = secrets.token_urlsafe(48)
        challenge = _b64(hashlib.sha256(verifier.encode()).digest())
        asked = {
            "client_id": application.client_id,
            "response_type": "code",
            "redirect_uri": CALLBACK,
            "scope": scope,
            "state": secrets.token_urlsafe(8),
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            **more,
        }
        endpoint = f"{application.issuer}/protocol/openid-connect"
        page = self.browser.get(f"{endpoint}/auth", params=asked)
        assert page.status_code in (200, 302), page.text
        answer = self._type_password(page) if page.status_code == 200 else page
        assert answer.status_code == 302, "the issuer did not accept the password"
        sent = parse_qs(urlsplit(answer.headers["location"]).query)
        assert sent["state"] == [asked["state"]], sent
        return self._redeem(application, f"{endpoint}/token", sent["code"][0], verifier)

    def _type_password(self, page: httpx2.Response) -> httpx2.Response:
        form = _FORM.search(page.text)
        assert form is not None, page.text
        return self.browser.post(
            html.unescape(form[1]), data={"username": self.username, "password": self.password, "credentialId": ""}
        )

    def _redeem(self, application: Application, endpoint: str, code: str, verifier: str) -> dict[str, Any]:
        given = {
            "grant_type": "authorization_code",
            "client_id": application.client_id,
            "code": code,
            "code_verifier": verifier,
            "redirect_uri": CALLBACK,
        }
        answer = self.browser.post(endpoint, data=given, headers=application.at_issuer(endpoint))
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def sign_out(self, application: Application, id_token: str) -> None:
        """RP-initiated logout: the issuer ends the session, and tells every client of it (back channel)."""
        answer = self.browser.get(
            f"{application.issuer}/protocol/openid-connect/logout", params={"id_token_hint": id_token}
        )
        assert answer.status_code in (200, 302), answer.text
