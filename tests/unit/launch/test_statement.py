"""Signed statements: nothing in one chooses how it is checked. (What a launch refuses: tests/flow.)"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gateway.caller.keys import Keys
from gateway.caller.refusals import SignInUnavailable
from gateway.errors import NotSignedIn
from gateway.launch.settings import ContextSettings
from gateway.launch.statement import MOST_CHARACTERS, Rules, issuer_of, verified
from tests.launcher import Launcher

EHR = Launcher()
BY = ContextSettings(
    name="EHR",
    issuer=EHR.issuer,
    counts_as="x",
    organisations=frozenset({"RJ2"}),
    algorithms=("ES256",),
    allow_insecure_loopback=True,
)
NOW = 1_800_000_000.0
CLAIMS: dict[str, Any] = {"iss": EHR.issuer, "aud": "us", "iat": NOW, "exp": NOW + 60, "jti": "1"}
RULES = Rules("us", frozenset({"jwt"}), 300, once=True, pinned={"jku": "https://ehr.example/jwks"})


async def check(claims: dict[str, Any], rules: Rules = RULES, **header: Any) -> Any:
    return await verified(EHR.sign(claims, **header), BY, rules, Keys([BY.signer], EHR.fetch), NOW)


async def test_a_right_one_passes() -> None:
    statement = await check(CLAIMS)
    assert statement.claims["jti"] == "1"
    assert statement.algorithm == "ES256"
    await check(CLAIMS, jku="https://ehr.example/jwks")
    await check(CLAIMS | {"aud": ["us", "them"]})
    await check(CLAIMS | {"aud": ["us", "them"], "azp": "us"})
    await check(CLAIMS | {"iat": NOW + 29, "exp": NOW + 60})


@pytest.mark.parametrize(
    ("claims", "header", "rule"),
    [
        ({"iss": "x"}, {}, "statement.issuer"),
        ({"aud": "them"}, {}, "statement.audience"),
        ({"aud": {"us": 1}}, {}, "statement.audience"),
        ({"aud": ["us", "them"], "azp": "them"}, {}, "statement.audience"),
        ({"jti": "x" * 600}, {}, "statement.claims"),
        ({"jti": 1}, {}, "statement.claims"),
        ({"exp": True}, {}, "statement.claims"),
        ({"exp": -1}, {}, "statement.claims"),
        ({"exp": NOW}, {}, "launch.expired"),
        ({"exp": NOW + 301}, {}, "statement.too-long"),
        ({"iat": NOW + 31, "exp": NOW + 60}, {}, "statement.not-yet"),
        ({"nbf": NOW + 31}, {}, "statement.not-yet"),
        ({}, {"typ": "at+jwt"}, "statement.type"),
        ({}, {"kid": "another"}, "statement.key"),
        ({}, {"jku": "https://elsewhere.example"}, "statement.header"),
        ({}, {"x5u": "https://elsewhere.example"}, "statement.header"),
    ],
)
async def test_a_wrong_one_does_not(claims: dict[str, Any], header: dict[str, Any], rule: str) -> None:
    with pytest.raises(NotSignedIn) as refused:
        await check(CLAIMS | claims, **header)
    assert refused.value.rule == rule


@pytest.mark.parametrize("token", ["", "a.b", "a.b.c", "x" * (MOST_CHARACTERS + 1)])
async def test_what_is_no_jwt_is_refused(token: str) -> None:
    with pytest.raises(NotSignedIn):
        await verified(token, BY, RULES, Keys([BY.signer], EHR.fetch), NOW)
    with pytest.raises(NotSignedIn):
        issuer_of(token)


async def test_a_header_that_could_carry_a_key_is_too_long() -> None:
    jku = "https://ehr.example/" + "x" * 512
    with pytest.raises(NotSignedIn) as refused:
        await check(CLAIMS, replace(RULES, pinned={"jku": jku}), jku=jku)
    assert refused.value.rule == "statement.signature"


async def test_another_algorithm_is_refused_even_with_the_same_key() -> None:
    other = BY.model_copy(update={"algorithms": ("RS256",)})
    with pytest.raises(NotSignedIn) as refused:
        await verified(EHR.sign(CLAIMS), other, RULES, Keys([BY.signer], EHR.fetch), NOW)
    assert refused.value.rule == "statement.algorithm"


async def test_without_keys_nobody_can_be_told_apart() -> None:
    async def nothing(_: str) -> bytes:
        raise OSError

    with pytest.raises(SignInUnavailable):
        await verified(EHR.sign(CLAIMS), BY, RULES, Keys([BY.signer], nothing), NOW)
