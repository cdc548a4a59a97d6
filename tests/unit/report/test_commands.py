"""`connectcare audit report` and `check-report`, on a store that a gateway left."""

from __future__ import annotations

import asyncio
import json
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from gateway.audit.checkpoints import Checkpointer, new_key
from gateway.audit.log.note import SigningKey
from gateway.audit.log.signer import LocalSigner
from gateway.audit.row import Kind
from gateway.cli import app
from gateway.sealed import new_master_key
from gateway.store.moments import utc_now
from gateway.store.sqlite import SqliteStore
from tests.unit.report.world import KEY, NOBODY, PATIENT, SEALER, World


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with one look at the patient, signed."""
    (tmp_path / "master.key").write_text(bytes(range(32)).hex())
    new_key(tmp_path / "checkpoint.key", KEY.origin)
    asyncio.run(_filled(tmp_path))
    return tmp_path


async def _filled(data: Path, looks: int = 1) -> None:
    store = SqliteStore(data, clock=utc_now)
    try:
        await store.hold_to_key(SEALER.fingerprint(), SEALER.opens)
        for _ in range(looks):
            intent = await store.append(World().row(Kind.INTENT))
            await store.append(World().row(Kind.RELEASE, intent=intent, basis="patient-agreed", seen={"results": 4}))
        signer = LocalSigner(SigningKey.load(data / "checkpoint.key"))
        assert await Checkpointer(store, signer, utc_now, 10).checkpoint()
    finally:
        await store.aclose()


def reported(data: Path, out: str = "report.json", *more: str, typed: str = PATIENT) -> Result:
    given = ["--data", str(data), "--key-file", str(data / "master.key"), "--out", str(data / out)]
    return CliRunner().invoke(app, ["audit", "report", *given, *more], input=f"{typed}\n")


def checked(data: Path, file: str, *more: str) -> Result:
    given = ["--key", str(data / "checkpoint.key.pub"), *more]
    return CliRunner().invoke(app, ["audit", "check-report", str(data / file), *given])


def test_a_report_is_a_file_that_only_its_owner_reads_and_that_checks_out(data: Path) -> None:
    done = reported(data, typed="999 000 0409")
    assert done.exit_code == 0, done.output
    assert "nobody else looked." in done.stderr
    assert stat.S_IMODE((data / "report.json").stat().st_mode) == 0o600
    proven = checked(data, "report.json")
    assert (proven.exit_code, proven.output.startswith("These 2 rows are all")) == (0, True)


def test_nobody_looked(data: Path) -> None:
    assert reported(data, typed=NOBODY).exit_code == 0
    assert checked(data, "report.json").output.endswith("nobody looked.\n")


def test_the_page_and_the_lines_are_held_against_the_report(data: Path) -> None:
    assert reported(data).exit_code == 0
    for form in ("html", "csv"):
        assert reported(data, f"report.{form}", "--format", form).exit_code == 0
    assert checked(data, "report.html").exit_code == 0
    same = ["--same", str(data / "report.csv")]
    assert checked(data, "report.json", *same).exit_code == 0
    text = (data / "report.csv").read_bytes().replace(b"Dr Ada Obi", b"Dr Someone")
    (data / "report.csv").write_bytes(text)
    other = checked(data, "report.json", *same)
    assert (other.exit_code, "doesn't say what this report says" in other.output) == (1, True)


def test_an_erasure_of_the_store_is_told_and_proven(data: Path) -> None:
    asyncio.run(_erased(data))
    assert reported(data).exit_code == 0
    assert checked(data, "report.json").exit_code == 0
    [line] = json.loads((data / "report.json").read_text())["events"]
    assert (line["what"], line["rows"]) == ("erased", [1, 2])


async def _erased(data: Path) -> None:
    store = SqliteStore(data, clock=utc_now)
    try:
        row = World().row(Kind.ERASED, None, None)
        assert await store.erase(before=datetime(2026, 6, 1, tzinfo=UTC), row=row) == 2
        await Checkpointer(store, LocalSigner(SigningKey.load(data / "checkpoint.key")), utc_now, 10).checkpoint()
    finally:
        await store.aclose()


def test_verify_takes_a_report_too(data: Path) -> None:
    assert reported(data).exit_code == 0
    given = ["audit", "verify", "--key", str(data / "checkpoint.key.pub"), "--report", str(data / "report.json")]
    done = CliRunner().invoke(app, given)
    assert (done.exit_code, done.output.endswith("nobody else looked.\n")) == (0, True), done.output
    asyncio.run(_filled(data))
    assert reported(data, "newer.json").exit_code == 0
    (data / "newest").write_text(json.loads((data / "newer.json").read_text())["proof"]["note"])
    assert CliRunner().invoke(app, [*given, "--checkpoint", str(data / "newest")]).exit_code == 1
    assert CliRunner().invoke(app, [*given, "--data", str(data)]).exit_code == 2


def test_a_report_that_does_not_hold_is_exit_code_1(data: Path) -> None:
    assert reported(data).exit_code == 0
    file = data / "report.json"
    file.write_text(file.read_text().replace("Dr Ada Obi", "Dr Someone"))
    lied = checked(data, "report.json")
    assert lied.exit_code == 1
    assert lied.output.startswith("This report does NOT hold:\nLine 1")


def test_a_newer_checkpoint_and_an_earlier_report_show_an_old_one(data: Path) -> None:
    assert reported(data).exit_code == 0
    asyncio.run(_filled(data))
    assert reported(data, "newer.json").exit_code == 0
    (data / "newest").write_text(json.loads((data / "newer.json").read_text())["proof"]["note"])
    (data / "oldest").write_text(json.loads((data / "report.json").read_text())["proof"]["note"])
    assert checked(data, "report.json", "--newest", str(data / "newest")).exit_code == 1
    assert checked(data, "newer.json", "--newest", str(data / "oldest")).exit_code == 0
    assert checked(data, "newer.json", "--earlier", str(data / "report.json")).exit_code == 0
    assert checked(data, "report.json", "--earlier", str(data / "newer.json")).exit_code == 1


def test_a_part_of_the_time_begins_at_midnight_in_the_united_kingdom(data: Path) -> None:
    assert reported(data, "report.json", "--since", "2026-05-03", "--until", "2026-05-04").exit_code == 0
    assert json.loads((data / "report.json").read_text())["period"] == {
        "since": "2026-05-03T00:00:00+01:00",
        "until": "2026-05-04T00:00:00+01:00",
    }
    assert reported(data, "empty.json", "--since", "2026-05-04").exit_code == 0
    assert json.loads((data / "empty.json").read_text())["events"] == []
    assert checked(data, "empty.json").exit_code == 0


@pytest.mark.parametrize(
    ("more", "typed", "told"),
    [
        (["--format", "pdf"], PATIENT, "--format is one of json, csv, html."),
        (["--since", "2026-05-04", "--until", "2026-05-03"], PATIENT, "--since must be before --until."),
        ([], "9990000408", "NHS number"),
        ([], "", "NHS number"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_exit_code_2(data: Path, more: list[str], typed: str, told: str) -> None:
    done = reported(data, "report.json", *more, typed=typed)
    assert (done.exit_code, told in done.stderr) == (2, True), done.output
    assert not (data / "report.json").exists()
    assert "9990000408" not in done.output


def test_it_never_writes_over_a_file(data: Path) -> None:
    (data / "report.json").write_text("somebody's")
    done = reported(data)
    assert (done.exit_code, "exists already" in done.stderr) == (2, True)
    assert (data / "report.json").read_text() == "somebody's"


def test_another_master_key_would_find_nobody_so_it_is_refused(data: Path) -> None:
    (data / "master.key").unlink()
    new_master_key(data / "master.key")
    done = reported(data)
    assert (done.exit_code, "another key" in done.stderr) == (2, True), done.output


def test_without_the_public_key_it_says_which_to_give(data: Path) -> None:
    (data / "checkpoint.key.pub").unlink()
    done = reported(data)
    assert (done.exit_code, "--key FILE.pub" in done.stderr) == (2, True)
    assert reported(data, "report.json", "--key", str(data / "master.key")).exit_code == 2
