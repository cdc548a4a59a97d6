"""Tokens that somebody forged, bent or borrowed: none is accepted, and none makes the gateway fetch anything new."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any, Final

import pytest
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OctKey, RSAKey
from joserfc.jws import JWSRegistry

from gateway.caller.credentials import Credentials, bearer_token, credentials
from gateway.caller.keys import Keys
from gateway.caller.settings import IssuerSettings
from gateway.caller.signature import PinnedRegistry
from gateway.caller.tokens import MOST_CHARACTERS, Tokens
from gateway.demo.identity import Demo
from gateway.errors import NotSignedIn

AUDIENCE: Final = "https://connect-care.test"
NOW: Final = 1_800_000_000.0


def b64(data: bytes | str | dict[str, Any]) -> str:
    """Base64url without padding of bytes, text or an object as JSON."""
    raw = json.dumps(data).encode() if isinstance(data, dict) else data.encode() if isinstance(data, str) else data
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class Forge:
    """Two configured issuers (ours signs ES256, the other RS256), one stranger, and the means to bend a token."""

    def __init__(self) -> None:
        self.ours = Demo("https://one.test/demo", AUDIENCE, clock=lambda: NOW)
        self.other = Demo("https://two.test/demo", AUDIENCE, clock=lambda: NOW)
        self.rsa = RSAKey.generate_key(2048, {"use": "sig"}, auto_kid=True)
        self.other.key = self.rsa
        self.stranger = ECKey.generate_key("P-256", auto_kid=True)
        self.fetched: list[str] = []
        issuers = [
            IssuerSettings(issuer=self.ours.issuer, audience=AUDIENCE, algorithms=("ES256",)),
            IssuerSettings(issuer=self.other.issuer, audience=AUDIENCE, algorithms=("RS256",)),
        ]
        keys = Keys(issuers, self._fetch, allow_demo=True, clock=lambda: 0.0)
        self.tokens = Tokens(issuers, keys, clock=lambda: NOW)

    async def _fetch(self, url: str) -> bytes:
        self.fetched.append(url)
        return await (self.ours if url.startswith(self.ours.issuer) else self.other).fetch(url)

    def good(self) -> str:
        return self.ours.mint("gp")

    def said(self) -> dict[str, Any]:
        """The claims of a good token."""
        return dict(json.loads(base64.urlsafe_b64decode(self.good().split(".")[1] + "==")))

    def head(self, **members: Any) -> dict[str, Any]:
        """The header of a good token, with members replaced."""
        return {"typ": "at+jwt", "alg": "ES256", "kid": self.ours.key.kid, **members}

    def signed_raw(self, header: str | dict[str, Any], payload: str | dict[str, Any]) -> str:
        """Our issuer's true signature over exactly these bytes."""
        signing_input = f"{b64(header)}.{b64(payload)}"
        return f"{signing_input}.{b64(self._signature(signing_input))}"

    def _signature(self, signing_input: str) -> bytes:
        return bytes(JWSRegistry.algorithms["ES256"].sign(signing_input.encode(), self.ours.key))

    def hmac_with_public_key(self) -> str:
        public = self.rsa.as_pem(private=False)
        header = {"typ": "at+jwt", "alg": "HS256", "kid": self.other.key.kid}
        signing_input = f"{b64(header)}.{b64(self.said() | {'iss': self.other.issuer})}"
        return f"{signing_input}.{b64(hmac.digest(public, signing_input.encode(), hashlib.sha256))}"


def with_claims(**claims: Any) -> Callable[[Forge], str]:
    return lambda forge: forge.ours.mint("gp", claims=claims)


def without(*names: str) -> Callable[[Forge], str]:
    return lambda forge: forge.ours.mint("gp", without=names)


def with_header(**members: Any) -> Callable[[Forge], str]:
    return lambda forge: forge.signed_raw(
        {name: value for name, value in forge.head(**members).items() if value is not None}, forge.said()
    )


