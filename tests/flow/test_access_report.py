"""The access report of a running gateway: made of what really happened, proven by its own checkpoint."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2
from typer.testing import CliRunner

from gateway.audit.checkpoints import load_public
from gateway.audit.report.check import check_report
from gateway.cli import app
from tests.flow.stack import GRACE, STRANGER, Stack, running, told

VERIFIER = Path(__file__).parents[2] / "docs" / "verify-report.py"
PAPERS = {"basis": "court-order", "reference": "KB-2026-001", "recipient": "HM Coroner", "policy": "whole-record"}


async def reported(stack: Stack, nhs_number: str = GRACE, who: str = "privacy-officer", **more: Any) -> httpx2.Response:
    return await stack.post("/access-reports", {"nhsNumber": nhs_number, **more}, who)


def key_of(stack: Stack) -> Path:
    return stack.data / "checkpoint.key.pub"


async def a_story(stack: Stack) -> None:
    """What happens to the demo's Grace: asked and looked at, found by nobody, in best interests, opted out, refused."""
    assert (await stack.everything(GRACE)).status_code == 403
    await stack.agree(GRACE)
    assert (await stack.everything(GRACE)).status_code == 200
    best = {"nhsNumber": GRACE, "basis": "best-interests", "reason": "GCS 3, unknown cause", "reasonCode": "emergency"}
    assert (await stack.post("/permissions", best, "hospital-doctor")).status_code == 201
    assert (await stack.everything(GRACE, "hospital-doctor")).status_code == 200
    await stack.choose(GRACE, "opted-out")
    assert (await stack.everything(GRACE)).status_code == 403


async def test_a_patients_report_answers_what_they_ask_first(stack: Stack) -> None:
    await a_story(stack)
    answer = await reported(stack)
    assert answer.status_code == 200, answer.text
    assert check_report(answer.content, load_public(key_of(stack))) == []
    report = answer.json()
    said = {each["question"]: " ".join(each["answer"]) for each in report["glance"]}
    assert said["Who looked at me?"].startswith("2 people looked at your record:")
    assert "a GP at" in said["Who looked at me?"]
    assert "a hospital doctor at" in said["Who looked at me?"]
    assert said["Why did they look?"].startswith("To give you care.")
    assert "your medicines" in said["What did they see?"]
    assert "because you had opted out (once)" in said["Was anybody stopped?"]
    assert "because they had not asked you first (once)" in said["Was anybody stopped?"]
    assert said["Did anybody look without asking me?"].startswith("Yes, in your best interests.")
    assert "It was an emergency." in said["Did anybody look without asking me?"]
    kinds = [event["what"] for event in report["events"]]
    assert kinds == ["refused", "permission", "looked", "permission", "looked", "choice", "refused", "audit-read"]
    assert report["complete"].startswith("These ")
    assert report["complete"].endswith("nobody else looked.")
    assert all(event.get("proven", True) for event in report["events"])


async def test_every_row_stands_in_just_one_line_that_tells_nothing_clinical_and_no_staff_number(stack: Stack) -> None:
    await a_story(stack)
    report = (await reported(stack)).json()
    rows = sorted(number for event in report["events"] for number in event["rows"])
    assert rows == list(range(1, report["proof"]["count"] + 1))
    assert len(rows) == len(report["proof"]["rows"])
    shown = json.dumps({name: part for name, part in report.items() if name != "proof"})
    row = (await stack.rows(GRACE))[0]
    for hidden in (row["who"]["user_id"], row["who"]["role_profile_id"], "GCS 3", "CANARY", "canary", "withheld"):
        assert hidden not in shown


async def test_nobody_looked_is_proven_too(stack: Stack) -> None:
    await a_story(stack)
    while await stack.parts.checkpointer.checkpoint():
        pass
    answer = await stack.parts.reports.maker.make(STRANGER)
    assert answer.complete.endswith("nobody looked.")
    first = (await reported(stack, STRANGER)).json()
    assert [event["what"] for event in first["events"]] == ["audit-read"]
    assert first["glance"][0]["answer"] == ["Nobody looked at your record."]


