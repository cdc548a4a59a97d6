"""A privacy officer's desk, from the look that opens a case to the judgement: through the doors, the real pipeline."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from gateway.desk.follow_up import FollowUp
from tests.canaries import CANARY
from tests.flow.stack import GRACE, MIA, SIOBHAN, STRANGER, Stack, running, told

DOCTOR, HER_OFFICER = "hospital-doctor", "privacy-officer"  # both of RJ2
VANBRUGH = "privacy-officer@G83021"


async def looked(stack: Stack, nhs_number: str, who: str) -> dict[str, Any]:
    """A look at everything, with the patient's agreement; its release's row."""
    await stack.agree(nhs_number, who)
    answer = await stack.everything(nhs_number, who)
    assert answer.status_code == 200, answer.text
    return next(row for row in reversed(await stack.rows(nhs_number)) if row["kind"] == "release")


async def queue(stack: Stack, officer: str = HER_OFFICER, **wanted: Any) -> list[dict[str, Any]]:
    answer = await stack.post("/desk/_search", wanted, officer)
    assert answer.status_code == 200, answer.text
    cases: list[dict[str, Any]] = answer.json()["cases"]
    return cases


async def kinds(stack: Stack, officer: str = HER_OFFICER) -> list[str]:
    return sorted(case["kind"] for case in await queue(stack, officer))


async def best_interests(stack: Stack, nhs_number: str = GRACE) -> dict[str, Any]:
    """A look in the patient's best interests; the case that it opened."""
    body = {
        "nhsNumber": nhs_number,
        "basis": "best-interests",
        "reason": f"Unconscious, {nhs_number}",
        "reasonCode": "emergency",
    }
    answer = await stack.post("/permissions", body, DOCTOR)
    assert answer.status_code == 201, answer.text
    [case] = await queue(stack, kinds=["best-interests"])
    return case


async def test_a_best_interests_look_is_in_the_queue_when_it_is_granted(stack: Stack) -> None:
    case = await best_interests(stack)
    assert (case["nhsNumber"], case["name"], case["role"]) == (GRACE, "THORNBURY Kwame Dr", DOCTOR)
    assert (case["status"], case["overdue"], case["entries"], case["organisation"]) == ("open", False, 0, "RJ2")
    assert "best interests" in case["means"]
    due, opened = (datetime.fromisoformat(case[name]) for name in ("dueAt", "openedAt"))
    assert timedelta(hours=23) < due - opened + timedelta(days=1) < timedelta(days=8)
    granted = next(row for row in await stack.rows(GRACE) if row["kind"] == "permission-granted")
    assert granted["cases"] == [case["id"]], "opened in the transaction that granted"
    assert case["id"] in granted["bound"]


async def test_a_case_tells_the_reason_and_the_rows_and_nothing_clinical(stack: Stack) -> None:
    case = await best_interests(stack)
    await stack.everything(GRACE, DOCTOR)
    answer = await stack.get(f"/desk/{case['id']}", HER_OFFICER)
    assert answer.status_code == 200, answer.text
    detail = answer.json()
    assert detail["permission"]["reason"] == "Unconscious, [nhs-number]"
    assert detail["permission"]["basis"] == "best-interests"
    rows = {row["seq"]: row for row in await stack.rows(GRACE)}
    about = [rows[look["row"]]["kind"] for look in detail["looks"]]
    assert about == ["permission-granted", "release"]
    assert CANARY.search(answer.content) is None
    assert not {"seen", "seen_ids", "withheld"} & set(str(detail).split("'")), "not even what kind of thing was seen"
    reads = [row for row in rows.values() if row["kind"] == "audit-read" and row.get("subject") == f"case {case['id']}"]
    assert len(reads) == 1


async def test_no_case_where_the_sources_bear_the_look_out(stack: Stack) -> None:
    row = await looked(stack, GRACE, "gp")
    assert row["relationship"] == "registered"
    row = await looked(stack, GRACE, "social-worker")
    assert row["relationship"] in ("appointment", "allocation")
    assert "cases" not in row
    for officer in ("privacy-officer@G85005", "privacy-officer@709"):
        assert await kinds(stack, officer) == []


