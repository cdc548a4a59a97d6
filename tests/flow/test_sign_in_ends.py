"""The issuer ends a sign-in, or a proof was used: every worker knows at once. On both stores."""

from __future__ import annotations

import asyncio
import base64
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gateway.caller.logout import EVENT
from tests.flow.stack import AUDIENCE, GRACE, Stack, running, told
from tests.proofs import Prover, signed
from tests.stores import PostgresPlace

PATH = f"/fhir/R4/Patient/{GRACE}"
BASE = "http://127.0.0.1:8000"
DOOR = "/back-channel-logout"


@pytest.fixture(params=["sqlite", "postgres"])
async def workers(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Stack, Stack]]:
    """Two workers of one gateway. SQLite has one writing process, so there both are the same."""
    async with AsyncExitStack() as opened:
        if request.param == "sqlite":
            one = two = await opened.enter_async_context(running(tmp_path))
        else:
            place: PostgresPlace = request.getfixturevalue("postgres_place")
            one = await opened.enter_async_context(running(tmp_path, database=place.url))
            two = await opened.enter_async_context(running(tmp_path, database=place.url))
            two.demo.key = one.demo.key
        await one.agree(GRACE)
        yield one, two


def logout_token(stack: Stack, **claims: Any) -> str:
    now = int(stack.demo.clock())
    said = {"iss": stack.demo.issuer, "aud": AUDIENCE, "iat": now, "exp": now + 120, "jti": f"{sorted(claims.items())}"}
    head = {"typ": "logout+jwt", "alg": "ES256", "kid": stack.demo.key.kid}
    return signed(head, said | {"events": {EVENT: {}}} | claims, stack.demo.key)


async def end(stack: Stack, **claims: Any) -> httpx2.Response:
    return await stack.client.post(DOOR, data={"logout_token": logout_token(stack, **claims)})


async def look(stack: Stack, token: str) -> httpx2.Response:
    return await stack.client.get(PATH, headers={"Authorization": f"Bearer {token}"})


async def test_every_worker_refuses_a_session_that_was_ended_from_its_next_request_on(
    workers: tuple[Stack, Stack],
) -> None:
    one, two = workers
    token, another = (one.demo.mint("gp", claims={"sid": sid}) for sid in ("session-1", "session-2"))
    assert (await look(one, token)).status_code == (await look(two, token)).status_code == 200
    answer = await end(one, sid="session-1")
    assert (answer.status_code, answer.content, answer.headers["Cache-Control"]) == (200, b"", "no-store")
    for worker in (two, one):
        refused = await look(worker, token)
        assert refused.status_code == 401
        assert "ended" in told(refused)
        assert refused.headers["WWW-Authenticate"].startswith('Bearer error="invalid_token"')
        assert (await look(worker, another)).status_code == 200
    again = await end(two, sid="session-1")
    assert (again.status_code, again.json()["error"]) == (400, "invalid_request")


async def test_signing_out_everywhere_ends_everything_until_then(workers: tuple[Stack, Stack]) -> None:
    one, two = workers
    token = one.demo.mint("gp")
    assert (await look(two, token)).status_code == 200
    claims = one.demo.mint("gp")
    assert (await end(two, sub=_sub(claims))).status_code == 200
    assert (await look(one, token)).status_code == 401
    later = one.demo.mint("gp", claims={"iat": int(one.demo.clock()) + 20})
    assert (await look(one, later)).status_code == 200


def _sub(token: str) -> str:
    return str(json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))["sub"])


async def test_of_two_workers_one_accepts_a_proof(workers: tuple[Stack, Stack]) -> None:
    one, two = workers
    prover = Prover()
    token = one.demo.mint("gp", claims={"cnf": prover.cnf})
    for _ in range(5):
        headers = {"Authorization": f"DPoP {token}", "DPoP": prover.proof("GET", BASE + PATH, token)}
        answers = await asyncio.gather(*[stack.client.get(PATH, headers=headers) for stack in (one, two, one, two)])
        assert sorted(answer.status_code for answer in answers) == [200, 401, 401, 401]


async def test_a_store_that_cannot_be_read_lets_nobody_in(tmp_path: Path) -> None:
    async with running(tmp_path) as stack:
        await stack.agree(GRACE)
        with sqlite3.connect(tmp_path / "store" / "connect-care.sqlite3", isolation_level=None) as connection:
            connection.execute("DROP TABLE revoked")
        refused = await look(stack, stack.token("gp"))
        assert refused.status_code == 503
        answer = await end(stack, sid="session-1")
        assert (answer.status_code, answer.json()["error"]) == (400, "temporarily_unavailable")


BODIES: dict[str, dict[str, Any]] = {
    "JSON": {"json": {"logout_token": "a.b.c"}},
    "no token": {"data": {"other": "a"}},
    "an empty form": {"data": {}},
    "two tokens": {"data": {"logout_token": ["a.b.c", "a.b.c"]}},
    "not a form": {"content": b"\xff\xfe", "headers": {"Content-Type": "application/x-www-form-urlencoded"}},
    "many fields": {"data": {str(number): "a" for number in range(20)}},
    "enormous": {"data": {"logout_token": "a" * 20_000}},
    "no token of ours": {"data": {"logout_token": "a.b.c"}},
}


async def test_whatever_else_is_sent_is_a_400_as_the_standard_has_it(tmp_path: Path) -> None:
    """Section 2.8: 400, an error in JSON, not to be stored."""
    async with running(tmp_path) as stack:
        for name, body in BODIES.items():
            answer = await stack.client.post(DOOR, **body)
            assert answer.status_code == 400, name
            assert answer.json()["error"] == "invalid_request", name
            assert answer.headers["Cache-Control"] == "no-store", name
        assert (await stack.client.get(DOOR)).status_code == 405
