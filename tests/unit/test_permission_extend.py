"""A permission is prolonged while it holds, by whom it was given to, where somebody was asked again, and not for ever;
and the patient's word ends everybody's at once."""

from __future__ import annotations

import asyncio
import dataclasses
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from connectors.sdk.organisations import OrganisationType
from gateway.audit.bound import bound_to
from gateway.audit.journal import Journal
from gateway.audit.row import Kind
from gateway.caller.model import Caller, Role
from gateway.choice.extension import DEFAULT_LONGEST, Extension, begun_at
from gateway.choice.model import Basis, Channel, Choice, Permission, Scope, StatedBy
from gateway.choice.permission import DEFAULT_LASTS, Permissions
from gateway.choice.reasons import ReasonCode
from gateway.choice.sharing import SharingChoices
from gateway.desk.model import CaseEntry, CaseStatus
from gateway.errors import BadRequest, GatewayError, NoPermission, NotFound, OptedOut, Refusal
from gateway.policy.model import Decision, Shown
from gateway.sealed import Sealer
from gateway.store.sql.store import SqlStore
from tests.stores import Place

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
PATIENT, ANOTHER = "9990000018", "9990000026"
SEALER = Sealer(bytes(32))
ASHA = Caller(
    issuer="https://issuer.example",
    user_id="555021935107",
    name="Asha Rahman",
    role_profile_id="555254242106",
    job_role_code="R8000",
    role=Role.HOSPITAL_DOCTOR,
    organisation="RJ2",
    organisation_name="Lewisham and Greenwich NHS Trust",
    organisation_type=OrganisationType.ACUTE_TRUST,
    client_id="viewer",
)
BEN = dataclasses.replace(ASHA, user_id="555021935108", name="Ben Adeyemi")
AGAIN = Extension(patient_asked=True)
COLLAPSED, STILL = "found unconscious, nobody with them", "still unconscious, going to theatre"


@dataclass
class Ward:
    """A store, a clock that stands still, and a policy that refuses what it is told to."""

    store: SqlStore
    now: datetime = NOON
    refused: frozenset[str] = frozenset()

    def clock(self) -> datetime:
        return self.now

    def may(self, action: str, caller: Caller) -> Decision:
        if action in self.refused:
            return Decision(Shown.WITHHELD, f"no-{action}", f"Your role may not {action}.")
        return Decision(Shown.WHOLE, "yes", "yes")

    @property
    def journal(self) -> Journal:
        return Journal(self.store, SEALER, lambda: "hash", self.clock)

    @property
    def permissions(self) -> Permissions:
        return Permissions(self.store, SEALER, self.journal, self.may, self.clock)

    async def agreed(self, caller: Caller = ASHA, scope: Scope = Scope.STANDARD, patient: str = PATIENT) -> Permission:
        return await self.permissions.grant(caller, patient, Basis.PATIENT_AGREED, "", scope, "r-1")

    async def in_best_interests(self) -> Permission:
        return await self.permissions.grant(
            ASHA, PATIENT, Basis.BEST_INTERESTS, COLLAPSED, Scope.STANDARD, "r-1", reason_code=ReasonCode.EMERGENCY
        )

    async def extend(self, permission: Permission, asked: Extension = AGAIN, caller: Caller = ASHA) -> Permission:
        return await self.permissions.extend(caller, permission.id, asked, "r-2")

    async def choose(self, choice: Choice) -> None:
        choices = SharingChoices(self.store, SEALER, self.journal, self.may, self.clock)
        await choices.record(ASHA, PATIENT, choice, StatedBy.PATIENT, Channel.PHONE, "r-0")

    async def withdraw_all(self, caller: Caller = BEN, patient: str = PATIENT) -> list[str]:
        return await self.permissions.withdraw_all(caller, patient, StatedBy.PATIENT, Channel.IN_PERSON, "r-3")

    async def kinds(self) -> list[Kind]:
        return [kept.row.kind for kept in await self.store.rows()]


@pytest.fixture
async def ward(place: Place) -> Ward:
    made: Ward = Ward(place.open(clock=lambda: made.now))
    return made


