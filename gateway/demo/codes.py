"""The authorization code flow as the demo's providers play it: PKCE with S256, codes for a minute and one use, and sent
to this machine only.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import html
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

HOSTS: Final = ("127.0.0.1", "localhost")
NO_STORE: Final = {"Cache-Control": "no-store"}
CODE_SECONDS: Final = 60
_MOST_CODES: Final = 100
_MOST_BYTES: Final = 16 * 1024


@dataclass(frozen=True, slots=True)
class Held:
    """What an authorisation code stands for."""

    spoken: str
    client_id: str
    redirect_uri: str
    challenge: str
    nonce: str
    expires: float


class Wrong(Exception):
    """An OAuth error: its code, and a sentence."""

    def __init__(self, error: str, told: str) -> None:
        super().__init__(told)
        self.error = error
        self.told = told

    def response(self) -> JSONResponse:
        return JSONResponse({"error": self.error, "error_description": self.told}, status_code=400, headers=NO_STORE)


class Codes:
    """The codes that are out. `clock` is seconds since 1970."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._held: dict[str, Held] = {}

    def sent_back(self, asked: Mapping[str, str], spoken: str, issuer: str) -> Response:
        """A new code for that person, at the redirect address. Raises Wrong where too many are out."""
        answer = {"code": self._new(asked, spoken), "iss": issuer}
        answer |= {"state": asked["state"]} if "state" in asked else {}
        glue = "&" if urlsplit(asked["redirect_uri"]).query else "?"
        return RedirectResponse(f"{asked['redirect_uri']}{glue}{urlencode(answer)}", status_code=303, headers=NO_STORE)

    def redeem(self, asked: Mapping[str, str]) -> Held:
        """Raises Wrong for a code that isn't out, or is another's."""
        held = self._held.pop(asked.get("code", ""), None)
        proof = hashlib.sha256(asked.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(proof).rstrip(b"=").decode()
        stands = (
            held is not None
            and held.expires > self._clock()
            and (held.client_id, held.redirect_uri) == (asked.get("client_id"), asked.get("redirect_uri"))
            and hmac.compare_digest(held.challenge.encode(), challenge.encode())
        )
        if held is None or not stands:
            raise Wrong("invalid_grant", "The code is not valid, or no longer. Start signing in again.")
        return held

    def _new(self, asked: Mapping[str, str], spoken: str) -> str:
        now = self._clock()
        live = {code: held for code, held in self._held.items() if held.expires > now}
        if len(live) >= _MOST_CODES:
            raise Wrong("temporarily_unavailable", "Too many sign-ins are under way. Wait a minute.")
        code = secrets.token_urlsafe(24)
        self._held = live | {
            code: Held(
                spoken=spoken,
                client_id=asked["client_id"],
                redirect_uri=asked["redirect_uri"],
                challenge=asked["code_challenge"],
                nonce=asked.get("nonce", ""),
                expires=now + CODE_SECONDS,
            )
        }
        return code


def authorize_query(request: Request) -> dict[str, str]:
    """What the authorize endpoint was asked. Raises Wrong."""
    asked = _once(request.url.query)
    _check_authorize(asked)
    return asked


async def form_of(request: Request) -> dict[str, str]:
    """The fields of a form. Raises Wrong."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST_BYTES:
            raise Wrong("invalid_request", "The request is too large.")
    return _once(body.decode("utf-8", errors="replace"))


def choosing(title: str, people: Mapping[str, str], asked: Mapping[str, str]) -> str:
    """The page on which one of these people is chosen: how each is asked for, and what is said of them."""
    links = "".join(
        f'<li><a href="?{html.escape(urlencode({**asked, "as": spoken}))}">{html.escape(told)}</a></li>'
        for spoken, told in people.items()
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f"<h1>{title}</h1><p>Everybody here is made up. Sign in as:</p><ul>{links}</ul></html>"
    )


def _once(form: str) -> dict[str, str]:
    pairs = parse_qsl(form, keep_blank_values=True)
    asked = dict(pairs)
    if len(asked) != len(pairs):
        raise Wrong("invalid_request", "A parameter stands twice.")
    return asked


def _check_authorize(asked: Mapping[str, str]) -> None:
    missing = {"client_id", "redirect_uri", "response_type", "code_challenge", "code_challenge_method"} - asked.keys()
    if missing:
        raise Wrong("invalid_request", f"Missing: {', '.join(sorted(missing))}.")
    if asked["response_type"] != "code" or asked["code_challenge_method"] != "S256":
        raise Wrong("invalid_request", "Only response_type=code with code_challenge_method=S256 is offered.")
    where = urlsplit(asked["redirect_uri"])
    if where.scheme != "http" or where.netloc.rpartition("@")[0] or where.hostname not in (*HOSTS, "::1"):
        raise Wrong("invalid_request", "The demo sends codes to this machine only: http://127.0.0.1 with any port.")
    if "#" in asked["redirect_uri"] or not asked["redirect_uri"].isprintable():
        raise Wrong("invalid_request", "The redirect address holds a fragment or control characters.")
