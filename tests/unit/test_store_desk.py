"""What the store keeps beside the journal: cases and their history, colleagues, policies, followers, bound records."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import msgspec
import pytest

from gateway.audit.bound import bound_to, digest_of
from gateway.audit.row import Kind, Lawful, Row
from gateway.choice.model import Basis, Choice, Scope
from gateway.desk.model import CaseKind, CaseStatus
from gateway.errors import NoPermission, OptedOut
from gateway.store.sql.store import SqlStore
from tests.store_rows import (
    NOON,
    WHO,
    A,
    B,
    Hands,
    a_case,
    a_choice,
    a_permission,
    a_release,
    a_row,
    an_entry,
    choose,
    with_cases,
)
from tests.stores import Place

OPENED = a_row(Kind.CASE_OPENED)
MOVED = a_row(Kind.CASE_MOVED, cases=["case-1"])
GRANTED = a_row(Kind.PERMISSION_GRANTED, permission="p-1")


@pytest.fixture
def clock() -> Hands:
    return Hands()


@pytest.fixture
def store(place: Place, clock: Hands) -> SqlStore:
    return place.open(clock=clock)


async def last(store: SqlStore) -> Row:
    return (await store.rows())[-1].row


class TestCases:
    async def test_a_case_is_opened_with_its_row_and_comes_back_whole(self, store: SqlStore) -> None:
        case = a_case()
        assert await store.open_case(case, with_cases(OPENED, case)) is True
        found = await store.case("case-1")
        assert found is not None
        assert (found.case, found.entries, found.status) == (case, (), CaseStatus.OPEN)
        assert (await last(store)).bound == bound_to(case)
        assert await store.case("case-2") is None

    async def test_one_that_is_open_stands_for_another_until_it_is_judged(self, store: SqlStore) -> None:
        assert await store.open_case(a_case(1), OPENED) is True
        assert await store.open_case(a_case(2), OPENED) is False
        assert await store.move_case(an_entry(1, CaseStatus.QUESTIONED), MOVED) is True
        assert await store.open_case(a_case(2), OPENED) is False, "a question is no judgement"
        assert await store.move_case(an_entry(2, CaseStatus.JUSTIFIED), MOVED) is True
        assert await store.open_case(a_case(2), OPENED) is True
        assert len(await store.rows()) == 4

    @pytest.mark.parametrize(
        "other", [{"kind": CaseKind.OWN_RECORD}, {"caller": "another"}, {"patient": B}, {"patient": None}]
    )
    async def test_another_kind_caller_or_patient_is_another_case(
        self, store: SqlStore, other: dict[str, object]
    ) -> None:
        assert await store.open_case(a_case(1), OPENED) is True
        assert await store.open_case(a_case(2, **other), OPENED) is True
        assert await store.open_case(a_case(3, **other), OPENED) is False

    async def test_its_history_is_dense_and_only_one_is_first(self, store: SqlStore) -> None:
        await store.open_case(a_case(), OPENED)
        entries = [an_entry(1, by=f"officer-{n}") for n in range(5)]
        done = await asyncio.gather(*(store.move_case(entry, MOVED) for entry in entries))
        assert sorted(done) == [False] * 4 + [True]
        assert await store.move_case(an_entry(3), MOVED) is False
        assert await store.move_case(an_entry(2, CaseStatus.NOT_JUSTIFIED), MOVED) is True
        assert await store.move_case(an_entry(1, case="case-9"), MOVED) is False, "there is no such case"
        found = await store.case("case-1")
        assert found is not None
        assert found.entries == (entries[done.index(True)], an_entry(2, CaseStatus.NOT_JUSTIFIED))
        assert len(await store.rows()) == 3
        assert (await last(store)).bound == {"case-1:2": digest_of(an_entry(2, CaseStatus.NOT_JUSTIFIED))}

    async def test_they_are_found_by_each_condition_and_by_all_together(self, store: SqlStore) -> None:
        await store.open_case(a_case(1), OPENED)
        await store.open_case(a_case(2, kind=CaseKind.OWN_RECORD, organisation="RJ2"), OPENED)
        await store.open_case(a_case(3, patient=B), OPENED)
        await store.open_case(a_case(4, kind=CaseKind.UNUSUAL_VOLUME, patient=None, sealed_patient=None), OPENED)
        await store.move_case(an_entry(1, CaseStatus.QUESTIONED, case="case-2"), MOVED)
        await store.move_case(an_entry(1, CaseStatus.JUSTIFIED, case="case-3"), MOVED)

        async def found(**wanted: object) -> list[int]:
            return [int(file.case.id[-1]) for _, file in await store.cases(**wanted)]  # type: ignore[arg-type]

        assert await found() == [1, 2, 3, 4]
        assert await found(status=frozenset({CaseStatus.OPEN})) == [1, 4]
        assert await found(status=frozenset({CaseStatus.QUESTIONED, CaseStatus.JUSTIFIED})) == [2, 3]
        assert await found(kinds=frozenset({CaseKind.OWN_RECORD, CaseKind.UNUSUAL_VOLUME})) == [2, 4]
        assert await found(kinds=frozenset()) == await found(status=frozenset()) == []
        assert await found(patient=A) == [1, 2]
        assert await found(organisation="RJ2") == [2]
        assert await found(patient=A, organisation="G85005", status=frozenset({CaseStatus.OPEN})) == [1]
        [(number, file)] = await store.cases(after=1, limit=1)
        assert file.case.id == "case-2"
        assert [one for one, _ in await store.cases(after=number)] == [number + 1, number + 2]
        assert await store.cases(limit=-1) == []


class TestCasesOfALook:
    async def test_they_are_opened_with_the_release(self, store: SqlStore) -> None:
        case = a_case(kind=CaseKind.SAME_SURNAME)
        await store.grant(a_permission(), GRANTED)
        await store.release(with_cases(a_release(), case), [case])
        assert await store.case("case-1") is not None
        assert ((await last(store)).cases, (await last(store)).bound) == (["case-1"], bound_to(case))

    async def test_where_one_is_open_the_row_names_no_new_one(self, store: SqlStore) -> None:
        await store.grant(a_permission(), GRANTED)
        surname, colleague = a_case(1, kind=CaseKind.SAME_SURNAME), a_case(2, kind=CaseKind.COLLEAGUE)
        await store.release(with_cases(a_release(), surname), [surname])
        again = a_case(3, kind=CaseKind.SAME_SURNAME)
        await store.release(with_cases(a_release(), again, colleague), [again, colleague])
        row = await last(store)
        assert (row.kind, row.cases, row.bound) == (Kind.RELEASE, ["case-2"], bound_to(colleague))
        assert await store.case("case-3") is None

    async def test_two_of_one_kind_in_one_look_are_one(self, store: SqlStore) -> None:
        await store.grant(a_permission(), GRANTED)
        cases = [a_case(1), a_case(2)]
        await store.release(with_cases(a_release(), *cases), cases)
        assert (await last(store)).cases == ["case-1"]

    async def test_a_look_that_is_refused_opens_none(self, store: SqlStore) -> None:
        case = a_case()
        await store.grant(a_permission(), GRANTED)
        await choose(store, Choice.OPTED_OUT)
        row = with_cases(a_release(sent={"p": ["d"]}), case)
        with pytest.raises(OptedOut):
            await store.release(row, [case])
        refused = await last(store)
        assert (refused.kind, refused.cases, refused.bound, refused.sent) == (Kind.REFUSAL, [], {}, {})
        assert await store.cases() == []

    async def test_best_interests_open_one_with_the_permission(self, store: SqlStore) -> None:
        permission, case = a_permission(basis=Basis.BEST_INTERESTS), a_case()
        await store.grant(permission, with_cases(GRANTED, case), case)
        assert (await last(store)).bound == bound_to(permission, case)
        later, again = a_permission(id="p-2", basis=Basis.BEST_INTERESTS), a_case(2)
        await store.grant(later, with_cases(GRANTED, again), again)
        assert ((await last(store)).cases, (await last(store)).bound) == ([], bound_to(later))

    async def test_a_permission_that_is_refused_opens_none(self, store: SqlStore) -> None:
        await choose(store, Choice.OPTED_OUT)
        with pytest.raises(OptedOut):
            await store.grant(a_permission(), with_cases(GRANTED, a_case()), a_case())
        assert ((await last(store)).cases, (await last(store)).bound) == ([], {})
        assert await store.cases() == []


class TestBoundRecords:
    async def test_a_choice_ends_what_was_permitted_and_binds_it_all(self, store: SqlStore) -> None:
        for number in (1, 2):
            await store.grant(a_permission(id=f"p-{number}"), GRANTED)
        await store.grant(a_permission(id="p-3", patient=B), GRANTED)
        await store.withdraw("p-2", NOON, a_row(Kind.PERMISSION_WITHDRAWN))
        await choose(store, Choice.OPTED_OUT)
        ended = await store.permission("p-1")
        assert ended == a_permission(withdrawn_at=NOON)
        assert (await last(store)).bound == bound_to(a_choice(Choice.OPTED_OUT), ended)
        assert await store.permission("p-3") == a_permission(id="p-3", patient=B)

    async def test_opting_in_ends_nothing(self, store: SqlStore) -> None:
        await store.grant(a_permission(), GRANTED)
        await choose(store, Choice.OPTED_IN)
        assert await store.permission("p-1") == a_permission()
        assert (await last(store)).bound == bound_to(a_choice(Choice.OPTED_IN))

    async def test_all_that_is_said_of_a_choice_comes_back(self, store: SqlStore) -> None:
        choice = msgspec.structs.replace(a_choice(Choice.OPTED_OUT), reason="sealed", proxy="sealed too")
        await store.record_choice(choice, a_row(Kind.SHARING_CHOICE))
        assert await store.current_choice(A) == choice

    async def test_a_withdrawal_binds_the_permission_as_it_stands_after(self, store: SqlStore) -> None:
        await store.grant(a_permission(), GRANTED)
        assert (await last(store)).bound == bound_to(a_permission())
        await store.withdraw("p-1", NOON + timedelta(hours=1), a_row(Kind.PERMISSION_WITHDRAWN))
        assert (await last(store)).bound == bound_to(a_permission(withdrawn_at=NOON + timedelta(hours=1)))

    async def test_the_patients_word_ends_every_permission_and_is_a_row_each_time(self, store: SqlStore) -> None:
        for one in (a_permission(id="p-1"), a_permission(id="p-2", caller="x"), a_permission(id="p-3", patient=B)):
            await store.grant(one, GRANTED)
        moment, row = NOON + timedelta(hours=1), a_row(Kind.PERMISSION_WITHDRAWN)
        assert await store.withdraw_all(A, moment, row) == ["p-1", "p-2"]
        ended = [await store.permission(one) for one in ("p-1", "p-2")]
        assert (await last(store)).bound == bound_to(*(one for one in ended if one))
        assert await store.withdraw_all(A, moment, row) == []
        assert (await last(store)).bound == {}
        assert len(await store.rows()) == 5
        assert await store.permission("p-3") == a_permission(id="p-3", patient=B)

    def test_a_digest_is_the_same_in_every_time_zone_and_another_for_every_change(self) -> None:
        one = a_permission()
        assert digest_of(one) == digest_of(
            msgspec.structs.replace(one, granted_at=NOON.astimezone(None), expires_at=one.expires_at.astimezone(None))
        )
        assert digest_of(one) != digest_of(msgspec.structs.replace(one, reason_code="x"))
        assert len(digest_of(one)) == 64


class TestExtending:
    """A permission that prolongs another, which must still hold and be what was asked last."""

    LATER = NOON + timedelta(hours=7)

    @pytest.fixture
    async def extended(self, store: SqlStore, clock: Hands) -> SqlStore:
        await store.grant(a_permission(), GRANTED)
        clock.now = self.LATER
        return store

    def extension(self, **changes: object) -> object:
        longer = {"id": "p-2", "granted_at": self.LATER, "expires_at": self.LATER + timedelta(hours=8)}
        return a_permission(**{**longer, "extends": "p-1", "reason_code": "r", **changes})

    async def test_it_takes_the_place_of_the_one_that_still_holds(self, extended: SqlStore) -> None:
        longer = self.extension()
        await extended.grant(longer, GRANTED)  # type: ignore[arg-type]
        assert await extended.permission("p-2") == longer
        assert await extended.permission_for(WHO.key, A, self.LATER + timedelta(hours=2)) == longer

    @pytest.mark.parametrize(
        "changes",
        [
            {"extends": "p-unknown"},
            {"patient": B},
            {"caller": "another"},
            {"organisation": "RJ2"},
            {"basis": Basis.BEST_INTERESTS},
            {"scope": Scope.INCLUDING_SENSITIVE},
            {"granted_at": NOON - timedelta(microseconds=1)},
            {"granted_at": NOON + timedelta(hours=8)},
        ],
    )
    async def test_it_changes_nothing_but_when(self, extended: SqlStore, changes: dict[str, object]) -> None:
        with pytest.raises(NoPermission) as refused:
            await extended.grant(self.extension(**changes), GRANTED)  # type: ignore[arg-type]
        assert refused.value.journalled == 2
        assert ((await last(extended)).kind, (await last(extended)).permission) == (Kind.REFUSAL, None)
        assert await extended.permission("p-2") is None

    async def test_one_that_ended_is_not_prolonged(self, extended: SqlStore, clock: Hands) -> None:
        await extended.withdraw("p-1", self.LATER, a_row(Kind.PERMISSION_WITHDRAWN))
        with pytest.raises(NoPermission, match="has ended"):
            await extended.grant(self.extension(), GRANTED)  # type: ignore[arg-type]

    async def test_nor_one_that_expires_before_it_is_written(self, extended: SqlStore, clock: Hands) -> None:
        clock.now = NOON + timedelta(hours=8)
        with pytest.raises(NoPermission, match="has ended"):
            await extended.grant(self.extension(), GRANTED)  # type: ignore[arg-type]

    async def test_nor_one_that_a_newer_one_replaced(self, extended: SqlStore) -> None:
        await extended.grant(a_permission(id="p-newer"), GRANTED)
        with pytest.raises(NoPermission, match="newer permission"):
            await extended.grant(self.extension(), GRANTED)  # type: ignore[arg-type]

    async def test_nor_after_an_opt_out(self, extended: SqlStore) -> None:
        await choose(extended, Choice.OPTED_OUT)
        with pytest.raises(OptedOut):
            await extended.grant(self.extension(), GRANTED)  # type: ignore[arg-type]


def disclosure(basis: str, **changes: object) -> Row:
    lawful = Lawful(basis=basis, reference="r", recipient="the court", policy="whole")
    return a_row(Kind.DISCLOSURE, **{"lawful": lawful, "seen": {"results": 1}, **changes})


class TestDisclosing:
    """What the law requires goes out without a permission; an opt-out bars what only somebody's judgement asks for."""

    @pytest.mark.parametrize("basis", ["statute", "court-order", "public-interest"])
    async def test_it_needs_no_permission(self, store: SqlStore, basis: str) -> None:
        assert await store.release(disclosure(basis)) == 1
        assert await last(store) == disclosure(basis)

    @pytest.mark.parametrize("basis", ["statute", "court-order"])
    async def test_what_the_law_requires_goes_out_despite_an_opt_out_and_the_row_says_so(
        self, store: SqlStore, basis: str
    ) -> None:
        await choose(store, Choice.OPTED_OUT)
        assert await store.release(disclosure(basis)) == 2
        lawful = (await last(store)).lawful
        assert lawful is not None
        assert lawful.opted_out is True

    async def test_the_public_interest_does_not(self, store: SqlStore) -> None:
        await choose(store, Choice.OPTED_OUT)
        with pytest.raises(OptedOut, match="public interest"):
            await store.release(disclosure("public-interest"))
        assert ((await last(store)).kind, (await last(store)).seen) == (Kind.REFUSAL, {})
        await choose(store, Choice.OPTED_IN, 2)
        await store.release(disclosure("public-interest"))

    @pytest.mark.parametrize("out", [False, True])
    @pytest.mark.parametrize(
        "row", [disclosure("curiosity"), disclosure("statute", lawful=None), disclosure("statute", patient=None)]
    )
    async def test_nothing_else_is_a_disclosure(self, store: SqlStore, row: Row, out: bool) -> None:
        if out:
            await choose(store, Choice.OPTED_OUT)
        with pytest.raises((NoPermission, OptedOut)):
            await store.release(row)
        assert (await last(store)).kind is Kind.REFUSAL

    async def test_a_lawful_basis_on_another_row_opens_nothing(self, store: SqlStore) -> None:
        lawful = disclosure("statute").lawful
        with pytest.raises(NoPermission):
            await store.release(a_release(lawful=lawful, permission=None))
        await choose(store, Choice.OPTED_OUT)
        for kind in (Kind.RELEASE, Kind.PERSON_ANSWERED):
            with pytest.raises(OptedOut):
                await store.release(a_row(kind, lawful=lawful))


