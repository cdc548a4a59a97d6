"""The standing sharing choice: in force when it is acknowledged, kept for ever, recorded by those who may."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from connectors.sdk.organisations import OrganisationType
from gateway.audit.bound import bound_to, digest_of_values
from gateway.audit.journal import Journal
from gateway.audit.row import Kind
from gateway.caller.model import Caller, Role
from gateway.choice.model import Channel, Choice, IdentifiedBy, SharingChoice, StatedBy
from gateway.choice.sharing import LONGEST_PROXY, SharingChoices, proxy_of
from gateway.errors import AuditUnavailable, BadRequest, OptedOut, Refusal
from gateway.policy.model import Decision, Shown
from gateway.sealed import Sealer, Unsealable
from gateway.store.sql.store import SqlStore
from tests.stores import Place

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
PATIENT = "9990000018"
SEALER = Sealer(bytes(32))
CLERK = Caller(
    issuer="https://issuer.example",
    user_id="555021935107",
    name="Sam Okoro",
    role_profile_id="555254242106",
    job_role_code="R0001",
    role=Role.PRIVACY_OFFICER,
    organisation="RJ2",
    organisation_name="Lewisham and Greenwich NHS Trust",
    organisation_type=OrganisationType.ACUTE_TRUST,
    client_id="desk",
)


class Policy:
    """Allows just what it is told to, as wholly as it is told to."""

    def __init__(self, *allowed: str) -> None:
        self.allowed = allowed
        self.shown = Shown.WHOLE

    def __call__(self, action: str, caller: Caller) -> Decision:
        if action in self.allowed:
            return Decision(self.shown, f"{action}.{caller.role}", "yes")
        return Decision(Shown.WITHHELD, "default-deny", "Your role may not do this.")


@pytest.fixture
def store(place: Place) -> SqlStore:
    return place.open(clock=lambda: NOON)


@pytest.fixture
def policy() -> Policy:
    return Policy("record-sharing-choice", "read-sharing-choices")


@pytest.fixture
def choices(store: SqlStore, policy: Policy) -> SharingChoices:
    journal = Journal(store, SEALER, lambda: "hash", lambda: NOON)
    return SharingChoices(store, SEALER, journal, policy, lambda: NOON)


async def record(choices: SharingChoices, choice: Choice, nhs_number: str = PATIENT) -> SharingChoice:
    return await choices.record(
        CLERK, nhs_number, choice, StatedBy.PROXY, Channel.PHONE, "r-1", proxy="Ama Mensah, daughter"
    )


async def test_everybody_is_opted_in_until_they_say_otherwise(choices: SharingChoices) -> None:
    await choices.require_opted_in(PATIENT)


async def test_an_opt_out_holds_at_once_and_its_refusal_says_how_to_come_back(choices: SharingChoices) -> None:
    await record(choices, Choice.OPTED_OUT)
    with pytest.raises(OptedOut) as refused:
        await choices.require_opted_in(PATIENT)
    assert refused.value.rule == "choice.opted-out"
    for words in ("opted out of Connect Care", "no organisation was asked", "opt back in", "POST /sharing-choices"):
        assert words in refused.value.told
    await choices.require_opted_in("9990000026")


async def test_the_last_word_counts(choices: SharingChoices) -> None:
    for choice in (Choice.OPTED_OUT, Choice.OPTED_IN, Choice.OPTED_OUT, Choice.OPTED_IN):
        await record(choices, choice)
    await choices.require_opted_in(PATIENT)


@pytest.mark.parametrize("spelling", ["999 000 0018", "999-000-0018", " 9990000018 "])
async def test_every_spelling_of_the_number_is_the_same_patient(choices: SharingChoices, spelling: str) -> None:
    await record(choices, Choice.OPTED_OUT, spelling)
    with pytest.raises(OptedOut):
        await choices.require_opted_in(PATIENT)
    await record(choices, Choice.OPTED_IN)
    await choices.require_opted_in(spelling)


async def test_a_choice_and_its_row_say_who_stated_and_who_recorded_it(
    choices: SharingChoices, store: SqlStore
) -> None:
    made = await record(choices, Choice.OPTED_OUT)
    assert (made.stated_by, made.channel, made.recorded_by) == (StatedBy.PROXY, Channel.PHONE, CLERK.user_id)
    assert (made.recorded_by_name, made.organisation, made.recorded_at) == ("Sam Okoro", "RJ2", NOON)
    assert SEALER.open_patient(made.sealed_patient) == PATIENT
    [kept] = await store.rows()
    assert (kept.row.kind, kept.row.subject, kept.row.patient) == (Kind.SHARING_CHOICE, made.id, made.patient)
    assert kept.row.detail == "opted-out, stated by proxy, by phone"
    assert kept.row.door == "POST /sharing-choices"


async def test_how_they_were_identified_is_kept_and_vouched_for(choices: SharingChoices, store: SqlStore) -> None:
    made = await choices.record(
        CLERK, PATIENT, Choice.OPTED_OUT, StatedBy.PATIENT, Channel.PHONE, "r-1", identified_by=IdentifiedBy.CALLED_BACK
    )
    assert await store.choices(made.patient) == [made]
    [kept] = await store.rows()
    assert kept.row.detail == "opted-out, stated by patient, by phone, identified by called-back"
    assert kept.row.bound == bound_to(made)
    others = {way: bound_to(msgspec.structs.replace(made, identified_by=way))[made.id] for way in IdentifiedBy}
    assert len(set(others.values())) == len(IdentifiedBy)


async def test_a_choice_of_before_this_was_asked_has_the_digest_that_it_had(choices: SharingChoices) -> None:
    made = await record(choices, Choice.OPTED_OUT)
    before = {name: getattr(made, name) for name in made.__struct_fields__ if name != "identified_by"}
    assert bound_to(made)[made.id] == digest_of_values(before)


async def test_what_was_said_is_kept_sealed_each_text_in_its_own_place(
    choices: SharingChoices, store: SqlStore
) -> None:
    made = await choices.record(
        CLERK,
        PATIENT,
        Choice.OPTED_OUT,
        StatedBy.REPRESENTATIVE,
        Channel.LETTER,
        "r-1",
        reason=f" Her HIV clinic is nobody's business, {PATIENT} ",
        proxy=" Ama Mensah, executor ",
    )
    assert await store.choices(made.patient) == [made]
    assert SEALER.open_text(made.reason, made.id) == "Her HIV clinic is nobody's business, [nhs-number]"
    assert SEALER.open_text(made.proxy, proxy_of(made.id)) == "Ama Mensah, executor"
    with pytest.raises(Unsealable):
        SEALER.open_text(made.proxy, made.id)
    [kept] = await store.rows()
    assert not {"HIV", "Ama", "Mensah"} & set(repr(kept).replace(",", " ").split())
    assert kept.row.bound == bound_to(made)


async def test_saying_the_same_again_is_a_new_statement(choices: SharingChoices, store: SqlStore) -> None:
    first, second = [await record(choices, Choice.OPTED_OUT) for _ in range(2)]
    assert await store.choices(first.patient) == [first, second]
    assert first.id != second.id
    assert len(await store.rows()) == 2


@pytest.mark.parametrize(
    ("stated_by", "said", "rule"),
    [
        (StatedBy.PROXY, {}, "choice.proxy-missing"),
        (StatedBy.REPRESENTATIVE, {"proxy": " x "}, "choice.proxy-missing"),
        (StatedBy.PROXY, {"proxy": "x" * (LONGEST_PROXY + 1)}, "choice.proxy-missing"),
        (StatedBy.PATIENT, {"proxy": "her son"}, "choice.proxy-not-needed"),
        (StatedBy.PATIENT, {"reason": "x" * 501}, "choice.reason-too-long"),
    ],
)
async def test_who_spoke_is_said_where_it_was_not_the_patient(
    choices: SharingChoices, store: SqlStore, stated_by: StatedBy, said: dict[str, str], rule: str
) -> None:
    with pytest.raises(BadRequest) as refused:
        await choices.record(CLERK, PATIENT, Choice.OPTED_OUT, stated_by, Channel.PHONE, "r-1", **said)
    assert refused.value.rule == rule
    assert [(kept.row.kind, kept.row.rule) for kept in await store.rows()] == [(Kind.REFUSAL, rule)]
    await choices.require_opted_in(PATIENT)


async def test_the_history_is_whole_and_reading_it_is_a_row_before(choices: SharingChoices, store: SqlStore) -> None:
    made = [await record(choices, choice) for choice in (Choice.OPTED_OUT, Choice.OPTED_IN)]
    assert await choices.history(CLERK, PATIENT, "r-2") == made
    kept = (await store.rows())[-1]
    assert (kept.row.kind, kept.row.patient, kept.row.subject) == (Kind.AUDIT_READ, made[0].patient, "sharing choices")


async def test_who_may_not_record_or_read_is_refused_by_policy_and_that_is_a_row(
    choices: SharingChoices, store: SqlStore, policy: Policy
) -> None:
    policy.allowed = ()
    with pytest.raises(Refusal, match="record-sharing-choice") as refused:
        await record(choices, Choice.OPTED_OUT)
    assert (refused.value.told, refused.value.rule) == ("Your role may not do this.", "default-deny")
    with pytest.raises(Refusal, match="read-sharing-choices"):
        await choices.history(CLERK, PATIENT, "r-2")
    rows = [kept.row for kept in await store.rows()]
    assert [(row.kind, row.rule, row.patient) for row in rows] == [
        (Kind.REFUSAL, "default-deny", SEALER.patient_tag(PATIENT))
    ] * 2
    await choices.require_opted_in(PATIENT)


async def test_half_a_yes_is_a_no(choices: SharingChoices, policy: Policy) -> None:
    policy.shown = Shown.OUTLINE
    with pytest.raises(Refusal):
        await record(choices, Choice.OPTED_OUT)


async def test_a_wrong_number_is_refused_with_what_to_do(choices: SharingChoices, store: SqlStore) -> None:
    with pytest.raises(BadRequest, match="check digit") as refused:
        await record(choices, Choice.OPTED_OUT, "9990000017")
    assert refused.value.expression == "nhsNumber"
    with pytest.raises(BadRequest):
        await choices.history(CLERK, "12", "r-2")
    with pytest.raises(BadRequest):
        await choices.require_opted_in("12")
    assert [kept.row.rule for kept in await store.rows()] == ["nhs-number.invalid"] * 2


async def test_a_choice_that_could_not_be_written_is_not_acknowledged(choices: SharingChoices, store: SqlStore) -> None:
    await store.aclose()
    with pytest.raises(AuditUnavailable):
        await record(choices, Choice.OPTED_OUT)
    with pytest.raises(AuditUnavailable):
        await choices.require_opted_in(PATIENT)
