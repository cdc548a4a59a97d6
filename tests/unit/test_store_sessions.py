"""The viewer's sessions in both stores: known to every worker, forgotten in time, never longer than they were made."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gateway.errors import AuditUnavailable
from gateway.store.parts.sessions import KeptSession
from gateway.store.sql.store import SqlStore
from tests.store_rows import NOON
from tests.stores import Place

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


@pytest.fixture
def store(place: Place) -> SqlStore:
    return place.open()


def kept(session_id: str, idle: timedelta = 15 * MINUTE, ends: timedelta = HOUR) -> KeptSession:
    return KeptSession(id=session_id, sealed=f"sealed {session_id}", idle_until=NOON + idle, ends_at=NOON + ends)


async def test_it_is_kept_as_it_is_and_forgotten_when_it_ends(store: SqlStore) -> None:
    await store.keep_session(kept("a"), NOON)
    assert await store.session("a") == kept("a")
    assert await store.session("b") is None
    assert await store.end_session("a") is True
    assert await store.end_session("a") is False
    assert await store.session("a") is None


async def test_a_new_one_takes_the_old_one_s_place_and_clears_those_that_ended(store: SqlStore) -> None:
    for session in (kept("old"), kept("idle", MINUTE), kept("other")):
        await store.keep_session(session, NOON)
    await store.keep_session(kept("new"), NOON + MINUTE, instead_of="old")
    left = [name for name in ("old", "idle", "other", "new") if await store.session(name)]
    assert left == ["other", "new"]


async def test_being_there_moves_the_idle_end_on_and_never_back_or_past_the_end(store: SqlStore) -> None:
    await store.keep_session(kept("a"), NOON)
    for until, is_then in ((20 * MINUTE, 20 * MINUTE), (10 * MINUTE, 20 * MINUTE), (2 * HOUR, HOUR)):
        await store.touch_session("a", NOON + until)
        session = await store.session("a")
        assert session is not None
        assert session.idle_until == NOON + is_then
        assert session.ends_at == NOON + HOUR
    await store.touch_session("nobody", NOON)


async def test_the_same_name_is_never_kept_twice(store: SqlStore) -> None:
    await store.keep_session(kept("a"), NOON)
    with pytest.raises(AuditUnavailable):
        await store.keep_session(kept("a"), NOON)