def payload_text(change: Callable[[str], str]) -> Callable[[Forge], str]:
    return lambda forge: forge.signed_raw(forge.head(), change(json.dumps(forge.said())))


def bent(change: Callable[[list[str]], str]) -> Callable[[Forge], str]:
    return lambda forge: change(forge.good().split("."))


def _second_use_of_signature(forge: Forge) -> str:
    header, _, signature = forge.good().split(".")
    return f"{header}.{b64(forge.said() | {'nhsid_useruid': '555000000999'})}.{signature}"


def _spare_bits(forge: Forge) -> str:
    """The last character of an ES256 signature has four spare bits: another spelling of the same bytes."""
    token = forge.good()
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return token[:-1] + alphabet[alphabet.index(token[-1]) + 1]


FORGED: Final[dict[str, tuple[str, Callable[[Forge], str]]]] = {
    # signature and algorithm
    "alg none, no signature": ("token.malformed", lambda f: f"{b64(f.head(alg='none'))}.{b64(f.said())}."),
    "alg none, a signature": ("token.algorithm", lambda f: f"{b64(f.head(alg='none'))}.{b64(f.said())}.AAAA"),
    "alg None in capitals": ("token.algorithm", with_header(alg="NONE")),
    "alg missing": ("token.algorithm", with_header(alg=None)),
    "alg a list": ("token.algorithm", with_header(alg=["ES256"])),
    "HS256 with the public key as the secret": ("token.algorithm", Forge.hmac_with_public_key),
    "HS256 with an empty secret": (
        "token.algorithm",
        lambda f: f.ours.sign(
            f.said(), header={"alg": "HS256"}, key=OctKey.generate_key(256, {"kid": f.ours.key.kid or ""})
        ),
    ),
    "an algorithm that the other issuer may use": (
        "token.algorithm",
        lambda f: f.ours.sign(f.said(), header={"alg": "RS256"}, key=f.other.key),
    ),
    "PS256 from an issuer pinned to RS256": (
        "token.algorithm",
        lambda f: f.other.sign(f.said() | {"iss": f.other.issuer}, header={"alg": "PS256"}),
    ),
    "the key of another issuer": (
        "token.key",
        lambda f: f.other.mint(
            "gp", header={"alg": "RS256"}, claims={"iss": f.other.issuer}, key=RSAKey.generate_key(2048, auto_kid=True)
        ),
    ),
    "a stranger's key under our kid": (
        "token.signature",
        lambda f: f.ours.mint("gp", key=f.stranger, header={"kid": f.ours.key.kid}),
    ),
    "the signature of another token": ("token.signature", _second_use_of_signature),
    "the signature cut short": ("token.signature", bent(lambda p: f"{p[0]}.{p[1]}.{p[2][:80]}")),
    "a signature of zeros (CVE-2022-21449)": ("token.signature", bent(lambda p: f"{p[0]}.{p[1]}.{b64(bytes(64))}")),
    "the signature in DER": (
        "token.signature",
        bent(lambda p: f"{p[0]}.{p[1]}.{b64(bytes([0x30, 0x44]) + bytes(68))}"),
    ),
    # header
    "typ JWT: an ID token": ("token.type", with_header(typ="JWT")),
    "typ missing": ("token.type", with_header(typ=None)),
    "typ of a logout token": ("token.type", with_header(typ="logout+jwt")),
    "typ with a parameter": ("token.type", with_header(typ="at+jwt; a=b")),
    "typ a number": ("token.type", with_header(typ=1)),
    "kid unknown": ("token.key", with_header(kid="another")),
    "kid a path": ("token.key", with_header(kid="../../../../dev/null")),
    "kid an SQL fragment": ("token.key", with_header(kid="' or '1'='1")),
    "kid a number": ("token.key", with_header(kid=7)),
    "kid a list": ("token.key", with_header(kid=["a"])),
    "a key of its own in jwk": (
        "token.header-members",
        lambda f: f.ours.mint("gp", key=f.stranger, header={"jwk": f.stranger.as_dict(private=False)}),
    ),
    "an address of keys in jku": ("token.header-members", with_header(jku="https://evil.test/jwks")),
    "an address of certificates in x5u": ("token.header-members", with_header(x5u="https://evil.test/x5u")),
    "certificates in x5c": ("token.header-members", with_header(x5c=["MIIB"])),
    "crit with a member that is there": ("token.header-members", with_header(crit=["kid"])),
    "crit empty": ("token.header-members", with_header(crit=[])),
    "b64 false": ("token.header-members", with_header(b64=False, crit=["b64"])),
    "zip": ("token.header-members", with_header(zip="DEF")),
    "the header with a repeated key": (
        "token.malformed",
        lambda f: f.signed_raw('{"alg":"none",' + json.dumps(f.head())[1:], f.said()),
    ),
    "the header a list": ("token.malformed", lambda f: f.signed_raw("[]", f.said())),
    # payload
    "a repeated claim": ("token.malformed", payload_text(lambda text: '{"aud":"https://elsewhere.test",' + text[1:])),
    "a repeated key deep inside": (
        "token.malformed",
        payload_text(lambda text: text.replace('"org_code":', '"org_code": "RJ2", "org_code":')),
    ),
    "the payload a list": ("token.malformed", lambda f: f.signed_raw(f.head(), "[1]")),
    "the payload empty": ("token.malformed", bent(lambda p: f"{p[0]}..{p[2]}")),
    "the payload not JSON": ("token.malformed", lambda f: f.signed_raw(f.head(), "not json")),
    "JSON, and more after it": ("token.malformed", payload_text(lambda text: text + "{}")),
    "a byte order mark": ("token.malformed", payload_text(lambda text: "\ufeff" + text)),
    "UTF-16": (
        "token.malformed",
        lambda f: f"{b64(f.head())}.{b64(json.dumps(f.said()).encode('utf-16'))}.AAAA",
    ),
    "a lone surrogate": ("token.malformed", payload_text(lambda text: text.replace('"scope": "', '"scope": "\\ud800'))),
    "JSON nested deep": ("token.malformed", lambda f: f.signed_raw(f.head(), '{"a":' + "[" * 2000 + "]" * 2000 + "}")),
    # iss and aud
    "iss missing": ("token.issuer", without("iss")),
    "iss with a slash more": ("token.issuer", with_claims(iss="https://one.test/demo/")),
    "iss in other letters": ("token.issuer", with_claims(iss="https://ONE.test/demo")),
    "iss a list": ("token.issuer", with_claims(iss=["https://one.test/demo"])),
    "iss another issuer's, our signature": ("token.algorithm", with_claims(iss="https://two.test/demo")),
    "aud missing": ("token.audience", without("aud")),
    "aud another": ("token.audience", with_claims(aud="https://elsewhere.test")),
    "aud a part of ours": ("token.audience", with_claims(aud="https://connect-care")),
    "aud ours and more": ("token.audience", with_claims(aud=f"{AUDIENCE}.evil.test")),
    "aud a list without ours": ("token.audience", with_claims(aud=["a", "b"])),
    "aud an empty list": ("token.audience", with_claims(aud=[])),
    "aud a list with a number": ("token.audience", with_claims(aud=[AUDIENCE, 1])),
    "aud an object": ("token.audience", with_claims(aud={AUDIENCE: True})),
    # times
    "exp missing": ("token.claims", without("exp")),
    "exp text": ("token.claims", with_claims(exp=str(int(NOW) + 60))),
    "exp true": ("token.claims", with_claims(exp=True)),
    "exp null": ("token.claims", with_claims(exp=None)),
    "exp NaN": ("token.malformed", with_claims(exp=float("nan"))),
    "exp infinite": ("token.malformed", with_claims(exp=float("inf"))),
    "exp 1e999": (
        "token.malformed",
        payload_text(lambda text: text.replace(f'"exp": {int(NOW) + 3600}', '"exp": 1e999')),
    ),
    "exp beyond all dates": ("token.claims", with_claims(exp=10**400)),
    "exp in milliseconds of long ago, negative": ("token.claims", with_claims(exp=-1)),
    "expired a second ago": ("token.expired", with_claims(exp=int(NOW) - 1)),
    "expired at this instant": ("token.expired", with_claims(exp=int(NOW))),
    "nbf ahead": ("token.not-yet", with_claims(nbf=int(NOW) + 31)),
    "nbf text": ("token.claims", with_claims(nbf="0")),
    "iat missing": ("token.claims", without("iat")),
    "iat ahead": ("token.not-yet", with_claims(iat=int(NOW) + 31)),
    "iat text": ("token.claims", with_claims(iat="1")),
    # subject and id
    "sub missing": ("token.claims", without("sub")),
    "sub empty": ("token.claims", with_claims(sub="")),
    "sub with a null": ("token.claims", with_claims(sub="a\0b")),
    "jti missing": ("token.claims", without("jti")),
    "jti with a line break": ("token.claims", with_claims(jti="a\nb")),
    "jti too long": ("token.claims", with_claims(jti="j" * 513)),
    "jti a number": ("token.claims", with_claims(jti=1)),
    # the outer form
    "nothing": ("token.malformed", lambda _: ""),
    "one part": ("token.malformed", lambda _: "abc"),
    "two parts": ("token.malformed", bent(lambda p: f"{p[0]}.{p[1]}")),
    "four parts": ("token.malformed", bent(lambda p: ".".join(p) + ".AAAA")),
    "five parts: encrypted": ("token.malformed", bent(lambda p: ".".join([*p, "AAAA", "AAAA"]))),
    "padded base64": ("token.malformed", bent(lambda p: f"{p[0]}=.{p[1]}.{p[2]}")),
    "base64 of the other alphabet": ("token.malformed", bent(lambda p: f"{p[0]}.{p[1]}.{p[2][:-4]}+/+/")),
    "another spelling of the same signature": ("token.malformed", _spare_bits),
    "letters beyond ASCII": ("token.malformed", bent(lambda p: f"{p[0]}.{p[1]}é.{p[2]}")),
    "a null inside": ("token.malformed", bent(lambda p: f"{p[0]}.{p[1]}\0.{p[2]}")),
    "huge": ("token.too-large", lambda f: f.ours.mint("gp", claims={"filler": "x" * MOST_CHARACTERS})),
}