async def test_other_forms_and_parts_of_the_time_come_as_files_that_name_nobody(stack: Stack) -> None:
    await a_story(stack)
    page = await reported(stack, format="html")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["content-disposition"] == 'attachment; filename="access-report.html"'
    assert check_report(page.content, load_public(key_of(stack))) == []
    assert "<script" not in page.text
    lines = await reported(stack, format="csv")
    assert lines.headers["content-type"].startswith("text/csv")
    assert lines.content.startswith(b"\xef\xbb\xbf")
    whole = (await reported(stack)).json()
    since = whole["events"][4]["at"]
    part = await reported(stack, since=since)
    assert check_report(part.content, load_public(key_of(stack))) == []
    shown = part.json()
    assert shown["events"][0]["at"] == since
    assert len(shown["proof"]["rows"]) > len(whole["proof"]["rows"])
    assert "a part of the list only" in " ".join(shown["introduction"])


async def test_only_privacy_officers_make_reports_and_a_refusal_is_a_line_of_the_next(stack: Stack) -> None:
    answer = await reported(stack, who="gp")
    assert answer.status_code == 403
    assert "Privacy officers make the report" in told(answer)
    assert (await reported(stack, "9990000408")).status_code == 400
    assert (await reported(stack, since="2026-05-03T00:00:00")).status_code == 400
    assert (await reported(stack, since="0001-01-01T00:00:00Z")).status_code == 400
    assert (await reported(stack, since="2026-05-03T00:00:00Z", until="2026-05-02T00:00:00Z")).status_code == 400
    assert (await reported(stack, format="pdf")).status_code == 400
    events = (await reported(stack)).json()["events"]
    assert "tried to make a list of who looked at you" in events[0]["text"]
    assert "because their job does not let them" in events[0]["text"]


async def test_a_lawful_disclosure_is_told(stack: Stack) -> None:
    await stack.agree(GRACE)
    born = (await stack.get(f"/fhir/R4/Patient/{GRACE}")).json()["birthDate"]
    await stack.choose(GRACE, "opted-out")
    claim = {"nhsNumber": GRACE, "birthDate": born, "reason": "Order of 2 March, for an inquest", **PAPERS}
    answer = await stack.post("/disclosures", claim, "privacy-officer")
    assert answer.status_code in (200, 201), answer.text
    report = (await reported(stack)).json()
    event = next(event for event in report["events"] if event["what"] == "disclosed")
    assert event["asked"] == "no-required-by-law"
    assert "gave a copy of your record to HM Coroner" in event["text"]
    assert "because a court ordered it" in event["text"]
    assert "KB-2026-001" in event["text"]
    assert "You had opted out" in event["text"]
    assert any(line.startswith("Yes, because the law says so.") for line in report["glance"][4]["answer"])


async def test_without_a_signature_the_report_says_what_is_not_proven_yet(stack: Stack) -> None:
    await a_story(stack)
    assert (await reported(stack)).status_code == 200

    async def nobody_signs(*_: object) -> str:
        from gateway.audit.log.notary import SignerUnavailable

        raise SignerUnavailable("no signer")

    stack.parts.checkpointer._signer.sign = nobody_signs  # type: ignore[method-assign]
    await stack.choose(GRACE, "opted-in")
    answer = await reported(stack)
    assert answer.status_code == 200, answer.text
    assert check_report(answer.content, load_public(key_of(stack))) == []
    proven = [event.get("proven", True) for event in answer.json()["events"]]
    assert proven[-2:] == [False, False]
    assert all(proven[:-2])
    assert "2 lines at the end are new" in " ".join(answer.json()["introduction"])


async def test_the_command_beside_a_running_gateway(tmp_path: Path) -> None:
    async with running(tmp_path) as stack:
        await a_story(stack)
        assert (await reported(stack)).status_code == 200
        out = tmp_path / "report.json"
        given = ["--data", str(tmp_path), "--key-file", str(tmp_path / "master.key"), "--out", str(out)]
        done = run("-m", "gateway.cli", "audit", "report", *given, typed=GRACE)
        assert done.returncode == 0, done.stderr
        assert GRACE not in " ".join(done.args)
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    key = str(tmp_path / "checkpoint.key.pub")
    checked = CliRunner().invoke(app, ["audit", "check-report", str(out), "--key", key])
    assert checked.exit_code == 0, checked.output
    assert "nobody else looked." in checked.output
    alone = run(str(VERIFIER), str(out), key)
    assert alone.returncode == 0, alone.stderr
    assert "nobody else looked." in alone.stdout


def run(*words: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], input=f"{typed}\n", capture_output=True, text=True, check=False)