async def test_a_look_without_evidence_opens_a_case_with_its_release(stack: Stack) -> None:
    row = await looked(stack, SIOBHAN, DOCTOR)
    assert row["relationship"] == "self-claimed"
    [case] = await queue(stack)
    assert (case["kind"], case["nhsNumber"], case["requestId"]) == ("no-relationship", SIOBHAN, row["request_id"])
    assert row["cases"] == [case["id"]]
    assert row["bound"].keys() == {case["id"]}
    again = await looked(stack, SIOBHAN, DOCTOR)
    assert (again["relationship"], "cases" in again) == ("self-claimed", False), "one is open"
    assert len(await queue(stack)) == 1


async def test_a_source_that_is_down_is_no_proof(stack: Stack) -> None:
    stack.make("RJ2", "broken")
    row = await looked(stack, SIOBHAN, DOCTOR)
    assert row["relationship"] == "not-answered"
    assert await queue(stack) == []


async def test_whoever_asks_for_little_is_looked_at_later(stack: Stack) -> None:
    await stack.agree(SIOBHAN, DOCTOR)
    answer = await stack.get(f"/fhir/R4/MedicationRequest?patient={SIOBHAN}", DOCTOR)
    assert answer.status_code == 200, answer.text
    assert (await stack.rows(SIOBHAN))[-1]["relationship"] == "not-asked"
    assert await queue(stack) == []
    later = FollowUp(stack.parts.store, lambda: datetime.now(UTC) + timedelta(minutes=16))
    assert await later.catch_up() == 1
    assert await kinds(stack) == ["no-relationship"]


async def test_own_record_and_a_colleagues(stack: Stack) -> None:
    nurse, gp = "nurse@G83021", "gp@G83021"
    await looked(stack, SIOBHAN, gp)
    assert await kinds(stack, VANBRUGH) == [], "nobody knows yet that she works there"
    await looked(stack, SIOBHAN, nurse)
    assert await kinds(stack, VANBRUGH) == ["own-record"]
    await looked(stack, SIOBHAN, gp)
    assert await kinds(stack, VANBRUGH) == ["colleague", "own-record"]
    by = {case["kind"]: case["role"] for case in await queue(stack, VANBRUGH)}
    assert by == {"own-record": "nurse", "colleague": "gp"}


async def test_same_surname_and_same_address(stack: Stack) -> None:
    await looked(stack, MIA, "hospital-doctor@RPG")
    found = await queue(stack, "privacy-officer@RPG")
    assert {case["kind"] for case in found} == {"same-surname", "same-address"}
    kept = b"".join(path.read_bytes() for path in _files(stack.data))
    for word in (b"Plumstead", b"1988-01-30"):
        assert word not in kept, "what was compared is kept nowhere"


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def test_unusually_many_patients(tmp_path: Path) -> None:
    async with running(tmp_path, unusual_patients_a_day=2) as stack:
        for number in (GRACE, SIOBHAN, MIA):
            await looked(stack, number, DOCTOR)
            await stack.parts.volume.settled()
        [case] = await queue(stack, kinds=["unusual-volume"])
        assert case["nhsNumber"] is None
        detail = (await stack.get(f"/desk/{case['id']}", HER_OFFICER)).json()
        assert len(detail["looks"]) == 3
        assert detail["permission"] is None


async def test_from_question_to_judgement(stack: Stack) -> None:
    case = await best_interests(stack)
    move, note = f"/desk/{case['id']}/_move", f"/desk/{case['id']}/_note"
    asked = await stack.post(move, {"to": "questioned", "note": "Rang Dr Thornbury.", "seen": 0}, HER_OFFICER)
    assert (asked.status_code, asked.json()["status"], asked.json()["entries"]) == (200, "questioned", 1)
    noted = await stack.post(note, {"note": "He is in theatre until four."}, HER_OFFICER)
    assert (noted.status_code, noted.json()["status"]) == (200, "questioned")
    stale = await stack.post(move, {"to": "justified", "note": "Fine.", "seen": 1}, HER_OFFICER)
    assert stale.status_code == 409
    assert "Read it again" in told(stale)
    judged = await stack.post(move, {"to": "justified", "note": "The ambulance sheet says so.", "seen": 2}, HER_OFFICER)
    assert (judged.status_code, judged.json()["status"]) == (200, "justified")
    final = await stack.post(move, {"to": "not-justified", "note": "On second thoughts."}, HER_OFFICER)
    assert final.status_code == 409
    assert "stays so" in told(final)
    history = (await stack.get(f"/desk/{case['id']}", HER_OFFICER)).json()["history"]
    assert [(entry["number"], entry["status"]) for entry in history] == [
        (1, "questioned"), (2, "questioned"), (3, "justified"),
    ]  # fmt: skip
    assert history[2]["note"] == "The ambulance sheet says so."
    assert history[2]["byName"] == "ELLERY Graham Mr"
    moved = [row for row in await stack.rows(GRACE) if row["kind"] == "case-moved"]
    assert [list(row["bound"]) for row in moved] == [[f"{case['id']}:{number}"] for number in (1, 2, 3)]
    refusals = (await stack.post("/audit/_search", {"kinds": ["refusal"]}, HER_OFFICER)).json()["rows"]
    assert {row["rule"] for row in refusals} == {"desk.somebody-was-first", "desk.judged"}
    assert await queue(stack, status=["open", "questioned"]) == []


