"""The attacks. Each says what is attacked, and which source has the rule that must stop it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from tests.hostile.tokens.world import BASE, BOUND_TO_CERTIFICATE, CLIENT_CERT, PATH, Sent, World
from tests.proofs import b64


class Attack(NamedTuple):
    """`rule` is the check that stops it, as the operator's log names it."""

    attacked: str
    source: str
    rule: str
    send: Callable[[World], Sent]
    status: int = 401


def token(make: Callable[[World], str]) -> Callable[[World], Sent]:
    """A bad token, with everything else as the honest client sends it."""
    return lambda world: world.dpop(make(world))


def head(**members: Any) -> Callable[[World], Sent]:
    return token(lambda world: world.signed(world.head(**members), world.said()))


def claims(**changed: Any) -> Callable[[World], Sent]:
    return token(lambda world: world.token(**changed))


def payload(change: Callable[[str], str]) -> Callable[[World], Sent]:
    return token(lambda world: world.signed(world.head(), change(json.dumps(world.said())).encode()))


def proof(**changed: Any) -> Callable[[World], Sent]:
    """A good token with a bad proof."""
    return lambda world: world.dpop(world.token(), **changed)


def _hmac_with_public_key(world: World) -> str:
    secret = json.dumps(world.stack.demo.key.as_dict(private=False)).encode()
    signing = f"{b64(json.dumps(world.head(alg='HS256')).encode())}.{b64(json.dumps(world.said()).encode())}"
    return f"{signing}.{b64(hmac.digest(secret, signing.encode(), hashlib.sha256))}"


def _spare_bits(world: World) -> str:
    """The last character of an ES256 signature has four spare bits: another spelling of the same bytes."""
    good = world.token()
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return good[:-1] + alphabet[alphabet.index(good[-1]) + 1]


def _unsigned(world: World) -> str:
    return f"{b64(json.dumps(world.head(alg='none')).encode())}.{b64(json.dumps(world.said()).encode())}.AAAA"


def _claims_of_another(world: World) -> str:
    header, _, signature = world.token().split(".")
    return f"{header}.{b64(json.dumps(world.said(nhsid_useruid='555000000999')).encode())}.{signature}"


def _stripped_binding(world: World) -> str:
    """The attacker takes the binding out, and keeps the signature."""
    header, _, signature = world.token().split(".")
    said = {name: value for name, value in world.said().items() if name != "cnf"}
    return f"{header}.{b64(json.dumps(said).encode())}.{signature}"


def _of_the_other_issuer(world: World) -> str:
    """The second issuer is trusted for its own people; it speaks for the first one's."""
    return world.signed(world.head(kid=world.other.key.kid), world.said(), key=world.other.key)


def _id_token(world: World) -> str:
    return world.stack.demo.mint_id_token("gp", client_id="connect-care", nonce="n")


def _logout_token(world: World) -> str:
    events: dict[str, Any] = {"http://schemas.openid.net/event/backchannel-logout": {}}
    return world.signed(world.head(typ="logout+jwt"), world.said() | {"events": events})


def _bearer(make: Callable[[World], str], **more: str) -> Callable[[World], Sent]:
    return lambda world: Sent([("Authorization", f"Bearer {make(world)}"), *more.items()])


def _certificate(*headers: str, from_proxy: bool, cnf: Any = BOUND_TO_CERTIFICATE) -> Callable[[World], Sent]:
    def send(world: World) -> Sent:
        sent = [("Authorization", f"Bearer {world.token(cnf=cnf)}"), *(("Client-Cert", each) for each in headers)]
        return Sent(sent, from_proxy=from_proxy)

    return send


def _stolen_proof(world: World) -> Sent:
    """Token and proof were seen on their way to another address."""
    return world.dpop(world.token(), url=f"{BASE}/fhir/R4/Observation")


def _two_proofs(world: World) -> Sent:
    sent = world.dpop(world.token())
    return Sent([*sent.headers, sent.headers[-1]])