class TestExtending:
    async def test_asked_again_it_lasts_as_long_again_and_says_what_it_prolongs(self, ward: Ward) -> None:
        before = await ward.agreed(scope=Scope.INCLUDING_SENSITIVE)
        ward.now += 7 * HOUR
        made = await ward.extend(before)
        assert (made.extends, made.granted_at, made.expires_at) == (before.id, NOON + 7 * HOUR, NOON + 15 * HOUR)
        assert (made.basis, made.scope, made.caller) == (before.basis, before.scope, before.caller)
        assert await ward.permissions.require(ASHA, PATIENT) == made
        row = (await ward.store.rows())[-1].row
        assert (row.kind, row.permission, row.subject) == (Kind.PERMISSION_EXTENDED, made.id, before.id)
        assert (row.bound, row.cases) == (bound_to(made), [])

    async def test_it_ends_a_day_after_the_first_yes_however_often_it_is_prolonged(self, ward: Ward) -> None:
        permission = await ward.agreed()
        for _ in range(3):
            ward.now = permission.expires_at - timedelta(minutes=1)
            permission = await ward.extend(permission)
        assert permission.expires_at == NOON + DEFAULT_LONGEST[Basis.PATIENT_AGREED]
        ward.now = permission.expires_at - timedelta(minutes=1)
        with pytest.raises(Refusal, match="24 hours") as refused:
            await ward.extend(permission)
        assert refused.value.rule == "permission.longest"

    async def test_best_interests_ends_after_four_hours_and_each_extension_says_something_new(self, ward: Ward) -> None:
        permission = await ward.in_best_interests()
        for hour in range(1, 5):
            ward.now = permission.expires_at - timedelta(minutes=1)
            permission = await ward.extend(permission, Extension(reason=f"{STILL}, hour {hour}"))
        assert permission.expires_at == NOON + DEFAULT_LONGEST[Basis.BEST_INTERESTS]
        assert permission.reason_code == ReasonCode.EMERGENCY
        assert SEALER.open_text(permission.reason, permission.id) == f"{STILL}, hour 4"
        ward.now = permission.expires_at - timedelta(minutes=1)
        with pytest.raises(Refusal, match="4 hours"):
            await ward.extend(permission, Extension(reason="yet another reason"))

    async def test_an_extension_in_best_interests_opens_a_case_where_the_first_was_judged(self, ward: Ward) -> None:
        first = await ward.in_best_interests()
        ward.now += timedelta(minutes=50)
        second = await ward.extend(first, Extension(reason=STILL))
        [(_, file)] = await ward.store.cases()
        assert file.case.permission == first.id
        row = (await ward.store.rows())[-1].row
        assert (row.kind, row.cases, row.bound) == (Kind.PERMISSION_EXTENDED, [], bound_to(second))
        entry = CaseEntry(
            case=file.case.id, number=1, at=ward.now, by="po", by_name="Po", status=CaseStatus.JUSTIFIED, note=""
        )
        assert await ward.store.move_case(entry, ward.journal.row(Kind.CASE_MOVED, BEN, "r-4", "POST /cases"))
        ward.now += timedelta(minutes=50)
        third = await ward.extend(second, Extension(reason="now in intensive care", reason_code=ReasonCode.OTHER))
        assert [file.case.permission for _, file in await ward.store.cases()] == [first.id, third.id]
        assert (await ward.store.rows())[-1].row.reason_code == "other"

    @pytest.mark.parametrize(
        ("best_interests", "asked", "rule"),
        [
            (False, Extension(), "permission.not-asked-again"),
            (False, Extension(reason="forgot"), "permission.not-asked-again"),
            (False, Extension(patient_asked=True, reason="x" * 501), "permission.reason-too-long"),
            (
                False,
                Extension(patient_asked=True, reason_code=ReasonCode.EMERGENCY),
                "permission.reason-code-not-needed",
            ),
            (True, AGAIN, "permission.patient-can-answer"),
            (True, Extension(), "permission.reason-missing"),
            (True, Extension(reason=f"  {COLLAPSED.upper()}  "), "permission.reason-not-new"),
            (True, Extension(reason=STILL, reason_code=ReasonCode.STATUTE), "permission.reason-code-not-here"),
        ],
    )
    async def test_nothing_is_prolonged_where_nobody_was_asked_or_nothing_new_is_said(
        self, ward: Ward, best_interests: bool, asked: Extension, rule: str
    ) -> None:
        before = await (ward.in_best_interests() if best_interests else ward.agreed())
        with pytest.raises(BadRequest) as refused:
            await ward.extend(before, asked)
        row = (await ward.store.rows())[-1].row
        assert (refused.value.rule, row.rule, row.patient) == (rule, rule, before.patient)
        assert await ward.permissions.require(ASHA, PATIENT) == before

    async def test_what_has_ended_is_not_prolonged(self, ward: Ward) -> None:
        expired = await ward.agreed()
        ward.now = expired.expires_at
        withdrawn = await ward.agreed()
        await ward.permissions.withdraw(ASHA, withdrawn.id, "r-2")
        for each in (expired, withdrawn):
            with pytest.raises(NoPermission, match="has ended"):
                await ward.extend(each)

    async def test_what_was_replaced_is_not_prolonged(self, ward: Ward) -> None:
        """The patient said yes to everything first, and then to less."""
        wide = await ward.agreed(scope=Scope.INCLUDING_SENSITIVE)
        narrow = await ward.agreed()
        with pytest.raises(NoPermission) as refused:
            await ward.extend(wide)
        assert refused.value.rule == "permission.replaced"
        assert (await ward.extend(narrow)).scope is Scope.STANDARD

    async def test_it_is_nobody_elses_to_prolong(self, ward: Ward) -> None:
        mine = await ward.agreed()
        answers = []
        for permission_id in (mine.id, "no-such-id"):
            with pytest.raises(NotFound) as refused:
                await ward.permissions.extend(BEN, permission_id, AGAIN, "r-2")
            answers.append((refused.value.told, refused.value.rule))
        assert answers[0] == answers[1]
        assert [kept.row.patient for kept in await ward.store.rows(after=1)] == [None, None]

    async def test_policy_is_asked_again(self, ward: Ward) -> None:
        agreed = await ward.agreed()
        ward.refused = frozenset({"ask-permission"})
        with pytest.raises(Refusal, match="ask-permission"):
            await ward.extend(agreed)
        ward.refused = frozenset()
        unasked = await ward.in_best_interests()
        ward.refused = frozenset({"ask-best-interests"})
        with pytest.raises(Refusal, match="ask-best-interests"):
            await ward.extend(unasked, Extension(reason=STILL))

    async def test_an_opt_out_ends_it_and_opting_back_in_does_not_bring_it_back(self, ward: Ward) -> None:
        before = await ward.agreed()
        await ward.choose(Choice.OPTED_OUT)
        await ward.choose(Choice.OPTED_IN)
        with pytest.raises(NoPermission):
            await ward.extend(before)

    async def test_an_opt_out_that_comes_while_it_is_prolonged_wins(
        self, ward: Ward, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = await ward.agreed()
        about = ward.store.permissions_about

        async def and_the_patient_opts_out(patient: str) -> list[Permission]:
            found = await about(patient)
            await ward.choose(Choice.OPTED_OUT)
            return found

        monkeypatch.setattr(ward.store, "permissions_about", and_the_patient_opts_out)
        with pytest.raises(OptedOut) as refused:
            await ward.extend(before)
        assert refused.value.journalled is not None
        assert (await ward.kinds())[-1] is Kind.REFUSAL

    async def test_a_withdrawal_that_comes_while_it_is_prolonged_wins(
        self, ward: Ward, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = await ward.agreed()
        about = ward.store.permissions_about

        async def and_the_patient_takes_it_back(patient: str) -> list[Permission]:
            found = await about(patient)
            await ward.withdraw_all()
            return found

        monkeypatch.setattr(ward.store, "permissions_about", and_the_patient_takes_it_back)
        with pytest.raises(NoPermission):
            await ward.extend(before)
        assert (await ward.kinds())[-2:] == [Kind.PERMISSION_WITHDRAWN, Kind.REFUSAL]

    async def test_of_two_extensions_at_once_one_holds_and_neither_outlasts_the_ceiling(self, ward: Ward) -> None:
        before = await ward.agreed()
        ward.now += HOUR
        made = await asyncio.gather(ward.extend(before), ward.extend(before), return_exceptions=True)
        granted = [each for each in made if isinstance(each, Permission)]
        assert granted
        assert all(isinstance(each, Permission | GatewayError) for each in made)
        assert all(each.expires_at == NOON + 9 * HOUR for each in granted)

    def test_a_chain_without_its_beginning_or_that_bites_its_tail_is_refused(self) -> None:
        first = Permission(
            id="1", patient="p", sealed_patient="s", caller="c", organisation="o", basis=Basis.PATIENT_AGREED,
            scope=Scope.STANDARD, reason="", granted_at=NOON, expires_at=NOON + HOUR, extends="2",
        )  # fmt: skip
        second = msgspec.structs.replace(first, id="2", extends="1")
        for about in ([], [first], [first, second], [msgspec.structs.replace(second, extends=None, caller="d")]):
            with pytest.raises(NoPermission):
                begun_at(first, about)
        assert begun_at(first, [msgspec.structs.replace(second, extends=None)]) == NOON

    def test_how_long_is_configured_for_each_basis(self) -> None:
        assert set(DEFAULT_LONGEST) == set(DEFAULT_LASTS) == set(Basis)
        assert all(DEFAULT_LASTS[basis] <= DEFAULT_LONGEST[basis] for basis in Basis)
        assert DEFAULT_LASTS[Basis.BEST_INTERESTS] < DEFAULT_LASTS[Basis.PATIENT_AGREED]


class TestTheirWord:
    async def test_it_ends_everybodys_at_once_with_one_row(self, ward: Ward) -> None:
        mine, bens, other = await ward.agreed(), await ward.agreed(BEN), await ward.agreed(patient=ANOTHER)
        assert await ward.withdraw_all() == [mine.id, bens.id]
        for caller in (ASHA, BEN):
            with pytest.raises(NoPermission):
                await ward.permissions.require(caller, PATIENT)
        assert await ward.permissions.require(ASHA, ANOTHER) == other
        row = (await ward.store.rows())[-1].row
        after = [each for one in (mine, bens) if (each := await ward.store.permission(one.id))]
        assert (row.kind, row.patient, row.permission) == (Kind.PERMISSION_WITHDRAWN, mine.patient, None)
        assert (row.detail, row.bound) == ("all, stated by patient, by in-person", bound_to(*after))
        assert row.who is not None
        assert row.who.user_id == BEN.user_id

    async def test_it_is_a_row_where_there_was_nothing_to_end(self, ward: Ward) -> None:
        assert await ward.withdraw_all() == []
        assert await ward.kinds() == [Kind.PERMISSION_WITHDRAWN]

    async def test_who_is_asked_again_may_say_yes_again(self, ward: Ward) -> None:
        await ward.agreed()
        await ward.withdraw_all()
        new = await ward.agreed()
        assert await ward.permissions.require(ASHA, PATIENT) == new

    async def test_policy_says_who_takes_it(self, ward: Ward) -> None:
        made = await ward.agreed()
        ward.refused = frozenset({"withdraw-permissions"})
        with pytest.raises(Refusal, match="withdraw-permissions"):
            await ward.withdraw_all()
        assert await ward.permissions.require(ASHA, PATIENT) == made
        assert (await ward.kinds())[-1] is Kind.REFUSAL

    async def test_a_wrong_number_is_told(self, ward: Ward) -> None:
        with pytest.raises(BadRequest):
            await ward.withdraw_all(patient="9990000017")

    async def test_ones_own_is_bound_as_it_stands_after(self, ward: Ward) -> None:
        made = await ward.agreed()
        ward.now += HOUR
        await ward.permissions.withdraw(ASHA, made.id, "r-2")
        ended = await ward.store.permission(made.id)
        assert ended is not None
        assert ended.withdrawn_at == ward.now
        assert (await ward.store.rows())[-1].row.bound == bound_to(ended)


def test_the_ceiling_is_never_below_what_one_permission_lasts() -> None:
    from gateway.settings import Settings

    given: dict[str, Any] = {
        "profile": "demo", "public_url": "http://127.0.0.1:8000", "data_dir": Path(), "key_file": Path("k"),
        "issuers": [{"issuer": "https://issuer.example", "audience": "connect-care", "algorithms": ["ES256"]}],
    }  # fmt: skip
    settings = Settings(**given)
    assert settings.permission_longest == DEFAULT_LONGEST[Basis.PATIENT_AGREED]
    assert settings.best_interests_longest == DEFAULT_LONGEST[Basis.BEST_INTERESTS]
    for wrong in ({"permission_longest_hours": 7}, {"best_interests_longest_hours": 0.5}):
        with pytest.raises(ValueError, match="is longer than"):
            Settings(**given, **wrong)
