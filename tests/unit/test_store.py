"""The store: append-only, durable, and the last word on who may see what; the same on both databases."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from gateway.audit.row import Kind
from gateway.choice.model import Basis, Choice, in_force
from gateway.errors import AuditUnavailable, NoPermission, OptedOut
from gateway.store.interface import Kept, Store
from gateway.store.moments import from_micros, to_micros, utc_now
from gateway.store.postgres import PostgresStore
from gateway.store.sql.base import MOST_ROWS
from gateway.store.sql.store import SqlStore
from gateway.store.sqlite import SqliteStore
from gateway.store.tables.journal import canonical
from tests.store_rows import NOON, WHO, A, B, Hands, a_choice, a_permission, a_release, a_row, choose
from tests.stores import Place


@pytest.fixture
def clock() -> Hands:
    return Hands()


@pytest.fixture
def store(place: Place, clock: Hands) -> SqlStore:
    return place.open(clock=clock)


class TestTheJournal:
    async def test_numbers_are_dense_from_one_and_rows_come_back_whole(self, store: SqlStore) -> None:
        rows = [a_row(request_id=f"r-{n}", detail="é" * n) for n in range(200)]
        assert sorted(await asyncio.gather(*map(store.append, rows))) == list(range(1, 201))
        kept = await store.rows(limit=1000)
        assert [one.seq for one in kept] == list(range(1, 201))
        assert sorted((one.row for one in kept), key=lambda row: len(row.detail)) == rows

    async def test_two_hundred_at_once_share_commits(self, store: SqlStore) -> None:
        before = store.commits
        await asyncio.gather(*(store.append(a_row()) for _ in range(200)))
        assert 4 <= store.commits - before <= 50

    async def test_equal_rows_have_equal_bytes_whatever_the_order_of_their_keys(self) -> None:
        one = a_row(seen={"results": 1, "allergies": 2}, seen_ids={"b": ["1"], "a": ["2"]})
        other = a_row(seen_ids={"a": ["2"], "b": ["1"]}, seen={"allergies": 2, "results": 1})
        assert canonical(one) == canonical(other)
        keys = list(msgspec.json.decode(canonical(one)))
        assert keys == sorted(keys)

    async def test_rows_are_found_by_each_condition_and_by_all_together(self, store: SqlStore) -> None:
        other = msgspec.structs.replace(WHO, user_id="u-2", organisation="RJ2")
        await store.append(a_row())
        await store.append(a_row(Kind.REFUSAL, patient=B, request_id="r-2", at=NOON + timedelta(hours=1)))
        await store.append(a_row(Kind.RELEASE, who=other, at=NOON + timedelta(hours=2)))
        await store.append(a_row(Kind.REFUSAL, who=None, patient=None, at=NOON + timedelta(hours=3)))

        async def found(**wanted: Any) -> list[int]:
            return [kept.seq for kept in await store.rows(**wanted)]

        assert await found() == [1, 2, 3, 4]
        assert await found(patient=A) == [1, 3]
        assert await found(user_id="u-2") == [3]
        assert await found(organisation="G85005") == [1, 2]
        assert await found(request_id="r-2") == [2]
        assert await found(kinds=frozenset({Kind.REFUSAL, Kind.RELEASE})) == [2, 3, 4]
        assert await found(kinds=frozenset()) == []
        assert await found(since=NOON + timedelta(hours=1), until=NOON + timedelta(hours=3)) == [2, 3]
        assert await found(after=1, before=4) == [2, 3]
        assert await found(after=1, limit=2) == [2, 3]
        assert await found(limit=-1) == []
        assert await found(patient=A, user_id="u-2", kinds=frozenset({Kind.RELEASE}), after=2) == [3]

    async def test_one_question_is_never_answered_with_everything(self, store: SqlStore) -> None:
        await asyncio.gather(*(store.append(a_row()) for _ in range(MOST_ROWS + 5)))
        assert len(await store.rows(limit=10**9)) == MOST_ROWS

    async def test_a_row_without_a_time_zone_is_not_written(self, store: SqlStore) -> None:
        with pytest.raises(ValueError, match="time zone"):
            await store.append(a_row(at=datetime(2026, 3, 2)))  # noqa: DTZ001
        assert await store.rows() == []

    async def test_rows_choices_and_permissions_survive_a_restart(self, place: Place, store: SqlStore) -> None:
        await choose(store, Choice.OPTED_OUT)
        await choose(store, Choice.OPTED_IN, 2)
        await store.grant(a_permission(), a_row(Kind.PERMISSION_GRANTED))
        await store.aclose()
        again = place.open()
        assert await again.choices(A) == [a_choice(Choice.OPTED_OUT), a_choice(Choice.OPTED_IN, 2)]
        assert await again.permission("p-1") == a_permission()
        assert await again.append(a_row()) == 4


class TestRelease:
    async def test_with_permission_and_no_opt_out_it_is_a_row(self, store: SqlStore) -> None:
        await store.grant(a_permission(), a_row(Kind.PERMISSION_GRANTED))
        assert await store.release(a_release()) == 2
        assert (await store.rows(after=1)) == [Kept(2, a_release())]

    async def test_after_an_opt_out_it_is_a_refusal_row_that_counts_nothing_as_seen(self, store: SqlStore) -> None:
        await store.grant(a_permission(), a_row(Kind.PERMISSION_GRANTED))
        await choose(store, Choice.OPTED_OUT)
        row = a_release(seen_ids={"p": ["d"]}, total=3, withheld={"r": 1}, outlined={"q": 1}, intent=1)
        with pytest.raises(OptedOut) as refused:
            await store.release(row)
        [kept] = await store.rows(after=2)
        assert refused.value.journalled == kept.seq == 3
        assert (kept.row.kind, kept.row.rule, kept.row.status) == (Kind.REFUSAL, "choice.opted-out", 403)
        assert (kept.row.seen, kept.row.seen_ids, kept.row.withheld, kept.row.outlined) == ({}, {}, {}, {})
        assert kept.row.total is None, "nothing was told"
        assert (kept.row.permission, kept.row.intent) == ("p-1", 1)
        assert "no organisation was asked" not in refused.value.told, "they were asked"

    async def test_after_opting_back_in_the_patient_is_asked_anew(self, store: SqlStore) -> None:
        await store.grant(a_permission(), a_row(Kind.PERMISSION_GRANTED))
        await choose(store, Choice.OPTED_OUT)
        await choose(store, Choice.OPTED_IN, 2)
        with pytest.raises(NoPermission):
            await store.release(a_release())
        await store.grant(a_permission(id="p-2"), a_row(Kind.PERMISSION_GRANTED))
        assert await store.release(a_release(permission="p-2")) == 6

    async def test_another_patients_opt_out_changes_nothing(self, store: SqlStore) -> None:
        await store.grant(a_permission(), a_row(Kind.PERMISSION_GRANTED))
        await choose(store, Choice.OPTED_OUT, patient=B)
        assert await store.release(a_release()) == 3

    @pytest.mark.parametrize(
        "changes",
        [
            {"permission": None},
            {"permission": "p-unknown"},
            {"patient": None},
            {"patient": B},
            {"who": None},
            {"who": msgspec.structs.replace(WHO, user_id="another person")},
            {"who": msgspec.structs.replace(WHO, role_profile_id="another role of theirs")},
            {"who": msgspec.structs.replace(WHO, organisation="RJ2")},
            {"who": msgspec.structs.replace(WHO, issuer="https://elsewhere.example")},
            {"scope": "including-sensitive"},
            {"scope": None},
            {"basis": "best-interests"},
            {"at": NOON - timedelta(microseconds=1)},
            {"at": NOON + timedelta(hours=8)},
        ],
    )
    async def test_a_permission_for_something_else_is_none(self, store: SqlStore, changes: dict[str, Any]) -> None:
        await store.grant(a_permission(), a_row(Kind.PERMISSION_GRANTED))
        with pytest.raises(NoPermission) as refused:
            await store.release(a_release(**changes))
        [kept] = await store.rows(after=1)
        assert (kept.row.kind, kept.row.rule) == (Kind.REFUSAL, "permission.ended")
        assert refused.value.journalled == 2
        assert "POST /permissions" in refused.value.told

    @pytest.mark.parametrize(("late", "released"), [(-1, True), (0, False), (1, False)])
    async def test_the_stores_own_clock_ends_it_to_the_microsecond(
        self, store: SqlStore, clock: Hands, late: int, released: bool
    ) -> None:
        await store.grant(a_permission(), a_row(Kind.PERMISSION_GRANTED))
        clock.now = NOON + timedelta(hours=8, microseconds=late)
        if released:
            assert await store.release(a_release()) == 2
        else:
            with pytest.raises(NoPermission):
                await store.release(a_release())

    async def test_a_withdrawn_permission_ends_at_once(self, store: SqlStore) -> None:
        await store.grant(a_permission(), a_row(Kind.PERMISSION_GRANTED))
        assert await store.withdraw("p-1", NOON, a_row(Kind.PERMISSION_WITHDRAWN)) is True
        with pytest.raises(NoPermission):
            await store.release(a_release())

    async def test_only_a_release_row_can_be_released(self, store: SqlStore) -> None:
        with pytest.raises(ValueError, match="only a release row"):
            await store.release(a_row())

    async def test_hundreds_of_interleavings_never_release_after_an_acknowledged_opt_out(self, store: SqlStore) -> None:
        """Per patient: releases all the time, an opt-out somewhere among them. Order is judged by those who waited:
        a release that was asked for after the opt-out was acknowledged must fail, and in the journal no release stands
        behind the choice, whoever was faster."""
        dice = random.Random(20260302)
        patients = [f"{n:064x}" for n in range(300 if isinstance(store, SqliteStore) else 100)]
        for patient in patients:
            await store.grant(a_permission(id=f"p-{patient}", patient=patient), a_row(Kind.PERMISSION_GRANTED))
        too_late: list[str] = []

        async def look(patient: str, opted_out: asyncio.Event, begun: list[None], turn: asyncio.Event, at: int) -> None:
            for _ in range(4):
                await asyncio.sleep(dice.random() / 200)
                begun.append(None)
                if len(begun) == at:
                    turn.set()
                was_out = opted_out.is_set()
                try:
                    await store.release(a_release(permission=f"p-{patient}", patient=patient))
                except OptedOut:
                    continue
                if was_out:
                    too_late.append(patient)

        async def story(patient: str) -> None:
            opted_out, turn, begun = asyncio.Event(), asyncio.Event(), list[None]()
            at = dice.randint(1, 8)
            looks = [asyncio.ensure_future(look(patient, opted_out, begun, turn, at)) for _ in range(2)]
            await turn.wait()
            await choose(store, Choice.OPTED_OUT, patient=patient)
            opted_out.set()
            await asyncio.gather(*looks)

        await asyncio.gather(*map(story, patients))
        assert too_late == []
        released = refused = 0
        for patient in patients:
            rows = await store.rows(patient=patient, limit=1000)
            [out] = [kept.seq for kept in rows if kept.row.kind is Kind.SHARING_CHOICE]
            releases = [kept.seq for kept in rows if kept.row.kind is Kind.RELEASE]
            assert all(seq < out for seq in releases)
            assert len(rows) == 9, "each look is one row, either way"
            released, refused = released + len(releases), refused + 8 - len(releases)
        assert released > len(patients)
        assert refused > len(patients)


class TestPermissions:
    async def test_granting_to_a_patient_who_opted_out_is_a_refusal_row(self, store: SqlStore) -> None:
        await choose(store, Choice.OPTED_OUT)
        with pytest.raises(OptedOut) as refused:
            await store.grant(a_permission(), a_row(Kind.PERMISSION_GRANTED, permission="p-1"))
        assert await store.permission("p-1") is None
        [kept] = await store.rows(after=1)
        assert (kept.row.kind, kept.row.rule, kept.row.permission) == (Kind.REFUSAL, "choice.opted-out", None)
        assert refused.value.journalled == 2

    async def test_the_newest_unexpired_is_the_one_that_counts(self, store: SqlStore) -> None:
        hour = timedelta(hours=1)
        row = a_row(Kind.PERMISSION_GRANTED)
        long = a_permission(id="long")
        short = a_permission(id="short", basis=Basis.BEST_INTERESTS, reason="found collapsed", expires_at=NOON + hour)
        later = a_permission(id="later", granted_at=NOON + 3 * hour)
        for permission in (long, short, a_permission(id="b", patient=B), a_permission(id="x", caller="x")):
            await store.grant(permission, row)
        key = WHO.key
        assert await store.permission_for(key, A, NOON - timedelta(microseconds=1)) is None
        assert await store.permission_for(key, A, NOON) == short
        assert await store.permission_for(key, A, NOON + hour) == long
        await store.grant(later, row)
        assert await store.permission_for(key, A, NOON + 3 * hour) == later
        assert await store.permission_for(key, A, NOON + 8 * hour) is None
        assert [one.id for one in await store.permissions_of(key)] == ["later", "b", "short", "long"]
        assert [one.id for one in await store.permissions_about(A)] == ["later", "x", "short", "long"]

    async def test_no_older_one_stands_in_for_the_one_that_was_withdrawn(self, store: SqlStore) -> None:
        row = a_row(Kind.PERMISSION_GRANTED)
        await store.grant(a_permission(id="older"), row)
        await store.grant(a_permission(id="newer"), row)
        await store.withdraw("newer", NOON, a_row(Kind.PERMISSION_WITHDRAWN))
        assert await store.permission_for(WHO.key, A, NOON + timedelta(minutes=1)) is None

    async def test_nor_when_that_one_would_have_run_out(self, store: SqlStore) -> None:
        """A long yes, then a look without the patient's word, which the patient ends: that no outlasts the hour."""
        hour = timedelta(hours=1)
        row = a_row(Kind.PERMISSION_GRANTED)
        short = a_permission(id="short", basis=Basis.BEST_INTERESTS, reason="found collapsed", expires_at=NOON + hour)
        for permission in (a_permission(id="long"), short):
            await store.grant(permission, row)
        assert [one.id for one in in_force(await store.permissions_about(A), NOON)] == ["short"]
        assert [one.id for one in in_force(await store.permissions_about(A), NOON + hour)] == ["long"]
        await store.withdraw("short", NOON, a_row(Kind.PERMISSION_WITHDRAWN))
        for moment in (NOON, NOON + 2 * hour):
            assert await store.permission_for(WHO.key, A, moment) is None
            assert in_force(await store.permissions_about(A), moment) == []
        await store.grant(a_permission(id="asked again", granted_at=NOON + 2 * hour), row)
        newest = await store.permission_for(WHO.key, A, NOON + 2 * hour)
        assert newest is not None
        assert newest.id == "asked again"

    async def test_withdrawing_writes_its_row_once(self, store: SqlStore) -> None:
        await store.grant(a_permission(), a_row(Kind.PERMISSION_GRANTED))
        row = a_row(Kind.PERMISSION_WITHDRAWN)
        moment = NOON + timedelta(minutes=1)
        assert [await store.withdraw("p-1", moment, row) for _ in range(2)] == [True, False]
        assert await store.permission("p-1") == a_permission(withdrawn_at=moment)
        assert await store.permission_for(WHO.key, A, NOON) is None
        assert len(await store.rows()) == 2

    async def test_an_expired_or_unknown_one_cannot_be_withdrawn(self, store: SqlStore) -> None:
        await store.grant(a_permission(), a_row(Kind.PERMISSION_GRANTED))
        row = a_row(Kind.PERMISSION_WITHDRAWN)
        assert await store.withdraw("p-1", NOON + timedelta(hours=8), row) is False
        assert await store.withdraw("p-2", NOON, row) is False
        assert len(await store.rows()) == 1

    async def test_a_permission_that_was_ended_elsewhere_is_kept_as_ended(self, store: SqlStore) -> None:
        ended = a_permission(withdrawn_at=NOON)
        await store.grant(ended, a_row(Kind.PERMISSION_GRANTED))
        assert await store.permission("p-1") == ended

    async def test_the_same_id_twice_writes_neither_permission_nor_row(self, store: SqlStore) -> None:
        await store.grant(a_permission(), a_row(Kind.PERMISSION_GRANTED))
        with pytest.raises(AuditUnavailable):
            await store.grant(a_permission(), a_row(Kind.PERMISSION_GRANTED))
        assert len(await store.rows()) == 1


