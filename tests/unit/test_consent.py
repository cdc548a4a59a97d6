"""Choices and permissions as FHIR: valid R4, true to what is in force, and without what people wrote."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B.consent import Consent

from connectors.sdk.organisations import OrganisationType
from gateway.api.consent_search import ConsentPager
from gateway.audit.journal import Journal
from gateway.audit.row import Kind
from gateway.caller.model import Caller, Role
from gateway.choice.consents import Consents
from gateway.choice.extension import Extension
from gateway.choice.model import Basis, Channel, Choice, IdentifiedBy, Scope, StatedBy
from gateway.choice.permission import Permissions
from gateway.choice.reasons import AT_THE_POINT_OF_CARE, ReasonCode
from gateway.choice.sharing import SharingChoices
from gateway.errors import BadRequest, Gone, NotFound, Refusal
from gateway.policy.model import Decision, Shown
from gateway.sealed import Sealer
from gateway.store.sqlite import SqliteStore

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
PATIENT = "9990000018"
SEALER = Sealer(bytes(32))
OFFICER = Caller(
    issuer="https://issuer.example", user_id="555021935107", name="Graham Ellery", role_profile_id="555254242106",
    job_role_code="R0001", role=Role.PRIVACY_OFFICER, organisation="RJ2",
    organisation_name="Lewisham and Greenwich NHS Trust", organisation_type=OrganisationType.ACUTE_TRUST,
    client_id="desk",
)  # fmt: skip


class Desk:
    """What the tests hold of it. `may` refuses what `refused` names."""

    def __init__(self, store: SqliteStore) -> None:
        self.now = NOON
        self.store = store
        self.refused = ""
        journal = Journal(store, SEALER, lambda: "hash", self.clock)
        self.choices = SharingChoices(store, SEALER, journal, self.may, self.clock)
        self.permissions = Permissions(store, SEALER, journal, self.may, self.clock)
        self.consents = Consents(store, SEALER, journal, self.may, self.clock)

    def clock(self) -> datetime:
        return self.now

    def may(self, action: str, caller: Caller) -> Decision:
        return Decision(Shown.WITHHELD if action == self.refused else Shown.WHOLE, action, f"No: {action}.")

    async def choose(
        self,
        choice: Choice,
        stated_by: StatedBy = StatedBy.PATIENT,
        proxy: str = "",
        reason: str = "",
        identified_by: IdentifiedBy = IdentifiedBy.NOT_SAID,
    ) -> str:
        self.now += timedelta(minutes=1)
        made = await self.choices.record(
            OFFICER,
            PATIENT,
            choice,
            stated_by,
            Channel.PHONE,
            "r-1",
            reason=reason,
            proxy=proxy,
            identified_by=identified_by,
        )
        return made.id

    async def permit(self, basis: Basis = Basis.PATIENT_AGREED, **asked: Any) -> str:
        self.now += timedelta(minutes=1)
        asked = {"reason": "", "scope": Scope.STANDARD} | asked
        made = await self.permissions.grant(OFFICER, PATIENT, basis, request_id="r-1", **asked)
        return made.id

    async def all(self) -> list[dict[str, Any]]:
        found = await self.consents.about(OFFICER, PATIENT, "r-2", door="GET /fhir/R4/Consent")
        for each in found:
            Consent.model_validate(each)
        return found


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    store = SqliteStore(tmp_path, clock=lambda: made.now)
    made = Desk(store)
    yield made
    await store.aclose()


def code_of(concept: dict[str, Any]) -> str:
    return str(concept["coding"][0]["code"])


async def test_the_newest_choice_is_active_and_those_it_replaced_are_not(desk: Desk) -> None:
    ids = [await desk.choose(choice) for choice in (Choice.OPTED_OUT, Choice.OPTED_IN, Choice.OPTED_OUT)]
    newest, middle, oldest = await desk.all()
    assert [each["identifier"][0]["value"] for each in (oldest, middle, newest)] == ids
    assert [each["status"] for each in (newest, middle, oldest)] == ["active", "inactive", "inactive"]
    assert [code_of(each["policyRule"]) for each in (newest, middle, oldest)] == ["OPTOUT", "OPTIN", "OPTOUT"]
    assert [each["provision"]["provision"][0]["type"] for each in (newest, middle)] == ["deny", "permit"]
    assert "end" not in newest["provision"]["period"]
    assert oldest["provision"]["period"]["end"] == middle["dateTime"]
    assert code_of(newest["scope"]) == "patient-privacy"
    assert code_of(newest["category"][0]) == "IDSCL"
    assert newest["patient"]["identifier"]["value"] == PATIENT
    assert newest["performer"] == [newest["patient"]]
    assert newest["organization"][0]["identifier"]["value"] == "RJ2"
    assert newest["verification"][0]["verifiedWith"] == newest["patient"]


async def test_how_whoever_spoke_was_identified_stands_with_the_verification(desk: Desk) -> None:
    await desk.choose(Choice.OPTED_OUT)
    await desk.choose(Choice.OPTED_OUT, identified_by=IdentifiedBy.CALLED_BACK)
    newest, before = await desk.all()
    said = [{"url": "urn:connect-care:identified-by", "valueCode": "called-back"}]
    assert newest["verification"][0]["extension"] == said
    assert "extension" not in before["verification"][0]
    Consent.model_validate(newest)


@pytest.mark.parametrize(("stated_by", "said"), [(StatedBy.PROXY, "proxy"), (StatedBy.REPRESENTATIVE, "who has died")])
async def test_who_spoke_for_the_patient_is_told_by_kind_and_never_by_name(
    desk: Desk, stated_by: StatedBy, said: str
) -> None:
    await desk.choose(Choice.OPTED_OUT, stated_by, "Ama Mensah, daughter", "her HIV clinic")
    [consent] = await desk.all()
    assert consent["performer"][0]["type"] == "RelatedPerson"
    assert said in consent["performer"][0]["display"]
    assert not [word for word in ("Ama", "Mensah", "HIV") if word in json.dumps(consent)]


async def test_a_permission_says_to_whom_for_what_and_how_long(desk: Desk) -> None:
    permission = await desk.permit(scope=Scope.INCLUDING_SENSITIVE)
    [consent] = await desk.all()
    assert (consent["status"], consent["identifier"][0]["value"]) == ("active", permission)
    assert [code_of(each) for each in consent["category"]] == ["INFA", "patient-agreed", "including-sensitive"]
    assert code_of(consent["policyRule"]) == "OPTIN"
    [rule] = consent["provision"]["provision"]
    assert rule["type"] == "permit"
    assert rule["actor"][0]["reference"]["identifier"] == {"system": OFFICER.issuer, "value": OFFICER.user_id}
    assert rule["actor"][1]["reference"]["identifier"]["value"] == "RJ2"
    assert [each["code"] for each in rule["purpose"]] == ["TREAT"]
    assert rule["period"] == consent["provision"]["period"]
    assert datetime.fromisoformat(rule["period"]["end"]) == desk.now + timedelta(hours=8)
    assert "type" not in consent["provision"], "R4: not permitted in the root rule"


@pytest.mark.parametrize("code", sorted(AT_THE_POINT_OF_CARE))
async def test_best_interests_says_that_nobody_agreed_and_on_which_national_reason(
    desk: Desk, code: ReasonCode
) -> None:
    await desk.permit(Basis.BEST_INTERESTS, reason="unconscious in resus", reason_code=code)
    [consent] = await desk.all()
    assert consent["policyRule"] == {"text": "Acting in the best interests of a patient who could not be asked"}
    assert consent["performer"][0]["identifier"]["value"] == OFFICER.user_id
    assert consent["verification"] == [{"verified": False}]
    assert [code_of(each) for each in consent["category"]] == ["INFA", "best-interests", "standard", code]
    purposes = [each["code"] for each in consent["provision"]["provision"][0]["purpose"]]
    assert purposes == ["BTG", "OVRPJ" if code is ReasonCode.OTHER else "OVRER"]
    assert "unconscious" not in json.dumps(consent)


async def test_what_does_not_hold_any_more_is_inactive(desk: Desk) -> None:
    first = await desk.permit()
    desk.now += timedelta(minutes=1)
    second = (await desk.permissions.extend(OFFICER, first, Extension(patient_asked=True), "r-1")).id
    newest, oldest = await desk.all()
    assert [each["status"] for each in (newest, oldest)] == ["active", "inactive"], "replaced by its extension"
    assert newest["sourceReference"] == {"reference": f"Consent/{oldest['id']}"}
    desk.now += timedelta(minutes=1)
    await desk.permissions.withdraw(OFFICER, second, "r-1")
    newest = (await desk.all())[0]
    assert newest["status"] == "inactive"
    assert datetime.fromisoformat(newest["provision"]["period"]["end"]) == desk.now
    third = await desk.permit()
    desk.now += timedelta(hours=8)
    newest = (await desk.all())[0]
    assert (newest["identifier"][0]["value"], newest["status"]) == (third, "inactive")


async def test_reading_is_a_row_first_and_the_policys_to_allow(desk: Desk) -> None:
    await desk.choose(Choice.OPTED_OUT)
    [consent] = await desk.all()
    one = await desk.consents.one(OFFICER, consent["id"], "r-3", door="GET /fhir/R4/Consent/{id}")
    assert one == consent
    rows = [kept.row for kept in await desk.store.rows(after=1)]
    assert [(row.kind, row.subject, row.request_id) for row in rows] == [
        (Kind.AUDIT_READ, "consents", "r-2"),
        (Kind.AUDIT_READ, "consents", "r-3"),
    ]
    assert {row.patient for row in rows} == {SEALER.patient_tag(PATIENT)}
    desk.refused = "read-consents"
    with pytest.raises(Refusal, match="read-consents"):
        await desk.all()
    with pytest.raises(Refusal, match="read-consents"):
        await desk.consents.one(OFFICER, consent["id"], "r-3", door="GET /fhir/R4/Consent/{id}")


@pytest.mark.parametrize(
    "consent_id",
    ["", "1", "a" * 54, SEALER.seal_id(PATIENT, "RJ2", "Consent", "no-such"), SEALER.seal_id(PATIENT, "RJ2", "X", "1")],
)
async def test_an_id_that_was_never_given_is_not_found_and_says_no_more(desk: Desk, consent_id: str) -> None:
    await desk.choose(Choice.OPTED_OUT)
    with pytest.raises(NotFound) as refused:
        await desk.consents.one(OFFICER, consent_id, "r-3", door="GET /fhir/R4/Consent/{id}")
    assert refused.value.rule == "consent.unknown-id"
    assert refused.value.journalled is not None


async def test_a_patient_of_whom_nothing_is_recorded_has_none(desk: Desk) -> None:
    assert await desk.all() == []
    with pytest.raises(BadRequest):
        await desk.consents.about(OFFICER, "9990000017", "r-2", door="GET /fhir/R4/Consent")


def pager(now: datetime = NOON, bound_to: str = "officer") -> ConsentPager:
    return ConsentPager(SEALER, "https://connectcare.example/fhir/R4", now, bound_to)


async def test_a_cursor_is_its_callers_own_for_a_quarter_of_an_hour_and_for_this_search(desk: Desk) -> None:
    for choice in (Choice.OPTED_OUT, Choice.OPTED_IN):
        await desk.choose(choice)
    consents = await desk.all()
    query = pager().read([("patient", PATIENT), ("_count", "1")])
    cursor = pager().page(query, consents).links["next"].partition("_cursor=")[2]
    resumed = pager(NOON + timedelta(minutes=15)).read([("_cursor", cursor), ("_format", "json")])
    page = pager().page(resumed, consents)
    assert (page.consents, page.total) == ((consents[1],), 2)
    assert set(page.links) == {"self"}
    other = SEALER.seal_cursor({"t": "Observation", "q": [], "a": "", "at": int(NOON.timestamp())}, "officer")
    for asked, given in (
        (pager(NOON + timedelta(minutes=16)), cursor),
        (pager(NOON - timedelta(minutes=1)), cursor),
        (pager(bound_to="somebody else"), cursor),
        (pager(), other),
    ):
        with pytest.raises(BadRequest) as refused:
            asked.read([("_cursor", given)])
        assert refused.value.rule == "search.cursor"
    with pytest.raises(Gone):
        pager().page(resumed, consents[1:])
