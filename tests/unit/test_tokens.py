"""Access tokens that are accepted, and for how long."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

from gateway.caller.keys import Keys
from gateway.caller.refusals import SignInUnavailable
from gateway.caller.settings import Algorithm, IssuerSettings
from gateway.caller.tokens import Tokens
from gateway.demo.identity import Demo
from gateway.errors import NotSignedIn

AUDIENCE: Final = "https://connect-care.test"
ISSUER: Final = "https://issuer.test"


class Bench:
    """One issuer, its clock, and a count of signature checks and fetches."""

    def __init__(self, algorithm: Algorithm = "ES256") -> None:
        self.now = 1_800_000_000.0
        self.demo = Demo(ISSUER, AUDIENCE, clock=lambda: self.now)
        self.algorithm = algorithm
        self.broken = False
        settings = IssuerSettings(issuer=ISSUER, audience=AUDIENCE, algorithms=(algorithm,), jwks_uri=f"{ISSUER}/jwks")
        self.keys = Keys([settings], self._fetch, clock=lambda: self.now)
        self.tokens = Tokens([settings], self.keys, clock=lambda: self.now)

    async def _fetch(self, url: str) -> bytes:
        if self.broken:
            raise OSError(url)
        return json.dumps({"keys": [self.demo.key.as_dict(private=False)]}).encode()

    def mint(self, **claims: Any) -> str:
        return self.demo.mint("gp", claims=claims, header={"alg": self.algorithm})


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [
        ("ES256", ECKey.generate_key("P-256", auto_kid=True)),
        ("RS256", RSAKey.generate_key(2048, auto_kid=True)),
        ("PS256", RSAKey.generate_key(2048, auto_kid=True)),
        ("Ed25519", OKPKey.generate_key("Ed25519", auto_kid=True)),
    ],
)
async def test_each_pinned_algorithm_is_accepted(algorithm: Algorithm, key: Key) -> None:
    bench = Bench(algorithm)
    bench.demo.key = key
    verified = await bench.tokens.verify(bench.mint())
    assert (verified.issuer, verified.algorithm) == (ISSUER, algorithm)
    assert verified.claims["nhsid_useruid"] == verified.claims["sub"]


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")  # from signing; checking must not warn
async def test_the_older_name_of_ed25519_is_accepted() -> None:
    bench = Bench("EdDSA")
    bench.demo.key = OKPKey.generate_key("Ed25519", auto_kid=True)
    assert (await bench.tokens.verify(bench.mint())).algorithm == "EdDSA"


@pytest.mark.parametrize("typ", ["at+jwt", "application/at+jwt", "AT+JWT"])
async def test_both_spellings_of_the_type_are_accepted(typ: str) -> None:
    bench = Bench()
    assert await bench.tokens.verify(bench.demo.mint("gp", header={"typ": typ}))


@pytest.mark.parametrize("aud", [AUDIENCE, [AUDIENCE], ["https://elsewhere.test", AUDIENCE]])
async def test_an_audience_that_contains_ours_is_accepted(aud: str | list[str]) -> None:
    bench = Bench()
    assert await bench.tokens.verify(bench.mint(aud=aud))


async def test_a_token_may_leave_out_the_kid_where_the_issuer_has_one_key() -> None:
    bench = Bench()
    assert (await bench.tokens.verify(bench.demo.mint("gp", header={"kid": None}))).kid is None


async def test_thumbprints_of_certificates_in_the_header_are_harmless() -> None:
    bench = Bench()
    assert await bench.tokens.verify(bench.demo.mint("gp", header={"x5t": "abc"}))


async def test_dates_may_have_fractions_and_nbf_may_be_left_out() -> None:
    bench = Bench()
    assert await bench.tokens.verify(bench.mint(exp=bench.now + 0.5, iat=bench.now - 0.25))
    assert await bench.tokens.verify(bench.demo.mint("gp", without=["nbf"]))


async def test_the_issuers_clock_may_run_ahead_a_little_but_exp_is_exact() -> None:
    bench = Bench()
    assert await bench.tokens.verify(bench.mint(iat=int(bench.now) + 30, nbf=int(bench.now) + 30))
    assert await bench.tokens.verify(bench.mint(exp=int(bench.now) + 1))
    with pytest.raises(NotSignedIn) as refused:
        await bench.tokens.verify(bench.mint(exp=int(bench.now)))
    assert refused.value.rule == "token.expired"


async def test_a_remembered_token_is_refused_once_expired() -> None:
    bench = Bench()
    token = bench.mint(exp=int(bench.now) + 10)
    first = await bench.tokens.verify(token)
    assert await bench.tokens.verify(token) is first, "remembered: the signature is not checked again"
    bench.now += 10
    with pytest.raises(NotSignedIn) as refused:
        await bench.tokens.verify(token)
    assert refused.value.rule == "token.expired"
    assert "expired" in refused.value.told


async def test_a_remembered_token_is_refused_once_its_key_is_taken_away() -> None:
    bench = Bench()
    token = bench.mint()
    await bench.tokens.verify(token)
    bench.demo.key = ECKey.generate_key("P-256", auto_kid=True)
    bench.now += 299
    await bench.tokens.verify(token)
    bench.now += 1
    with pytest.raises(NotSignedIn) as refused:
        await bench.tokens.verify(token)
    assert refused.value.rule == "token.key"


async def test_a_remembered_token_is_checked_again_when_its_kid_names_a_new_key() -> None:
    bench = Bench()
    token = bench.mint()
    await bench.tokens.verify(token)
    kid = bench.demo.key.kid
    bench.demo.key = ECKey.generate_key("P-256", {"kid": kid or ""})
    bench.now += 300
    with pytest.raises(NotSignedIn) as refused:
        await bench.tokens.verify(token)
    assert refused.value.rule == "token.signature"


async def test_only_so_many_tokens_are_remembered() -> None:
    bench = Bench()
    tokens = [bench.mint(jti=str(number)) for number in range(600)]
    first = [await bench.tokens.verify(token) for token in tokens]
    assert await bench.tokens.verify(tokens[-1]) is first[-1]
    assert await bench.tokens.verify(tokens[0]) is not first[0], "forgotten, so checked again"
    assert len(bench.tokens._passed) == 512


async def test_without_the_issuers_keys_nobody_is_told_to_sign_in_again() -> None:
    bench = Bench()
    bench.broken = True
    with pytest.raises(SignInUnavailable) as unavailable:
        await bench.tokens.verify(bench.mint())
    assert (unavailable.value.status, unavailable.value.rule) == (503, "token.keys-unavailable")
    assert unavailable.value.headers["Retry-After"] == "10"