class TestFailure:
    async def test_readiness_is_probed_at_most_once_a_second(self, store: SqlStore) -> None:
        before = store.commits
        assert [await store.ready() for _ in range(50)] == [True] * 50
        assert store.commits == before + 1

    async def test_a_closed_store_neither_writes_nor_reads_nor_is_ready(self, store: SqlStore) -> None:
        waiting = [asyncio.ensure_future(store.append(a_row())) for _ in range(100)]
        await asyncio.sleep(0)
        await store.aclose()
        assert sorted(await asyncio.gather(*waiting)) == list(range(1, 101)), "what was queued is committed"
        with pytest.raises(AuditUnavailable):
            await store.append(a_row())
        with pytest.raises(AuditUnavailable):
            await store.current_choice(A)
        assert await store.ready() is False

    async def test_a_choice_that_is_not_understood_lets_nothing_through(self, store: SqlStore, place: Place) -> None:
        await store.grant(a_permission(), a_row(Kind.PERMISSION_GRANTED))
        place.run(
            "INSERT INTO sharing_choice (number, id, patient, sealed_patient, choice, stated_by, channel, recorded_by, "
            f"recorded_by_name, organisation, recorded_at, reason, proxy) VALUES (1, 'c', '{A}', 's', 'maybe', "
            "'patient', 'phone', 'u', '', '', 0, '', '')"
        )
        with pytest.raises(ValueError, match="maybe"):
            await store.release(a_release())
        assert [kept.row.kind for kept in await store.rows()] == [Kind.PERMISSION_GRANTED]


@pytest.mark.parametrize("kind", [SqliteStore, PostgresStore])
def test_it_is_a_store(kind: type[SqlStore]) -> None:
    store: type[Store] = SqliteStore
    store = PostgresStore
    assert issubclass(store, SqlStore)
    assert {name for name in dir(Store) if not name.startswith("_")} <= set(dir(kind))


def test_moments_keep_their_microseconds() -> None:
    moment = datetime(2026, 3, 2, 12, 0, 0, 123457, tzinfo=UTC)
    assert from_micros(to_micros(moment)) == moment
    assert abs(utc_now() - datetime.now(UTC)) < timedelta(seconds=5)
