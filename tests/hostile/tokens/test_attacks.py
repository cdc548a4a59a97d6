"""Nothing wrong is accepted: every attack against a whole gateway, beside the honest request that it imitates."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from gateway.caller.dpop import ALGORITHMS
from tests.flow.stack import GRACE, told
from tests.hostile.tokens.cases import ATTACKS
from tests.hostile.tokens.world import BASE, BOUND_TO_CERTIFICATE, CLIENT_CERT, PATH, Sent, World, attacked


@pytest.fixture(scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with attacked(tmp_path_factory.mktemp("attacked")) as world:
        yield world


async def test_the_honest_client_is_let_in(world: World) -> None:
    answer = await world.send(world.dpop(world.token()))
    assert (answer.status_code, answer.json()["id"]) == (200, GRACE)


async def test_so_is_one_with_a_certificate_behind_the_proxy(world: World) -> None:
    token = world.token(cnf=BOUND_TO_CERTIFICATE)
    sent = Sent([("Authorization", f"Bearer {token}"), ("Client-Cert", CLIENT_CERT)], from_proxy=True)
    assert (await world.send(sent)).status_code == 200


def refused_by(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The rules that refused, as the operator's log has them."""
    fields = [getattr(record, "connect_care_fields", {}) for record in caplog.records if record.msg == "signin.refused"]
    return [str(each["rule"]) for each in fields]


def require_no_help(sent: Sent, rule: str, answer: httpx2.Response) -> None:
    """Nothing of the patient, nothing of the token, and not what was wrong: that is for the operator."""
    shown = answer.text + str(answer.headers)
    parts = [part for _, value in sent.headers for part in value.replace(",", " ").replace(".", " ").split()]
    assert not [part for part in parts if len(part) > 20 and part in shown]
    assert GRACE not in shown
    assert rule not in shown


@pytest.mark.parametrize("name", ATTACKS)
async def test_no_attack_gets_in(world: World, name: str, caplog: pytest.LogCaptureFixture) -> None:
    attack = ATTACKS[name]
    sent = attack.send(world)
    calls = world.stack.calls()
    with caplog.at_level(logging.INFO, "connect-care"):
        answer = await world.send(sent)
    assert answer.status_code == attack.status, answer.text
    assert refused_by(caplog) == [attack.rule]
    assert world.stack.calls() == calls, "no source was asked"
    assert told(answer)
    require_no_help(sent, attack.rule, answer)
    if attack.status == 401:
        challenge = answer.headers["WWW-Authenticate"]
        assert f'algs="{" ".join(ALGORITHMS)}"' in challenge
        assert f'resource_metadata="{BASE}/.well-known/oauth-protected-resource/fhir/R4"' in challenge


async def test_a_proof_is_good_for_one_request(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Attacked: the proof, seen on its way. Source: RFC 9449, section 11.1."""
    sent = world.dpop(world.token())
    assert (await world.send(sent)).status_code == 200
    with caplog.at_level(logging.INFO, "connect-care"):
        again = await world.send(sent)
    assert again.status_code == 401
    assert refused_by(caplog) == ["dpop.used"]
    assert again.headers["WWW-Authenticate"].startswith('DPoP error="invalid_dpop_proof", algs=')


async def test_the_scheme_that_was_used_is_challenged_first_and_with_the_error(world: World) -> None:
    challenges: dict[str, Any] = {
        "": ([], "Bearer resource_metadata="),
        "bearer": ([("Authorization", "Bearer a.b.c")], 'Bearer error="invalid_token", resource_metadata='),
        "dpop": ([("Authorization", "DPoP a.b.c")], 'DPoP error="invalid_token", algs='),
        "basic": ([("Authorization", "Basic YTpi")], 'Bearer error="invalid_request", resource_metadata='),
    }
    for headers, begins in challenges.values():
        answer = await world.send(Sent(headers))
        challenge = answer.headers["WWW-Authenticate"]
        assert challenge.startswith(begins)
        assert challenge.count("error=") == begins.count("error=")
        assert (challenge.count("Bearer "), challenge.count("DPoP ")) == (1, 1)


async def test_a_head_request_and_a_slash_at_the_end_are_proven_as_they_were_sent(world: World) -> None:
    token = world.token()
    for method, path in (("HEAD", PATH), ("GET", f"{PATH}/"), ("GET", f"{PATH}?_format=json")):
        proof = world.client.proof(method, BASE + path, token)
        sent = Sent([("Authorization", f"DPoP {token}"), ("DPoP", proof)], path, method)
        assert (await world.send(sent)).status_code == 200, (method, path)


def test_there_are_forty_attacks_and_each_says_what_it_is() -> None:
    assert len(ATTACKS) >= 40
    assert all(attack.attacked and attack.source and attack.rule for attack in ATTACKS.values())