@pytest.fixture(scope="module")
def forge() -> Forge:
    return Forge()


@pytest.mark.parametrize("name", FORGED)
async def test_no_forged_token_is_accepted(name: str) -> None:
    forge = Forge()
    rule, make = FORGED[name]
    with pytest.raises(NotSignedIn) as refused:
        await forge.tokens.verify(make(forge))
    assert refused.value.rule == rule
    assert refused.value.status == 401
    assert refused.value.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'


@pytest.mark.parametrize("name", FORGED)
async def test_a_forged_token_is_not_accepted_after_a_good_one_either(name: str, forge: Forge) -> None:
    await forge.tokens.verify(forge.good())
    with pytest.raises(NotSignedIn):
        await forge.tokens.verify(FORGED[name][1](forge))


async def test_no_token_makes_the_gateway_fetch_from_elsewhere(forge: Forge) -> None:
    for _, make in FORGED.values():
        with pytest.raises(NotSignedIn):
            await forge.tokens.verify(make(forge))
    documents = ("/jwks", "/.well-known/openid-configuration")
    theirs = {issuer + document for issuer in (forge.ours.issuer, forge.other.issuer) for document in documents}
    assert set(forge.fetched) == theirs
    assert len(forge.fetched) == len(theirs), "once each"


async def test_the_texts_repeat_nothing_of_the_token(forge: Forge) -> None:
    for name, (_, make) in FORGED.items():
        token = make(forge)
        with pytest.raises(NotSignedIn) as refused:
            await forge.tokens.verify(token)
        said = refused.value.told + refused.value.detail + str(refused.value.headers)
        assert not any(part in said for part in token.split(".") if len(part) > 8), name