def _two_tokens(world: World) -> Sent:
    sent = world.dpop(world.token())
    return Sent([*sent.headers, ("Authorization", f"Bearer {world.token(cnf=None)}")])


def _in_the_address(world: World) -> Sent:
    return Sent(
        [("DPoP", world.client.proof("GET", BASE + PATH, world.token()))], f"{PATH}?access_token={world.token()}"
    )


def _method_override(world: World) -> Sent:
    sent = world.dpop(world.token(), method="POST")
    return Sent([*sent.headers, ("X-HTTP-Method-Override", "POST")])


ANOTHER_CERT: Final = f":{base64.b64encode(b'another certificate').decode()}:"
_RFC9068: Final = "RFC 9068, section 4"
_RFC8725: Final = "RFC 8725 (JWT best practice), section "
_RFC7515: Final = "RFC 7515 (JWS), section "
_RFC9449: Final = "RFC 9449 (DPoP), section 4.3, check "
_RFC9440: Final = "RFC 9440 (Client-Cert), section 4"

ATTACKS: Final[dict[str, Attack]] = {
    # The signature and the key
    "alg none": Attack(
        "the signature, by claiming there is none", _RFC8725 + "2.1", "token.algorithm", token(_unsigned)
    ),
    "HS256 with the public key": Attack(
        "the key, by using what is public as the secret",
        _RFC8725 + "2.1",
        "token.algorithm",
        token(_hmac_with_public_key),
    ),
    "claims of somebody else under a good signature": Attack(
        "the signature's binding to the claims", _RFC7515 + "5.2", "token.signature", token(_claims_of_another)
    ),
    "a stranger's key under the issuer's kid": Attack(
        "the choice of the key by its name",
        _RFC8725 + "3.5",
        "token.signature",
        token(lambda w: w.signed(w.head(), w.said(), key=w.stranger)),
    ),
    "kid is a path": Attack("the look-up of the key", _RFC8725 + "3.10", "token.key", head(kid="../../../dev/null")),
    "kid is SQL": Attack("the look-up of the key", _RFC8725 + "3.10", "token.key", head(kid="' OR '1'='1")),
    "kid is a list": Attack("the look-up of the key", _RFC7515 + "4.1.4", "token.key", head(kid=["a", "b"])),
    "jwk brings its own key": Attack(
        "the choice of the key, by bringing one",
        _RFC8725 + "3.5",
        "token.header-members",
        token(lambda w: w.signed(w.head(jwk=w.stranger.as_dict(private=False)), w.said(), key=w.stranger)),
    ),
    "jku names a key set": Attack(
        "the choice of the key, and a request forged by the server",
        _RFC8725 + "3.10",
        "token.header-members",
        head(jku="http://169.254.169.254/keys"),
    ),
    "x5u names a certificate": Attack(
        "the choice of the key, and a request forged by the server",
        _RFC8725 + "3.10",
        "token.header-members",
        head(x5u="http://169.254.169.254/certificate"),
    ),
    "crit asks for an extension": Attack(
        "the rules of reading", _RFC7515 + "4.1.11", "token.header-members", head(crit=["exp"])
    ),
    "another issuer's key for our people": Attack(
        "one issuer, by way of another that is trusted too", _RFC8725 + "3.8", "token.key", token(_of_the_other_issuer)
    ),
    # What kind of token, from whom, for whom, when
    "an ID token as an access token": Attack("the kind of token", _RFC8725 + "3.11", "token.type", token(_id_token)),
    "a logout token as an access token": Attack(
        "the kind of token",
        "OpenID Connect Back-Channel Logout 1.0, section 4.1",
        "token.type",
        token(_logout_token),
    ),
    "a DPoP proof as an access token": Attack(
        "the kind of token",
        _RFC8725 + "3.11",
        "token.header-members",
        token(lambda w: w.client.proof("GET", BASE + PATH, "a.b.c", **w.said())),
    ),
    "iss is unknown": Attack("who issued it", _RFC9068, "token.issuer", claims(iss="https://issuer.evil.test")),
    "iss with a slash more": Attack("who issued it", _RFC9068, "token.issuer", claims(iss="http://127.0.0.1:9/demo/")),
    "aud is another service": Attack("for whom it is", _RFC9068, "token.audience", claims(aud="another-service")),
    "aud holds ours in a longer name": Attack(
        "for whom it is", _RFC9068, "token.audience", claims(aud=["connect-care.evil.test"])
    ),
    "expired": Attack("how long it lasts", _RFC9068, "token.expired", claims(exp=time.time() - 1)),
    "issued in the future": Attack(
        "how long it lasts", "RFC 7519 (JWT), section 4.1.6", "token.not-yet", claims(iat=time.time() + 24 * 3600)
    ),
    "good for ever": Attack(
        "how long it lasts: exp lies centuries ahead, iat a day back",
        "docs/decisions/0015-senders-and-ends.md",
        "token.expired",
        claims(iat=time.time() - 24 * 3600 - 1, exp=2**40),
    ),
    "exp is text": Attack("how long it lasts", "RFC 7519 (JWT), section 2", "token.claims", claims(exp="9999999999")),
    # The form
    "a repeated claim": Attack(
        "two readers that understand it differently",
        "RFC 7519 (JWT), section 4",
        "token.malformed",
        payload(lambda text: '{"aud": "connect-care",' + text[1:]),
    ),
    "nested deep": Attack(
        "the reader's stack",
        "RFC 8259 (JSON), section 9",
        "token.malformed",
        payload(lambda _: "[" * 1500 + "]" * 1500),
    ),
    "a JWT in a JWT": Attack(
        "the reader, by nesting",
        _RFC8725 + "3.11",
        "token.malformed",
        token(lambda w: w.signed(w.head() | {"cty": "JWT"}, w.token().encode())),
    ),
    "huge": Attack(
        "memory and time",
        "docs/decisions/0005-tokens.md",
        "token.too-large",
        token(lambda w: w.token(filler="x" * 20_000)),
    ),
    "white space in the token": Attack(
        "two readers that understand it differently",
        "RFC 6750, section 2.1",
        "token.header",
        lambda w: Sent([("Authorization", f"DPoP {w.token()} .x")]),
    ),
    "another spelling of the signature": Attack(
        "what is remembered of a token by its bytes",
        _RFC7515 + "2",
        "token.malformed",
        token(_spare_bits),
    ),
    "two Authorization headers": Attack(
        "two readers that choose differently", "RFC 6750, section 2", "token.header", _two_tokens
    ),
    "the token in the address": Attack(
        "logs and histories that keep addresses", "RFC 9700, section 4.3.2", "token.missing", _in_the_address
    ),
    # Who sends it
    "a bearer token": Attack(
        "whoever copies it is its owner",
        "RFC 9700, section 2.2.1",
        "token.unbound",
        _bearer(lambda w: w.stack.demo.mint("gp")),
    ),
    "a DPoP-bound token as a bearer token": Attack(
        "the binding, by leaving the proof out", "RFC 9449 (DPoP), section 7.2", "token.scheme", _bearer(World.token)
    ),
    "the binding taken out of the token": Attack(
        "the binding itself", "RFC 7800, section 3", "token.signature", _bearer(_stripped_binding)
    ),
    "no proof": Attack(
        "the binding, by leaving the proof out",
        _RFC9449 + "1",
        "dpop.header",
        lambda w: Sent([("Authorization", f"DPoP {w.token()}")]),
    ),
    "two proofs": Attack("two readers that choose differently", _RFC9449 + "1", "dpop.header", _two_proofs),
    "the thief's own proof": Attack(
        "the binding, with another key", _RFC9449 + "12", "dpop.key", lambda w: w.dpop(w.token(), prover=w.thief)
    ),
    "the owner's key in the thief's proof": Attack(
        "the binding, by naming the owner's public key",
        _RFC9449 + "6",
        "dpop.signature",
        lambda w: w.dpop(w.token(), key=w.thief.key),
    ),
    "a proof with alg none": Attack(
        "the proof's signature",
        _RFC9449 + "5",
        "dpop.algorithm",
        lambda w: Sent(
            [
                ("Authorization", f"DPoP {w.token()}"),
                (
                    "DPoP",
                    b64(
                        json.dumps(
                            {"typ": "dpop+jwt", "alg": "none", "jwk": w.client.key.as_dict(private=False)}
                        ).encode()
                    )
                    + f".{w.client.proof('GET', BASE + PATH, w.token()).split('.')[1]}.AAAA",
                ),
            ]
        ),
    ),
    "a proof whose key is private": Attack(
        "the key, made everybody's",
        _RFC9449 + "7",
        "dpop.jwk",
        lambda w: w.dpop(w.token(), header={"jwk": w.client.key.as_dict(private=True)}),
    ),
    "an access token as a proof": Attack(
        "the kind of token", _RFC9449 + "4", "dpop.type", proof(header={"typ": "at+jwt"})
    ),
    "a proof for another address": Attack("what the proof is for", _RFC9449 + "9", "dpop.htu", _stolen_proof),
    "a proof for another host": Attack(
        "a proof that was made for the attacker's own server",
        _RFC9449 + "9",
        "dpop.htu",
        proof(url=f"https://evil.test{PATH}"),
    ),
    "a proof for another method": Attack("what the proof is for", _RFC9449 + "8", "dpop.htm", proof(method="DELETE")),
    "a proof for an overridden method": Attack("what the proof is for", _RFC9449 + "8", "dpop.htm", _method_override),
    "a proof for another token": Attack(
        "which token the proof is for", _RFC9449 + "12", "dpop.ath", proof(ath_of="a.b.c")
    ),
    "a proof of an hour ago": Attack(
        "when the proof is good", _RFC9449 + "11", "dpop.iat", lambda w: w.dpop(w.token(), iat=time.time() - 3600)
    ),
    "a proof made for later": Attack(
        "when the proof is good", _RFC9449 + "11", "dpop.iat", lambda w: w.dpop(w.token(), iat=time.time() + 3600)
    ),
    # The client's certificate
    "a certificate from outside": Attack(
        "the proxy's word, by saying it oneself",
        _RFC9440,
        "certificate.not-from-the-proxy",
        _certificate(CLIENT_CERT, from_proxy=False),
        status=400,
    ),
    "a certificate from outside beside a good proof": Attack(
        "the proxy's word, where it isn't even needed",
        _RFC9440,
        "certificate.not-from-the-proxy",
        lambda w: Sent([*w.dpop(w.token()).headers, ("Client-Cert", CLIENT_CERT)]),
        status=400,
    ),
    "no certificate": Attack(
        "the binding, by leaving the certificate out",
        "RFC 8705, section 3",
        "token.certificate",
        _certificate(from_proxy=True),
    ),
    "another certificate": Attack(
        "the binding, with another certificate",
        "RFC 8705, section 3",
        "token.certificate",
        _certificate(ANOTHER_CERT, from_proxy=True),
    ),
    "a second certificate beside the proxy's": Attack(
        "a proxy that adds its header and strips none",
        _RFC9440,
        "certificate.header",
        _certificate(CLIENT_CERT, ANOTHER_CERT, from_proxy=True),
    ),
    "a binding of a kind that nobody checks": Attack(
        "the binding, by naming an unknown one",
        "RFC 7800, section 3.1",
        "token.binding",
        _certificate(CLIENT_CERT, from_proxy=True, cnf={"x5t#S512": "AAAA"}),
    ),
}
