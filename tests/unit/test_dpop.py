"""DPoP proofs: each of RFC 9449's twelve checks, and each proof once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, Final

import pytest
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey

from gateway.caller.dpop import AHEAD, LASTS, Proofs
from gateway.caller.presented import Presented
from gateway.errors import NotSignedIn
from tests.marks import Marks
from tests.proofs import Prover, b64

NOW: Final = 1_800_000_000.0
URL: Final = "https://connect-care.test/fhir/R4/Observation"
TOKEN: Final = "aa.bb.cc"


class Bench:
    def __init__(self) -> None:
        self.now = NOW
        self.marks = Marks()
        self.proofs = Proofs(self.marks, clock=lambda: self.now)
        self.prover = Prover(clock=lambda: self.now)

    def proof(self, **changed: Any) -> str:
        return self.prover.proof(**{"method": "GET", "url": URL, "token": TOKEN, **changed})

    async def check(self, *proofs: str, method: str = "GET", url: str = URL, thumbprint: str = "") -> None:
        presented = Presented((f"DPoP {TOKEN}",), proofs, method=method, url=url)
        await self.proofs.check(presented, TOKEN, thumbprint or self.prover.cnf["jkt"])

    async def refusal(self, *proofs: str, **more: Any) -> NotSignedIn:
        with pytest.raises(NotSignedIn) as refused:
            await self.check(*proofs, **more)
        assert self.marks.burnt == {}, "a proof that is refused burns nothing"
        return refused.value


@pytest.mark.parametrize(
    ("alg", "key"),
    [
        ("ES256", ECKey.generate_key("P-256")),
        ("PS256", RSAKey.generate_key(2048)),
        ("Ed25519", OKPKey.generate_key("Ed25519")),
    ],
)
async def test_a_good_proof_is_accepted(alg: str, key: Key) -> None:
    bench = Bench()
    bench.prover = Prover(key, alg, clock=lambda: NOW)
    await bench.check(bench.proof())


HTUS: Final = (
    "HTTPS://Connect-Care.TEST/fhir/R4/Observation",
    "https://connect-care.test:443/fhir/R4/Observation",
    "https://connect-care.test/fhir/R4/Observation?patient=1",
    "https://connect-care.test/fhir/R4/Observation#a",
    "https://connect-care.test/fhir/%52%34/Observation",
    "https://connect-care.test/fhir/./other/../R4/Observation",
)


@pytest.mark.parametrize("htu", HTUS)
async def test_the_address_may_be_spelt_in_every_way_that_means_the_same(htu: str) -> None:
    bench = Bench()
    await bench.check(bench.proof(htu=htu))


OTHERS: Final = (
    "http://connect-care.test/fhir/R4/Observation",
    "https://connect-care.test:8443/fhir/R4/Observation",
    "https://connect-care.test/fhir/R4/observation",
    "https://connect-care.test/fhir/R4/Observation/",
    "https://connect-care.test/fhir/R4/Observatio%6",
    "https://connect-care.test/fhir%2FR4/Observation",
    "https://evil.test/fhir/R4/Observation",
    "https://connect-care.test@evil.test/fhir/R4/Observation",
    "https://user@connect-care.test/fhir/R4/Observation",
    "https://connect-care.test:port/fhir/R4/Observation",
    "https://[connect-care.test/fhir/R4/Observation",
    "https:///fhir/R4/Observation",
    "/fhir/R4/Observation",
    "https://connect-care.test",
    "https://connect-cäre.test/fhir/R4/Observation",
)


@pytest.mark.parametrize("htu", OTHERS)
async def test_another_address_is_another(htu: str) -> None:
    bench = Bench()
    refused = await bench.refusal(bench.proof(htu=htu))
    assert refused.rule == "dpop.htu"


def header(**members: Any) -> Callable[[Bench], str]:
    return lambda bench: bench.proof(header=members)


def claims(**changed: Any) -> Callable[[Bench], str]:
    return lambda bench: bench.proof(**changed)


def _private(bench: Bench) -> str:
    return bench.proof(header={"jwk": bench.prover.key.as_dict(private=True)})


def _half_private(bench: Bench) -> str:
    key = RSAKey.generate_key(2048)
    return bench.proof(header={"alg": "PS256", "jwk": key.as_dict(private=False) | {"p": "AQAB"}}, key=key)


def _shared(bench: Bench) -> str:
    key = OctKey.generate_key(256)
    return bench.proof(header={"alg": "HS256", "jwk": key.as_dict(private=True)}, key=key)


def _unsigned(bench: Bench) -> str:
    payload = bench.proof().split(".")[1]
    jwk = bench.prover.key.as_dict(private=False)
    head = b64(json.dumps({"typ": "dpop+jwt", "alg": "none", "jwk": jwk}).encode())
    return f"{head}.{payload}.AAAA"


def _wrong_curve(bench: Bench) -> str:
    return bench.proof(header={"jwk": OKPKey.generate_key("Ed25519").as_dict(private=False)})


BAD: Final[dict[str, tuple[str, Callable[[Bench], str]]]] = {
    "2: not a JWT": ("dpop.malformed", lambda _: "abc"),
    "2: a repeated member": ("dpop.malformed", lambda _: b64(b'{"typ":"dpop+jwt","typ":"dpop+jwt"}') + ".e30.AAAA"),
    "2: enormous": ("dpop.malformed", claims(filler="x" * 9000)),
    "2: two in one header": ("dpop.malformed", lambda b: f"{b.proof()}, {b.proof()}"),
    "3: no jti": ("dpop.claims", claims(jti=None)),
    "3: jti a number": ("dpop.claims", claims(jti=7)),
    "3: jti enormous": ("dpop.claims", claims(jti="j" * 513)),
    "3: no htm": ("dpop.claims", claims(htm=None)),
    "3: no htu": ("dpop.claims", claims(htu=None)),
    "3: htu a list": ("dpop.claims", claims(htu=[URL])),
    "3: no iat": ("dpop.iat", claims(iat=None)),
    "3: iat true": ("dpop.iat", claims(iat=True)),
    "3: iat text": ("dpop.iat", claims(iat=str(NOW))),
    "3: no ath": ("dpop.claims", claims(ath=None)),
    "4: typ JWT": ("dpop.type", header(typ="JWT")),
    "4: typ at+jwt": ("dpop.type", header(typ="at+jwt")),
    "4: no typ": ("dpop.type", header(typ=None)),
    "5: alg none": ("dpop.algorithm", _unsigned),
    "5: a shared secret": ("dpop.algorithm", _shared),
    "5: RS256": (
        "dpop.algorithm",
        lambda b: b.proof(
            header={"alg": "RS256", "jwk": (key := RSAKey.generate_key(2048)).as_dict(private=False)}, key=key
        ),
    ),
    "5: an algorithm that isn't the key's": ("dpop.algorithm", _wrong_curve),
    "6: another key signed": ("dpop.signature", lambda b: b.proof(key=ECKey.generate_key("P-256"))),
    "7: the private half": ("dpop.jwk", _private),
    "7: a part of the private half": ("dpop.jwk", _half_private),
    "7: no key": ("dpop.jwk", header(jwk=None)),
    "7: a key that is text": ("dpop.jwk", header(jwk="key")),
    "7: a list of keys": ("dpop.jwk", lambda b: b.proof(header={"jwk": [b.prover.key.as_dict(private=False)]})),
    "7: a key of 1024 bits' worth": ("dpop.jwk", header(jwk={"kty": "RSA", "n": "AQAB" * 40, "e": "AQAB"})),
    "jku beside it": ("dpop.header-members", header(jku="https://evil.test")),
    "crit": ("dpop.header-members", lambda b: ".".join([_crit(b), *b.proof().split(".")[1:]])),
    "8: another method": ("dpop.htm", claims(htm="POST")),
    "8: the method in small letters": ("dpop.htm", claims(htm="get")),
    "11: too old": ("dpop.iat", claims(iat=NOW - LASTS)),
    "11: too far ahead": ("dpop.iat", claims(iat=NOW + AHEAD + 1)),
    "11: beyond all dates": ("dpop.iat", claims(iat=10**300)),
    "12: ath of another token": ("dpop.ath", claims(token="aa.bb.dd")),
    "12: ath of no form": ("dpop.ath", claims(ath="ää")),
}


def _crit(bench: Bench) -> str:
    jwk = bench.prover.key.as_dict(private=False)
    return b64(json.dumps({"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk, "crit": ["jwk"]}).encode())


@pytest.mark.parametrize("name", BAD)
async def test_a_proof_that_fails_a_check_is_refused(name: str) -> None:
    bench = Bench()
    rule, make = BAD[name]
    refused = await bench.refusal(make(bench))
    assert (refused.rule, refused.error, refused.scheme) == (rule, "invalid_dpop_proof", "DPoP")


async def test_there_must_be_one_header() -> None:
    bench = Bench()
    assert (await bench.refusal()).rule == "dpop.header"
    assert (await bench.refusal(bench.proof(), bench.proof())).rule == "dpop.header"


async def test_the_token_must_be_bound_to_the_key() -> None:
    bench = Bench()
    refused = await bench.refusal(bench.proof(), thumbprint=ECKey.generate_key("P-256").thumbprint())
    assert (refused.rule, refused.error) == ("dpop.key", "invalid_token")


async def test_the_window_is_exact_at_both_ends() -> None:
    bench = Bench()
    await bench.check(bench.proof(iat=NOW - LASTS + 0.5))
    await bench.check(bench.proof(iat=NOW + AHEAD))


async def test_a_proof_is_good_once() -> None:
    bench = Bench()
    proof = bench.proof()
    await bench.check(proof)
    with pytest.raises(NotSignedIn) as refused:
        await bench.check(proof)
    assert (refused.value.rule, refused.value.error) == ("dpop.used", "invalid_dpop_proof")


async def test_a_mark_is_kept_until_the_proof_is_too_old_anyway() -> None:
    bench = Bench()
    await bench.check(bench.proof(iat=NOW + AHEAD))
    (expires,) = bench.marks.burnt.values()
    assert expires.timestamp() == NOW + AHEAD + LASTS


async def test_somebody_elses_proof_with_the_same_jti_burns_their_own_mark() -> None:
    bench = Bench()
    other = Prover(clock=lambda: NOW)
    await bench.check(other.proof("GET", URL, TOKEN, jti="same"), thumbprint=other.cnf["jkt"])
    await bench.check(bench.proof(jti="same"))


async def test_one_request_that_is_identified_many_times_spends_its_proof_once() -> None:
    bench = Bench()
    presented = Presented((f"DPoP {TOKEN}",), (bench.proof(),), method="GET", url=URL)
    jkt = bench.prover.cnf["jkt"]
    await asyncio.gather(*[bench.proofs.check(presented, TOKEN, jkt) for _ in range(20)])
    await bench.proofs.check(presented, TOKEN, jkt)
    assert len(bench.marks.burnt) == 1


async def test_the_texts_repeat_nothing_of_the_proof() -> None:
    for _, make in BAD.values():
        bench = Bench()
        proof = make(bench)
        refused = await bench.refusal(proof)
        said = refused.told + refused.detail + str(refused.headers)
        assert not any(part in said for part in proof.split(".") if len(part) > 8)


def test_what_a_request_presents_is_not_in_its_repr() -> None:
    shown = repr(Presented(("Bearer secret",), ("secret",), ("secret",), "GET", URL))
    assert "secret" not in shown