WRONG_MOVES: list[tuple[Any, str]] = [
    ({"to": "justified"}, "note"),
    ({"to": "justified", "note": "   "}, "Say in a note"),
    ({"to": "forgiven", "note": "Because."}, "to:"),
    ({"note": "Because."}, "to is missing"),
    ({"to": "justified", "note": "Because.", "seen": -1}, "seen"),
    ({"to": "justified", "note": "Because.", "by": "me"}, "Unknown member"),
    ({"to": "justified", "note": "x" * 2001}, "note"),
    ({"to": "justified", "note": ["x"]}, "note"),
    ([], "JSON object"),
]
WRONG_SEARCHES = [{"status": ["late"]}, {"kinds": ["x"]}, {"nhsNumber": "9990000410"}, {"limit": 0}, {"after": 2**60}]


async def test_what_is_wrong_with_a_request_is_told(stack: Stack) -> None:
    case = await best_interests(stack)
    for body, says in WRONG_MOVES:
        answer = await stack.post(f"/desk/{case['id']}/_move", body, HER_OFFICER)
        assert answer.status_code == 400, body
        assert says in told(answer)
    for wanted in WRONG_SEARCHES:
        answer = await stack.post("/desk/_search", wanted, HER_OFFICER)
        assert (answer.status_code, bool(told(answer))) == (400, True), wanted
    assert await queue(stack) == [case]


async def test_each_officer_sees_their_own_organisations_cases(stack: Stack) -> None:
    case = await best_interests(stack)
    assert await queue(stack, VANBRUGH) == []
    for answer in (
        await stack.get(f"/desk/{case['id']}", VANBRUGH),
        await stack.post(f"/desk/{case['id']}/_move", {"to": "justified", "note": "Not mine."}, VANBRUGH),
        await stack.get("/desk/nobody's", HER_OFFICER),
    ):
        assert answer.status_code == 404
    other = await stack.post("/desk/_search", {"organisation": "RJ2"}, VANBRUGH)
    assert other.status_code == 403
    assert "own organisation" in told(other)


async def test_the_desk_is_for_privacy_officers(stack: Stack) -> None:
    case = await best_interests(stack)
    others = ("gp", "hospital-doctor", "nurse", "social-worker", "commissioner")
    for who in others:
        for answer in (
            await stack.post("/desk/_search", {}, who),
            await stack.get(f"/desk/{case['id']}", who),
            await stack.post(f"/desk/{case['id']}/_move", {"to": "justified", "note": "Trust me."}, who),
            await stack.post(f"/desk/{case['id']}/_note", {"note": "Trust me."}, who),
        ):
            assert answer.status_code == 403
    refused = (await stack.post("/audit/_search", {"kinds": ["refusal"]}, HER_OFFICER)).json()["rows"]
    assert len(refused) == 4 * len(others)


async def test_pages_and_filters_by_patient(stack: Stack) -> None:
    await looked(stack, SIOBHAN, DOCTOR)
    await best_interests(stack, GRACE)
    first = (await stack.post("/desk/_search", {"limit": 1}, HER_OFFICER)).json()
    assert [case["nhsNumber"] for case in first["cases"]] == [SIOBHAN]
    second = (await stack.post("/desk/_search", {"limit": 1, "after": first["after"]}, HER_OFFICER)).json()
    assert ([case["nhsNumber"] for case in second["cases"]], second["after"]) == ([GRACE], None)
    assert [case["nhsNumber"] for case in await queue(stack, nhsNumber=GRACE)] == [GRACE]
    assert await queue(stack, nhsNumber=STRANGER) == []
    assert await queue(stack, overdue=True) == []
    assert len(await queue(stack, overdue=False, organisation="RJ2")) == 2