class TestCounting:
    async def test_how_many_patients_a_caller_saw(self, store: SqlStore) -> None:
        other = msgspec.structs.replace(WHO, role_profile_id="another role of theirs")
        for hours, patient, who in ((0, A, WHO), (1, A, WHO), (2, B, WHO), (3, "c" * 64, other)):
            changes = {"patient": patient, "who": who, "at": NOON + timedelta(hours=hours)}
            await store.append(a_release(**changes))
            await store.append(a_row(Kind.INTENT, **changes | {"patient": "d" * 64}))
        assert await store.patients_seen(WHO.key, NOON) == 2
        assert await store.patients_seen(WHO.key, NOON + timedelta(hours=2)) == 1
        assert await store.patients_seen(WHO.key, NOON + timedelta(hours=3)) == 0
        assert await store.patients_seen(other.key, NOON) == 1
        assert await store.patients_seen("nobody", NOON) == 0


class TestTheRest:
    async def test_colleagues_are_known_by_organisation_and_others_than_oneself(self, store: SqlStore) -> None:
        for _ in range(2):
            await store.note_staff("RJ2", "u-1", A)
        assert await store.works_at("RJ2", A, other_than="u-2") is True
        assert await store.works_at("RJ2", A, other_than="u-1") is False
        assert await store.works_at("G85005", A, other_than="u-2") is False
        assert await store.works_at("RJ2", B, other_than="u-2") is False

    async def test_a_policy_is_kept_once_as_it_was(self, store: SqlStore) -> None:
        for content in (b"policies \x00\xff", b"others"):
            await store.keep_policy("hash", content)
        assert await store.policy("hash") == b"policies \x00\xff"
        assert await store.policy("unknown") is None

    async def test_a_follower_never_goes_back(self, store: SqlStore) -> None:
        assert await store.position("outbox") == 0
        for seq, stands in ((5, 5), (3, 5), (9, 9)):
            await store.move_position("outbox", seq)
            assert await store.position("outbox") == stands
        assert await store.position("another") == 0

    async def test_one_follows_under_a_name_at_a_time(self, store: SqlStore) -> None:
        async with store.follow("outbox") as first, store.follow("outbox") as second, store.follow("sink") as other:
            assert (first, second, other) == (True, False, True)
            async with store.follow("outbox") as third:
                assert third is False
        async with store.follow("outbox") as again:
            assert again is True


class TestReadingAlone:
    async def test_it_reads_beside_the_one_that_writes_and_writes_nothing(self, place: Place, store: SqlStore) -> None:
        await store.grant(a_permission(), GRANTED)
        reading = place.open(read_only=True)
        assert await reading.permission("p-1") == a_permission()
        await store.append(a_row())
        assert await reading.log_size() == 2
        assert await reading.ready() is False
        assert reading.commits == 0
        for work in (reading.append(a_row()), reading.withdraw("p-1", NOON, GRANTED), reading.keep_policy("h", b"")):
            with pytest.raises(Exception, match="opened for reading alone"):
                await work
        assert await store.log_size() == 2
