"""The journal: every look, every refusal and every reading of it is a row, and no row tells what only a record may."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.sdk.model import Section
from connectors.sdk.nhs_number import is_nhs_number
from connectors.sdk.organisations import OrganisationType
from gateway.audit.journal import LONGEST_REQUEST_ID, LONGEST_TEXT, Journal
from gateway.audit.read import MOST_ON_A_PAGE, AuditReader, Query
from gateway.audit.row import Alarm, Kind, Who
from gateway.audit.scrub import SCRUBBED, scrub, scrub_id
from gateway.caller.model import Caller, Role
from gateway.errors import AuditUnavailable, BadRequest, NotFound, Refusal
from gateway.policy.model import Decision, Shown
from gateway.sealed import Sealer
from gateway.store.sql.store import SqlStore
from tests.stores import Place

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
PATIENT = "9990000018"
OTHER_PATIENT = "9990000026"
SEALER = Sealer(bytes(32))
TAG = SEALER.patient_tag(PATIENT)


def a_caller(role: Role = Role.GP) -> Caller:
    return Caller(
        issuer="https://issuer.example",
        user_id="555021935107",
        name="Asha Rahman",
        role_profile_id="555254242106",
        job_role_code="R0260",
        role=role,
        organisation="G85005",
        organisation_name="South Lewisham Group Practice",
        organisation_type=OrganisationType.GP_PRACTICE,
        client_id="viewer",
    )


GP = a_caller()
OFFICER = a_caller(Role.PRIVACY_OFFICER)


def may(action: str, caller: Caller) -> Decision:
    """Privacy officers read the audit; nobody does anything else."""
    if (action, caller.role) == ("read-audit", Role.PRIVACY_OFFICER):
        return Decision(Shown.WHOLE, "audit.privacy-officers-read", "Privacy officers read the audit.")
    return Decision(Shown.WITHHELD, "default-deny", "Only privacy officers read the audit.")


@pytest.fixture
def store(place: Place) -> SqlStore:
    return place.open(clock=lambda: NOON)


@pytest.fixture
def journal(store: SqlStore) -> Journal:
    return Journal(store, SEALER, lambda: "hash-of-today", lambda: NOON)


@pytest.fixture
def reader(store: SqlStore, journal: Journal) -> AuditReader:
    return AuditReader(store, SEALER, journal, may)


class TestRows:
    async def test_an_intent_names_who_from_where_about_whom_and_for_what(
        self, store: SqlStore, journal: Journal
    ) -> None:
        seq = await journal.intend(
            GP, "r-1", "POST /records", "999 000 0018", sections={Section.RESULTS, Section.ALLERGIES}, subject="s"
        )
        [kept] = await store.rows()
        row = kept.row
        assert (kept.seq, row.kind, row.at, row.door, row.request_id) == (
            seq,
            Kind.INTENT,
            NOON,
            "POST /records",
            "r-1",
        )
        assert row.who == Who.of(GP)
        assert (row.sections, row.policy_hash, row.subject) == (["allergies", "results"], "hash-of-today", "s")
        assert row.patient == TAG
        assert SEALER.open_patient(row.sealed_patient or "") == PATIENT

    async def test_the_key_of_a_row_is_the_key_of_its_caller(self) -> None:
        assert Who.of(GP).key == GP.key

    async def test_the_number_itself_is_nowhere_in_the_store(
        self, store: SqlStore, journal: Journal, place: Place
    ) -> None:
        said = f"asked for {PATIENT} and 999 000 0026"
        await journal.intend(GP, f"trace-{PATIENT}", f"GET /x/{PATIENT}", PATIENT, subject=said)
        await journal.refuse(BadRequest("no", rule="r", detail=said), GP, "r", "d", nhs_number=PATIENT, subject=said)
        content = place.everything()
        assert TAG.encode() in content
        assert PATIENT.encode() not in content
        assert b"999 000 0026" not in content

    async def test_an_intent_about_a_number_that_is_none_is_a_mistake_of_ours(self, journal: Journal) -> None:
        with pytest.raises(ValueError, match="NHS number"):
            await journal.intend(GP, "r-1", "POST /records", "9990000017")

    async def test_long_texts_are_cut(self, journal: Journal) -> None:
        row = journal.row(Kind.REFUSAL, GP, "i" * 999, "d", detail="x" * 9999, subject="y" * 9999)
        assert (len(row.detail), len(row.subject)) == (LONGEST_TEXT, LONGEST_TEXT)
        assert len(row.request_id) == LONGEST_REQUEST_ID
        cut = journal.row(Kind.REFUSAL, GP, "i" * (LONGEST_REQUEST_ID - 9) + PATIENT, "d")
        assert PATIENT[:9] not in cut.request_id, "half a number would pass the scrub: it goes before the cut"


class TestRefusals:
    async def test_a_refusal_is_as_detailed_as_a_grant(self, store: SqlStore, journal: Journal) -> None:
        error = Refusal("told", rule="some.rule", detail="for the operator")
        seq = await journal.refuse(
            error,
            GP,
            "r-1",
            "POST /records",
            nhs_number=PATIENT,
            sections=["results"],
            intent=7,
            alarms=[Alarm(source="RJ2", kind="wrong-patient", count=2)],
        )
        [kept] = await store.rows()
        row = kept.row
        assert (row.kind, row.status, row.rule, row.detail) == (Kind.REFUSAL, 403, "some.rule", "for the operator")
        assert (row.who, row.patient, row.sections, row.intent) == (Who.of(GP), TAG, ["results"], 7)
        assert row.alarms == [Alarm(source="RJ2", kind="wrong-patient", count=2)]
        assert error.journalled == seq == 1

    async def test_one_refusal_is_one_row_through_however_many_hands(self, store: SqlStore, journal: Journal) -> None:
        with pytest.raises(NotFound) as caught:
            async with journal.refusals(GP, "r-1", "outer"), journal.refusals(GP, "r-1", "inner"):
                raise NotFound("no such thing", rule="nothing")
        assert await journal.refuse(caught.value, GP, "r-1", "last") == 1
        assert [kept.row.door for kept in await store.rows()] == ["inner"]

    async def test_a_spelling_with_spaces_names_the_patient_and_a_wrong_number_nobody(
        self, store: SqlStore, journal: Journal
    ) -> None:
        for typed in ("999 000 0018", "9990000017", "my number", None):
            await journal.refuse(BadRequest("no", rule="r"), GP, "r", "d", nhs_number=typed)
        assert [kept.row.patient for kept in await store.rows()] == [TAG, None, None, None]

    async def test_a_refusal_without_a_person_is_possible(self, store: SqlStore, journal: Journal) -> None:
        await journal.refuse(BadRequest("no", rule="r"), None, "r", "d")
        assert (await store.rows())[0].row.who is None

    async def test_where_the_refusal_cannot_be_written_the_answer_is_that(
        self, store: SqlStore, journal: Journal
    ) -> None:
        await store.aclose()
        with pytest.raises(AuditUnavailable):
            async with journal.refusals(GP, "r-1", "d"):
                raise NotFound("no such thing", rule="nothing")
        with pytest.raises(AuditUnavailable, match="as it came"):
            async with journal.refusals(GP, "r-1", "d"):
                raise AuditUnavailable("as it came")

    async def test_other_errors_are_not_refusals(self, store: SqlStore, journal: Journal) -> None:
        with pytest.raises(ZeroDivisionError):
            async with journal.refusals(GP, "r-1", "d"):
                raise ZeroDivisionError
        assert await store.rows() == []


class TestReading:
    async def filled(self, journal: Journal, rows: int = 5) -> None:
        await asyncio.gather(*(journal.intend(GP, f"r-{n}", "POST /records", PATIENT) for n in range(rows)))
        await journal.intend(GP, "r-other", "POST /records", OTHER_PATIENT)

    async def test_a_privacy_officer_reads_and_that_is_a_row_before(
        self, store: SqlStore, journal: Journal, reader: AuditReader
    ) -> None:
        await self.filled(journal)
        page = await reader.read(OFFICER, Query(nhs_number="999 000 0018"), "r-audit")
        assert [kept.row.kind for kept in page.rows] == [Kind.INTENT] * 5
        assert page.after is None
        [read] = await store.rows(kinds=frozenset({Kind.AUDIT_READ}))
        assert (read.row.who, read.row.patient, read.row.door) == (Who.of(OFFICER), TAG, "POST /audit/_search")
        assert read.seq == page.before == 7

    async def test_nothing_is_read_where_the_reading_cannot_be_written(
        self, store: SqlStore, journal: Journal, reader: AuditReader, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await self.filled(journal)

        async def unavailable(row: object) -> int:
            raise AuditUnavailable("full")

        monkeypatch.setattr(store, "append", unavailable)
        with pytest.raises(AuditUnavailable):
            await reader.read(OFFICER, Query(nhs_number=PATIENT), "r-audit")

    async def test_others_are_refused_and_that_is_a_row(
        self, store: SqlStore, journal: Journal, reader: AuditReader
    ) -> None:
        await self.filled(journal, 1)
        with pytest.raises(Refusal, match="policy refused read-audit") as refused:
            await reader.read(GP, Query(nhs_number=PATIENT), "r-audit")
        assert refused.value.told == "Only privacy officers read the audit."
        [row] = [kept.row for kept in await store.rows(kinds=frozenset({Kind.REFUSAL}))]
        assert (row.rule, row.status, row.patient) == ("default-deny", 403, TAG)

    async def test_pages_end_although_each_reading_adds_a_row(self, journal: Journal, reader: AuditReader) -> None:
        await self.filled(journal)
        query, seen = Query(nhs_number=PATIENT), []
        page = await reader.read(OFFICER, query, "r", limit=1)
        for _ in range(20):
            seen += [kept.row.request_id for kept in page.rows]
            if page.after is None:
                break
            page = await reader.read(OFFICER, query, "r", limit=1, after=page.after, before=page.before)
        assert sorted(seen) == [f"r-{n}" for n in range(5)]

    async def test_it_finds_by_user_organisation_kind_request_and_time_and_says_so(
        self, store: SqlStore, journal: Journal, reader: AuditReader
    ) -> None:
        await self.filled(journal)
        query = Query(
            user_id=GP.user_id,
            organisation="G85005",
            kinds=frozenset({Kind.INTENT}),
            request_id="r-other",
            since=NOON,
            until=NOON + timedelta(seconds=1),
        )
        page = await reader.read(OFFICER, query, "r-audit")
        assert [kept.row.request_id for kept in page.rows] == ["r-other"]
        [read] = await store.rows(kinds=frozenset({Kind.AUDIT_READ}))
        assert read.row.subject == (
            "user=555021935107 organisation=G85005 kinds=intent request=r-other "
            "since=2026-03-02T12:00:00+00:00 until=2026-03-02T12:00:01+00:00 after=0"
        )

    @pytest.mark.parametrize(
        ("query", "limit", "rule"),
        [
            (Query(), 10, "audit.query-empty"),
            (Query(kinds=frozenset()), 10, "audit.query-empty"),
            (Query(user_id="u"), 0, "audit.page-size"),
            (Query(user_id="u"), MOST_ON_A_PAGE + 1, "audit.page-size"),
            (Query(nhs_number="9990000017"), 10, "nhs-number.invalid"),
        ],
    )
    async def test_a_wrong_question_is_a_row_too(
        self, store: SqlStore, reader: AuditReader, query: Query, limit: int, rule: str
    ) -> None:
        with pytest.raises(BadRequest):
            await reader.read(OFFICER, query, "r-audit", limit=limit)
        assert [kept.row.rule for kept in await store.rows()] == [rule]


class TestScrub:
    @pytest.mark.parametrize(
        "text",
        [
            "9990000018",
            "999 000 0018",
            "999-000-0018",
            "999\u00a0000\u20130018",
            "999%20000%200018",
            "999+000+0018",
            "9 9 9 0 0 0 0 0 1 8",
            "999 - 000 - 0018",
        ],
    )
    @pytest.mark.parametrize(
        ("before", "after"), [("", ""), ("a ", " b"), ("nhs", "x"), ("2026-03-02 ", " 17"), ("1 ", " 2"), ('"', '"')]
    )
    def test_an_nhs_number_goes_in_whatever_spelling_and_company(self, text: str, before: str, after: str) -> None:
        scrubbed = scrub(f"{before}{text}{after}")
        assert SCRUBBED in scrubbed
        assert "0018" not in scrubbed

    def test_two_numbers_beside_each_other_both_go(self) -> None:
        assert scrub("9990000018 9990000026") == f"{SCRUBBED} {SCRUBBED}"
        assert scrub("from 9990000018, to 999 000 0026.") == f"from {SCRUBBED}, to {SCRUBBED}."

    @pytest.mark.parametrize(
        "text", ["", "no digits", "9990000017", "12345678901234", "R0260 G85005", "2026-03-02T12:00:00Z", "1111111111"]
    )
    def test_what_is_none_stays(self, text: str) -> None:
        assert scrub(text) == text

    def test_a_request_id_that_is_a_uuid_stays_and_any_other_is_scrubbed(self) -> None:
        uuid = "aaaa9990-0000-4180-8000-aaaaaaaaaaaa"
        hidden = "99900000-18aa-4aaa-8aaa-aaaaaaaaaaaa"
        assert (scrub_id(uuid), scrub_id(hidden)) == (uuid, hidden)
        assert scrub(hidden) != hidden
        assert scrub_id("trace 999 000 0018") == f"trace {SCRUBBED}"

    @given(st.text(alphabet="0189 -x", max_size=60))
    def test_none_is_left_and_scrubbing_again_changes_nothing(self, text: str) -> None:
        scrubbed = scrub(text)
        runs = scrubbed.replace(SCRUBBED, "|").replace("-", "|").replace(" ", "|").replace("x", "|").split("|")
        assert not any(is_nhs_number(run) for run in runs)
        assert scrub(scrubbed) == scrubbed
