"""A whole gateway on PostgreSQL: the same answers, the same rows, and the same silence where the journal is gone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.flow.stack import GRACE, Stack, running, told
from tests.stores import PostgresPlace


@pytest.fixture
async def two(tmp_path: Path, postgres_place: PostgresPlace) -> AsyncIterator[tuple[Stack, Stack]]:
    """Two gateways with one key and one database."""
    async with (
        running(tmp_path, database=postgres_place.url) as one,
        running(tmp_path, database=postgres_place.url) as other,
    ):
        yield one, other


async def test_an_opt_out_at_one_gateway_ends_what_was_agreed_at_the_other(
    two: tuple[Stack, Stack], postgres_place: PostgresPlace
) -> None:
    one, other = two
    await one.agree(GRACE)
    shown = await other.everything(GRACE)
    assert shown.status_code == 200
    assert "CANARY" in shown.text
    await one.choose(GRACE, "opted-out")
    refused = await other.everything(GRACE)
    assert refused.status_code == 403
    assert "opted out" in told(refused)
    await other.choose(GRACE, "opted-in")
    assert (await one.everything(GRACE)).status_code == 403, "and the patient is asked anew"
    await other.agree(GRACE)
    assert (await one.everything(GRACE)).status_code == 200
    kinds = [row["kind"] for row in await one.rows(GRACE)]
    assert [kind for kind in kinds if kind in {"release", "sharing-choice"}] == [
        "release",
        "sharing-choice",
        "sharing-choice",
        "release",
    ]
    content = postgres_place.everything()
    assert GRACE.encode() not in content
    assert b"CANARY" not in content


async def test_without_its_journal_nothing_is_shown(two: tuple[Stack, Stack], postgres_place: PostgresPlace) -> None:
    one, _ = two
    await one.agree(GRACE)
    postgres_place.run("DROP TABLE journal CASCADE")
    answer = await one.everything(GRACE)
    assert answer.status_code == 503
    assert "audit journal" in told(answer)
    assert "CANARY" not in answer.text
    assert answer.headers["Retry-After"]