async def test_the_library_too_takes_the_pinned_algorithm_only() -> None:
    """The header was checked before; were it ever read differently there, the signature would still not pass."""
    with pytest.raises(JoseError):
        PinnedRegistry(algorithms=["ES256"]).get_alg("HS256")
    with pytest.raises(JoseError):
        PinnedRegistry().get_alg("ES256")


HEADERS: Final[dict[str, tuple[str, str, list[str]]]] = {
    "none": ("token.missing", "Bearer", []),
    "two": ("token.header", 'Bearer error="invalid_request"', ["Bearer a.b.c", "Bearer a.b.c"]),
    "two in one": ("token.header", 'Bearer error="invalid_request"', ["Bearer a.b.c, Bearer a.b.c"]),
    "empty": ("token.header", 'Bearer error="invalid_request"', [""]),
    "the scheme alone": ("token.header", 'Bearer error="invalid_request"', ["Bearer"]),
    "the scheme and a space": ("token.header", 'Bearer error="invalid_request"', ["Bearer "]),
    "basic": ("token.header", 'Bearer error="invalid_request"', ["Basic YTpi"]),
    "DPoP and Bearer": ("token.header", 'Bearer error="invalid_request"', ["DPoP a.b.c", "Bearer a.b.c"]),
    "DPoP and Bearer in one": ("token.header", 'Bearer error="invalid_request"', ["DPoP a.b.c, Bearer a.b.c"]),
    "a tab": ("token.header", 'Bearer error="invalid_request"', ["Bearer\ta.b.c"]),
    "a line break after it": ("token.header", 'Bearer error="invalid_request"', ["Bearer a.b.c\n"]),
    "a null": ("token.header", 'Bearer error="invalid_request"', ["Bearer a.b.c\0"]),
    "digits that aren't ASCII": ("token.header", 'Bearer error="invalid_request"', ["Bearer a.b.٣"]),
    "a kelvin sign that folds to k": ("token.header", 'Bearer error="invalid_request"', ["Bearer \u212a.b.c"]),
    "huge": ("token.too-large", 'Bearer error="invalid_token"', ["Bearer " + "a" * 9000]),
}


@pytest.mark.parametrize("name", HEADERS)
def test_an_authorization_header_that_is_not_one_token(name: str) -> None:
    rule, challenge, values = HEADERS[name]
    with pytest.raises(NotSignedIn) as refused:
        credentials(values)
    assert (refused.value.rule, refused.value.headers["WWW-Authenticate"]) == (rule, challenge)
    assert "Sign in" in refused.value.told


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer "])
def test_the_scheme_is_read_in_any_case(scheme: str) -> None:
    assert credentials([f"{scheme} aa.bb.c-_"]) == Credentials("Bearer", "aa.bb.c-_")


@pytest.mark.parametrize("scheme", ["DPoP", "dpop", "DPOP "])
def test_there_is_a_second_scheme(scheme: str) -> None:
    assert credentials([f"{scheme} aa.bb.c-_"]) == Credentials("DPoP", "aa.bb.c-_")


def test_where_only_bearer_tokens_are_taken_the_other_scheme_is_unclear() -> None:
    assert bearer_token(["Bearer a.b.c"]) == "a.b.c"
    with pytest.raises(NotSignedIn) as refused:
        bearer_token(["DPoP a.b.c"])
    assert refused.value.rule == "token.header"
