"""Permission at the point of care: whose, for what, how long, and how it ends."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.sdk.organisations import OrganisationType
from gateway.audit.bound import bound_to
from gateway.audit.journal import Journal
from gateway.audit.row import Kind
from gateway.caller.model import Caller, Role
from gateway.choice.model import Basis, Channel, Choice, Permission, Scope, StatedBy
from gateway.choice.permission import DEFAULT_LASTS, LONGEST_REASON, Permissions
from gateway.choice.reasons import AT_THE_POINT_OF_CARE, DISPLAY, FOR_DISCLOSURE, ReasonCode
from gateway.choice.sharing import SharingChoices
from gateway.desk.model import CaseKind
from gateway.errors import BadRequest, NoPermission, NotFound, OptedOut, Refusal
from gateway.policy.model import Decision, Shown
from gateway.sealed import Sealer
from gateway.store.sql.store import SqlStore
from tests.stores import Place

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
PATIENT = "9990000018"
SEALER = Sealer(bytes(32))
ASHA = Caller(
    issuer="https://issuer.example",
    user_id="555021935107",
    name="Asha Rahman",
    role_profile_id="555254242106",
    job_role_code="R0260",
    role=Role.GP,
    organisation="G85005",
    organisation_name="South Lewisham Group Practice",
    organisation_type=OrganisationType.GP_PRACTICE,
    client_id="viewer",
)
COLLAPSED = "found unconscious, nobody with them"


class Hands:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


class Policy:
    def __init__(self) -> None:
        self.refused: set[str] = set()

    def __call__(self, action: str, caller: Caller) -> Decision:
        if action in self.refused:
            return Decision(Shown.WITHHELD, f"no-{action}", "Your role may not do this.")
        return Decision(Shown.WHOLE, "yes", "yes")


@pytest.fixture
def clock() -> Hands:
    return Hands()


@pytest.fixture
def policy() -> Policy:
    return Policy()


@pytest.fixture
def store(place: Place, clock: Hands) -> SqlStore:
    return place.open(clock=clock)


@pytest.fixture
def journal(store: SqlStore, clock: Hands) -> Journal:
    return Journal(store, SEALER, lambda: "hash", clock)


@pytest.fixture
def permissions(store: SqlStore, journal: Journal, policy: Policy, clock: Hands) -> Permissions:
    return Permissions(store, SEALER, journal, policy, clock)


async def grant(permissions: Permissions, caller: Caller = ASHA, **asked: Any) -> Permission:
    asked = {"nhs_number": PATIENT, "basis": Basis.PATIENT_AGREED, "reason": "", "scope": Scope.STANDARD} | asked
    if asked["basis"] is Basis.BEST_INTERESTS:
        asked.setdefault("reason_code", ReasonCode.EMERGENCY)
    return await permissions.grant(caller, request_id="r-1", **asked)


async def kinds(store: SqlStore) -> list[Kind]:
    return [kept.row.kind for kept in await store.rows()]


class TestGranting:
    async def test_the_patients_yes_lasts_a_shift_and_is_a_row(self, permissions: Permissions, store: SqlStore) -> None:
        made = await grant(permissions, nhs_number="999 000 0018", scope=Scope.INCLUDING_SENSITIVE)
        assert (made.granted_at, made.expires_at) == (NOON, NOON + timedelta(hours=8))
        assert (made.caller, made.organisation) == (ASHA.key, "G85005")
        assert made.patient == SEALER.patient_tag(PATIENT)
        assert await store.permission(made.id) == made
        [kept] = await store.rows()
        row = kept.row
        assert (row.kind, row.permission, row.patient) == (Kind.PERMISSION_GRANTED, made.id, made.patient)
        assert (row.basis, row.scope) == ("patient-agreed", "including-sensitive")

    async def test_best_interests_is_shorter_and_its_reason_stays_out_of_the_journal(
        self, permissions: Permissions, store: SqlStore
    ) -> None:
        made = await grant(permissions, basis=Basis.BEST_INTERESTS, reason=f"  {COLLAPSED}, NHS {PATIENT} ")
        assert made.expires_at - made.granted_at == timedelta(hours=1)
        assert SEALER.open_text(made.reason, made.id) == f"{COLLAPSED}, NHS [nhs-number]"
        assert COLLAPSED not in repr(await store.permissions_of(ASHA.key))
        [kept] = await store.rows()
        assert COLLAPSED not in repr(kept)
        assert (made.reason_code, kept.row.reason_code) == ("emergency", "emergency")

    @pytest.mark.parametrize(
        "reason", ["Cardiac arrest", "Patient unconscious", "GCS 3", "stroke", "O2 sats 60%", "Ymwybyddiaeth isel"]
    )
    async def test_a_clinicians_few_words_are_a_reason(self, permissions: Permissions, reason: str) -> None:
        made = await grant(permissions, basis=Basis.BEST_INTERESTS, reason=f" {reason} ")
        assert SEALER.open_text(made.reason, made.id) == reason

    async def test_what_makes_a_reason_is_told(self, permissions: Permissions) -> None:
        with pytest.raises(BadRequest, match="at least 5 characters, a letter and a word of 3 letters or digits"):
            await grant(permissions, basis=Basis.BEST_INTERESTS, reason="x")

    @pytest.mark.parametrize("code", sorted(AT_THE_POINT_OF_CARE))
    async def test_each_national_reason_of_the_point_of_care_is_kept_and_named(
        self, permissions: Permissions, store: SqlStore, code: ReasonCode
    ) -> None:
        made = await grant(permissions, basis=Basis.BEST_INTERESTS, reason=COLLAPSED, reason_code=code)
        assert await store.permission(made.id) == made
        assert made.reason_code == code
        with pytest.raises(BadRequest) as refused:
            await grant(permissions, basis=Basis.BEST_INTERESTS, reason=COLLAPSED, reason_code=None)
        assert f'"{code}"' in refused.value.told

    def test_every_national_reason_has_its_words_and_its_place(self) -> None:
        assert set(DISPLAY) == set(ReasonCode)
        assert set(AT_THE_POINT_OF_CARE) | FOR_DISCLOSURE == set(ReasonCode)
        assert not set(AT_THE_POINT_OF_CARE) & FOR_DISCLOSURE

    async def test_best_interests_opens_a_privacy_officers_case_with_it(
        self, permissions: Permissions, store: SqlStore
    ) -> None:
        made = await grant(permissions, basis=Basis.BEST_INTERESTS, reason=COLLAPSED)
        cases = [file.case for _, file in await store.cases()]
        assert len(cases) == 1
        case = cases[0]
        assert (case.kind, case.permission, case.patient) == (CaseKind.BEST_INTERESTS, made.id, made.patient)
        assert (case.caller, case.name, case.opened_at) == (ASHA.key, ASHA.name, NOON)
        [kept] = await store.rows()
        assert (kept.row.cases, kept.row.bound) == ([case.id], bound_to(made, case))

    async def test_the_patients_yes_opens_no_case(self, permissions: Permissions, store: SqlStore) -> None:
        made = await grant(permissions)
        [kept] = await store.rows()
        assert (kept.row.cases, kept.row.bound, await store.cases()) == ([], bound_to(made), [])

    async def test_how_long_is_configured(self, store: SqlStore, journal: Journal, clock: Hands) -> None:
        lasts = {Basis.PATIENT_AGREED: timedelta(minutes=5), Basis.BEST_INTERESTS: timedelta(minutes=2)}
        short = Permissions(store, SEALER, journal, Policy(), clock, lasts)
        assert (await grant(short)).expires_at == NOON + timedelta(minutes=5)
        made = await grant(short, basis=Basis.BEST_INTERESTS, reason=COLLAPSED)
        assert made.expires_at == NOON + timedelta(minutes=2)
        with pytest.raises(ValueError, match="longer than no time"):
            Permissions(store, SEALER, journal, Policy(), clock, {**DEFAULT_LASTS, Basis.BEST_INTERESTS: timedelta(0)})

    @pytest.mark.parametrize(
        ("asked", "rule", "expression"),
        [
            ({"basis": Basis.BEST_INTERESTS, "reason": ""}, "permission.reason-missing", "reason"),
            ({"basis": Basis.BEST_INTERESTS, "reason": " ill. "}, "permission.reason-missing", "reason"),
            ({"basis": Basis.BEST_INTERESTS, "reason": ". . . 1 2 3 a b c"}, "permission.reason-missing", "reason"),
            ({"basis": Basis.BEST_INTERESTS, "reason": "12345 678"}, "permission.reason-missing", "reason"),
            ({"reason": "x" * (LONGEST_REASON + 1)}, "permission.reason-too-long", "reason"),
            (
                {"basis": Basis.BEST_INTERESTS, "reason": COLLAPSED, "reason_code": None},
                "permission.reason-code-missing",
                "reasonCode",
            ),
            ({"reason_code": ReasonCode.EMERGENCY}, "permission.reason-code-not-needed", "reasonCode"),
            *(
                (
                    {"basis": Basis.BEST_INTERESTS, "reason": COLLAPSED, "reason_code": code},
                    "permission.reason-code-not-here",
                    "reasonCode",
                )
                for code in sorted(FOR_DISCLOSURE)
            ),
            (
                {"basis": Basis.BEST_INTERESTS, "reason": COLLAPSED, "scope": Scope.INCLUDING_SENSITIVE},
                "permission.sensitive-needs-agreement",
                "scope",
            ),
            ({"nhs_number": "9990000017"}, "nhs-number.invalid", "nhsNumber"),
        ],
    )
    async def test_what_cannot_be_granted_is_a_clear_answer_and_a_row(
        self, permissions: Permissions, store: SqlStore, asked: dict[str, Any], rule: str, expression: str
    ) -> None:
        with pytest.raises(BadRequest) as refused:
            await grant(permissions, **asked)
        assert (refused.value.rule, refused.value.expression) == (rule, expression)
        assert [kept.row.rule for kept in await store.rows()] == [rule]
        assert await permissions.own(ASHA, "r-9") == []

    @pytest.mark.parametrize(
        ("action", "asked"),
        [
            ("ask-permission", {}),
            ("ask-best-interests", {"basis": Basis.BEST_INTERESTS, "reason": COLLAPSED}),
        ],
    )
    async def test_each_basis_is_the_policys_to_allow(
        self, permissions: Permissions, store: SqlStore, policy: Policy, action: str, asked: dict[str, Any]
    ) -> None:
        policy.refused = {"ask-permission", "ask-best-interests"} - {action}
        await grant(permissions, **asked)
        policy.refused = {action}
        with pytest.raises(Refusal, match=action) as refused:
            await grant(permissions, **asked)
        assert refused.value.rule == f"no-{action}"
        assert await kinds(store) == [Kind.PERMISSION_GRANTED, Kind.REFUSAL]

    async def test_nobody_gets_one_for_a_patient_who_opted_out_in_an_emergency_neither(
        self, permissions: Permissions, store: SqlStore, journal: Journal, clock: Hands
    ) -> None:
        choices = SharingChoices(store, SEALER, journal, Policy(), clock)
        await choices.record(ASHA, PATIENT, Choice.OPTED_OUT, StatedBy.PATIENT, Channel.PHONE, "r-0")
        ways: tuple[dict[str, Any], ...] = ({}, {"basis": Basis.BEST_INTERESTS, "reason": COLLAPSED})
        for asked in ways:
            with pytest.raises(OptedOut) as refused:
                await grant(permissions, **asked)
            assert refused.value.journalled is not None
        assert await kinds(store) == [Kind.SHARING_CHOICE, Kind.REFUSAL, Kind.REFUSAL]
        assert await permissions.own(ASHA, "r-9") == []
        assert await store.cases() == []

    async def test_who_opts_back_in_is_asked_anew(
        self, permissions: Permissions, store: SqlStore, journal: Journal, clock: Hands
    ) -> None:
        """Whoever had a permission before the opt-out, and however long it would have lasted."""
        mine = await grant(permissions)
        theirs = await grant(permissions, dataclasses.replace(ASHA, user_id="u-2"))
        ended = await grant(permissions, dataclasses.replace(ASHA, user_id="u-3"))
        other = await grant(permissions, nhs_number="9990000026")
        clock.now += timedelta(hours=1)
        await permissions.withdraw(dataclasses.replace(ASHA, user_id="u-3"), ended.id, "r-1")
        choices = SharingChoices(store, SEALER, journal, Policy(), clock)
        out = await choices.record(ASHA, PATIENT, Choice.OPTED_OUT, StatedBy.PATIENT, Channel.PHONE, "r-2")
        row = (await store.rows())[-1].row
        after = [await store.permission(each.id) for each in (mine, theirs)]
        assert [each.withdrawn_at for each in after if each] == [clock.now, clock.now]
        assert row.bound == bound_to(out, *(each for each in after if each))
        await choices.record(ASHA, PATIENT, Choice.OPTED_IN, StatedBy.PATIENT, Channel.PHONE, "r-3")
        with pytest.raises(NoPermission):
            await permissions.require(ASHA, PATIENT)
        assert await permissions.require(ASHA, "9990000026") == other
        new = await grant(permissions)
        assert await permissions.require(ASHA, PATIENT) == new

    async def test_saying_again_that_one_shares_ends_nothing(
        self, permissions: Permissions, store: SqlStore, journal: Journal, clock: Hands
    ) -> None:
        made = await grant(permissions)
        choices = SharingChoices(store, SEALER, journal, Policy(), clock)
        await choices.record(ASHA, PATIENT, Choice.OPTED_IN, StatedBy.PATIENT, Channel.PHONE, "r-2")
        assert await permissions.require(ASHA, PATIENT) == made


class TestRequiring:
    async def test_without_one_the_answer_says_what_to_do(self, permissions: Permissions) -> None:
        with pytest.raises(NoPermission) as refused:
            await permissions.require(ASHA, PATIENT)
        said = ("POST /permissions", '"nhsNumber"', '"patient-agreed"', '"best-interests"', '"reasonCode"', '"reason"')
        for words in said:
            assert words in refused.value.told
        assert refused.value.rule == "permission.none"

    async def test_who_may_not_act_in_best_interests_is_not_told_to(
        self, permissions: Permissions, policy: Policy
    ) -> None:
        policy.refused = {"ask-best-interests"}
        with pytest.raises(NoPermission) as refused:
            await permissions.require(ASHA, PATIENT)
        assert '"best-interests"' not in refused.value.told
        assert "ask the doctor or nurse who treats them" in refused.value.told

    async def test_it_holds_until_its_very_end_and_no_longer(self, permissions: Permissions, clock: Hands) -> None:
        made = await grant(permissions)
        assert await permissions.require(ASHA, "999 000 0018") == made
        clock.now = made.expires_at - timedelta(microseconds=1)
        assert await permissions.require(ASHA, PATIENT) == made
        clock.now = made.expires_at
        with pytest.raises(NoPermission):
            await permissions.require(ASHA, PATIENT)

    @pytest.mark.parametrize(
        "changed",
        [{"user_id": "u-2"}, {"role_profile_id": "other"}, {"organisation": "RJ2"}, {"issuer": "https://b.example"}],
    )
    async def test_it_is_nobody_elses(self, permissions: Permissions, changed: dict[str, Any]) -> None:
        await grant(permissions)
        with pytest.raises(NoPermission):
            await permissions.require(dataclasses.replace(ASHA, **changed), PATIENT)

    async def test_it_is_for_no_other_patient(self, permissions: Permissions) -> None:
        await grant(permissions)
        with pytest.raises(NoPermission):
            await permissions.require(ASHA, "9990000026")
        with pytest.raises(BadRequest):
            await permissions.require(ASHA, "9990000017")


class TestEnding:
    async def test_ones_own_ends_at_once_and_is_a_row_once(self, permissions: Permissions, store: SqlStore) -> None:
        made = await grant(permissions)
        for _ in range(2):
            await permissions.withdraw(ASHA, made.id, "r-2")
        with pytest.raises(NoPermission):
            await permissions.require(ASHA, PATIENT)
        assert await kinds(store) == [Kind.PERMISSION_GRANTED, Kind.PERMISSION_WITHDRAWN]
        row = (await store.rows())[-1].row
        assert (row.permission, row.patient, row.basis) == (made.id, made.patient, "patient-agreed")
        [ended] = await permissions.own(ASHA, "r-9")
        assert ended.withdrawn_at == NOON

    async def test_somebody_elses_and_an_unknown_one_get_the_same_answer(
        self, permissions: Permissions, store: SqlStore
    ) -> None:
        made = await grant(permissions)
        stranger = dataclasses.replace(ASHA, user_id="u-2")
        answers = []
        for permission_id in (made.id, "no-such-id"):
            with pytest.raises(NotFound) as refused:
                await permissions.withdraw(stranger, permission_id, "r-2")
            answers.append((refused.value.told, refused.value.rule, refused.value.detail, refused.value.expression))
        assert answers[0] == answers[1]
        rows = [kept.row for kept in await store.rows(after=1)]
        assert [(row.kind, row.patient, row.rule) for row in rows] == [(Kind.REFUSAL, None, "permission.not-yours")] * 2
        assert await permissions.require(ASHA, PATIENT) == made


class TestReading:
    async def test_own_are_ones_own(self, permissions: Permissions) -> None:
        first, second = await grant(permissions), await grant(permissions, nhs_number="9990000026")
        await grant(permissions, dataclasses.replace(ASHA, user_id="u-2"))
        assert await permissions.own(ASHA, "r-9") == [second, first]

    async def test_own_are_the_policys_to_allow_and_reading_them_is_a_row(
        self, permissions: Permissions, store: SqlStore, policy: Policy
    ) -> None:
        await permissions.own(ASHA, "r-2")
        kept = (await store.rows())[-1].row
        assert (kept.kind, kept.subject, kept.request_id) == (Kind.AUDIT_READ, "own permissions", "r-2")
        policy.refused = {"read-own-permissions"}
        with pytest.raises(Refusal, match="read-own-permissions"):
            await permissions.own(ASHA, "r-3")
        assert (await kinds(store))[-1] is Kind.REFUSAL

    async def test_those_who_may_read_everybodys_about_a_patient_and_that_is_a_row(
        self, permissions: Permissions, store: SqlStore, policy: Policy
    ) -> None:
        mine, theirs = await grant(permissions), await grant(permissions, dataclasses.replace(ASHA, user_id="u-2"))
        await grant(permissions, nhs_number="9990000026")
        assert await permissions.about(ASHA, "999 000 0018", "r-2") == [theirs, mine]
        kept = (await store.rows())[-1]
        assert (kept.row.kind, kept.row.patient, kept.row.subject) == (Kind.AUDIT_READ, mine.patient, "permissions")
        policy.refused = {"read-permissions"}
        with pytest.raises(Refusal, match="read-permissions"):
            await permissions.about(ASHA, PATIENT, "r-3")
        assert (await kinds(store))[-1] is Kind.REFUSAL
