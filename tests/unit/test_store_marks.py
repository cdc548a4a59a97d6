"""One-time marks and revocations: every worker agrees, at once, on both stores."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest

from gateway.errors import AuditUnavailable
from gateway.store.parts.marks import Mark, Revoked
from gateway.store.sql.store import SqlStore
from gateway.store.tables.marks import KEPT_LONGER
from tests.stores import Place, PostgresPlace

NOW: Final = datetime(2027, 3, 1, 9, 0, tzinfo=UTC)
SOON: Final = NOW + timedelta(minutes=1)
SECRET: Final = "a-proof-that-nobody-may-read-in-the-store"


class Turned:
    """A clock that the test turns."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Turned:
    return Turned()


@pytest.fixture
def store(place: Place, clock: Turned) -> SqlStore:
    return place.open(clock=clock)


async def test_a_mark_is_burnt_once_for_each_kind(store: SqlStore) -> None:
    assert await store.burn("dpop", "a", SOON)
    assert not await store.burn("dpop", "a", SOON)
    assert await store.burn("launch", "a", SOON)
    assert await store.burn("dpop", "b", SOON)


async def test_of_fifty_at_once_one_burns_it(store: SqlStore) -> None:
    burnt = await asyncio.gather(*[store.burn("dpop", "a", SOON) for _ in range(50)])
    assert sum(burnt) == 1


async def test_of_two_workers_one_burns_it_and_both_see_what_was_revoked(
    postgres_place: PostgresPlace, clock: Turned
) -> None:
    one, two = postgres_place.open(clock=clock), postgres_place.open(clock=clock)
    for number in range(20):
        assert sum(await asyncio.gather(one.burn("dpop", f"{number}", SOON), two.burn("dpop", f"{number}", SOON))) == 1
    assert await one.revoke(Mark("logout", "j", SOON), [Revoked("sid", "s", NOW, SOON)])
    assert await two.revoked_until([("sid", "s")]) == NOW
    assert not await two.revoke(Mark("logout", "j", SOON), [Revoked("sid", "t", NOW, SOON)])
    assert await two.revoked_until([("sid", "t")]) is None, "nothing is written with a mark that was burnt"


async def test_marks_outlive_a_restart(place: Place, clock: Turned) -> None:
    store = place.open(clock=clock)
    assert await store.burn("dpop", "a", SOON)
    assert await store.revoke(Mark("logout", "j", SOON), [Revoked("sid", "s", NOW, SOON)])
    place.close()
    again = place.open(clock=clock)
    assert not await again.burn("dpop", "a", SOON)
    assert await again.revoked_until([("sid", "s")]) == NOW


async def test_a_revocation_moves_forward_only(store: SqlStore) -> None:
    async def revoke(jti: str, until: datetime) -> bool:
        return await store.revoke(Mark("logout", jti, SOON), [Revoked("sub", "p", until, until + timedelta(hours=1))])

    assert await revoke("1", NOW)
    assert await revoke("2", NOW - timedelta(hours=1))
    assert await store.revoked_until([("sub", "p")]) == NOW
    assert await revoke("3", NOW + timedelta(hours=1))
    assert await store.revoked_until([("sub", "p")]) == NOW + timedelta(hours=1)


async def test_the_latest_of_several_names_counts(store: SqlStore) -> None:
    revoked = [Revoked("sid", "s", NOW, SOON), Revoked("sub", "p", NOW - timedelta(days=1), SOON)]
    assert await store.revoke(Mark("logout", "j", SOON), revoked)
    assert await store.revoked_until([("sub", "p"), ("sid", "s"), ("sid", "other")]) == NOW
    assert await store.revoked_until([("sid", "p"), ("sub", "s")]) is None
    assert await store.revoked_until([]) is None


async def test_what_has_expired_is_forgotten_with_room_for_clocks_that_differ(
    place: Place, store: SqlStore, clock: Turned
) -> None:
    for number in range(70):
        await store.burn("dpop", str(number), SOON)
    await store.revoke(Mark("logout", "j", SOON), [Revoked("sid", "s", NOW, SOON)])
    clock.now = SOON + KEPT_LONGER
    assert not await store.burn("dpop", "3", SOON), "burnt, and not forgotten yet"
    assert await store.revoked_until([("sid", "s")]) == NOW
    clock.now += timedelta(seconds=1)
    later = clock.now + timedelta(minutes=1)
    assert await store.revoke(Mark("logout", "k", later), [])
    assert place.run("SELECT count(*) FROM once") == [(8,)], "sixty-four at a time"
    assert await store.burn("dpop", "new", later)
    assert place.run("SELECT count(*) FROM once") == [(2,)]
    assert await store.revoked_until([("sid", "s")]) is None


async def test_the_store_holds_digests_alone(place: Place, store: SqlStore) -> None:
    await store.burn("dpop", SECRET, SOON)
    await store.revoke(Mark("logout", f"{SECRET}-2", SOON), [Revoked("sub", f"{SECRET}-3", NOW, SOON)])
    await store.aclose()
    assert SECRET.encode() not in place.everything()


async def test_a_store_that_was_opened_for_reading_burns_nothing(place: Place, clock: Turned) -> None:
    place.open(clock=clock)
    with pytest.raises(AuditUnavailable):
        await place.open(clock=clock, read_only=True).burn("dpop", "a", SOON)
