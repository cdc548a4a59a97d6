"""`connectcare audit …`: what each command says, and with which exit code."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gateway.audit.checkpoints import Checkpointer, load_public, new_key
from gateway.audit.log.checkpoint import PublicKey, SigningKey
from gateway.audit.log.signer import LocalSigner, SignerClient
from gateway.audit.log.tree import ProofFailed
from gateway.audit.row import Kind
from gateway.audit.verify.proofs import check
from gateway.cli import app
from gateway.sealed import Sealer, load_master_key, new_master_key
from gateway.store.folder import Folder
from gateway.store.moments import utc_now
from gateway.store.sqlite import SqliteStore
from tests.store_rows import a_row
from tests.unit.verify.conftest import Kept

PATIENT = "9990000018"


@dataclass
class Desk:
    """A folder with a copy of the store, the public key, and pinned checkpoints."""

    folder: Path
    kept: Kept

    def run(self, *arguments: str, typed: str | None = None) -> Result:
        return CliRunner().invoke(app, ["audit", *arguments], input=typed)

    def on_store(self, command: str, *arguments: str, typed: str | None = None) -> Result:
        return self.run(command, "--data", str(self.folder), *arguments, typed=typed)

    @property
    def key(self) -> str:
        return str(self.folder / "key.pub")

    def verify(self, *arguments: str) -> Result:
        # What is signed in January 2026 isn't overdue because somebody runs this test later.
        return self.on_store("verify", "--key", self.key, *arguments)


@pytest.fixture
def desk(kept: Kept, tmp_path: Path) -> Desk:
    shutil.copytree(kept.facts.folder / "store", tmp_path / "store")
    (tmp_path / "key.pub").write_text(f"{kept.facts.public}\n")
    for number, note in enumerate(kept.facts.notes):
        (tmp_path / f"{number}.note").write_text(note)
    return Desk(tmp_path, kept)


def test_verify_says_what_holds_and_what_does_not(desk: Desk) -> None:
    good = desk.verify("--checkpoint", str(desk.folder / "1.note"), "--checkpoint", str(desk.folder / "3.note"))
    assert good.exit_code == 0, good.output
    assert "The journal is whole and unchanged, as far as it is signed." in good.output
    (desk.folder / "other.pub").write_text(f"{SigningKey.new('care.example/journal').public}\n")
    bad = desk.on_store("verify", "--key", str(desk.folder / "other.pub"))
    assert bad.exit_code == 1
    assert "The journal does NOT hold" in bad.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Name what to verify"),
        (["--data", ".", "--export", "."], "and one alone"),
        (["--data", ".", "--checkpoint", "key.pub"], "isn't a checkpoint that the pinned key signed"),
        (["--data", ".", "--checkpoint", "none.note"], "can't be read"),
        (["--data", ".", "--proof", "0.note"], "A proof is checked by itself"),
    ],
)
def test_what_can_not_be_verified_is_said(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(desk.folder)
    answer = desk.run("verify", "--key", desk.key, *arguments)
    assert answer.exit_code == 2
    assert said in answer.output


def test_bytes_that_are_no_note_and_no_key_are_said(desk: Desk) -> None:
    (desk.folder / "b").write_bytes(b"\xff\xfe")
    assert desk.verify("--checkpoint", str(desk.folder / "b")).exit_code == 2
    assert desk.on_store("verify", "--key", str(desk.folder / "b")).exit_code == 2


def test_a_row_is_proven_and_the_proof_checked_without_a_store(desk: Desk) -> None:
    answer = desk.on_store("prove", "--seq", str(desk.kept.newest.size - 2))
    assert answer.exit_code == 0, answer.output
    proof = desk.folder / "proof.json"
    proof.write_text(answer.stdout)
    shutil.rmtree(desk.folder / "store")
    checked = desk.run("verify", "--proof", str(proof), "--key", desk.key)
    assert checked.exit_code == 0
    assert f"Row {desk.kept.newest.size - 2} is in the log of {desk.kept.newest.size} rows" in checked.output
    proof.write_text(answer.stdout.replace('"status":200', '"status":201').replace('"at":"2026', '"at":"2025'))
    altered = desk.run("verify", "--proof", str(proof), "--key", desk.key)
    assert altered.exit_code == 1
    assert "The proof does NOT hold" in altered.output


def test_an_erased_row_is_proven_without_its_content(desk: Desk) -> None:
    answer = desk.on_store("prove", "--seq", "1")
    assert "salt" not in json.loads(answer.stdout)
    assert "its content was erased" in check(answer.stdout.encode(), desk.kept.facts.public)


def test_all_rows_of_a_request_are_proven(desk: Desk) -> None:
    shown = json.loads(desk.on_store("prove", "--seq", str(desk.kept.facts.size)).stdout)
    answer = desk.on_store("prove", "--request-id", shown["row"]["request_id"])
    assert [json.loads(line)["seq"] for line in answer.stdout.splitlines()] == [desk.kept.facts.size]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Say which row"),
        (["--seq", "1", "--request-id", "x"], "Say which row"),
        (["--seq", "0"], "isn't signed"),
        (["--seq", "100000"], "isn't signed"),
        (["--request-id", "nobody"], "no row of this request"),
    ],
)
def test_a_row_that_can_not_be_proven_is_said(desk: Desk, arguments: list[str], said: str) -> None:
    answer = desk.on_store("prove", *arguments)
    assert answer.exit_code == 2
    assert said in answer.output


def test_no_field_of_a_proof_can_be_changed(desk: Desk) -> None:
    public = desk.kept.facts.public
    proof = json.loads(desk.on_store("prove", "--seq", str(desk.kept.facts.size)).stdout)
    changes = {
        "seq": [0, 1, 10**9, "1"], "patient": ["0" * 64, "zz", None if proof["patient"] else "1" * 64],
        "patientSeq": [0, 2**70, -1], "commitment": ["0" * 64, "0"], "path": [[], ["x"], proof["path"] * 2],
        "checkpoint": ["", proof["checkpoint"].replace("at 2026", "at 2027")], "salt": ["0" * 64, None],
    }  # fmt: skip
    for name, values in changes.items():
        for value in values:
            with pytest.raises((ProofFailed, ValueError)):
                check(json.dumps(proof | {name: value}, separators=(",", ":")).encode(), public)
    with pytest.raises(ProofFailed):
        check(b"[]", public)


def test_a_checkpoint_goes_on_from_another(desk: Desk) -> None:
    older, newer = str(desk.folder / "0.note"), str(desk.folder / "4.note")
    answer = desk.on_store("consistency", "--key", desk.key, "--from", older)
    assert answer.exit_code == 0, answer.output
    proof = desk.folder / "proof.json"
    proof.write_text(answer.stdout)
    checked = desk.run("verify", "--proof", str(proof), "--key", desk.key)
    assert "begins with that of" in checked.output
    assert desk.on_store("consistency", "--key", desk.key, "--from", older, "--to", newer).exit_code == 0
    swapped = desk.on_store("consistency", "--key", desk.key, "--from", newer, "--to", older)
    assert swapped.exit_code == 2
    assert "swap them" in swapped.output


def test_a_fork_has_no_proof(desk: Desk) -> None:
    """Another log of the same name and key, as nobody without the key could make it."""
    from gateway.audit.log.checkpoint import Checkpoint

    facts = desk.kept.facts
    fork = desk.folder / "fork.note"
    fork.write_text(facts.key.sign(Checkpoint(facts.key.origin, 100, b"\1" * 32, b"\2" * 32, facts.ended)))
    answer = desk.on_store("consistency", "--key", desk.key, "--from", str(fork))
    assert answer.exit_code == 1
    assert "does NOT go on" in answer.output
    ahead = desk.folder / "ahead.note"
    ahead.write_text(facts.key.sign(Checkpoint(facts.key.origin, 10**6, b"\1" * 32, b"\2" * 32, facts.ended)))
    answer = desk.on_store("consistency", "--key", desk.key, "--from", str(fork), "--to", str(ahead))
    assert answer.exit_code == 2
    assert "it was cut off" in answer.output


def test_the_checkpoints_are_listed(desk: Desk) -> None:
    listed = desk.on_store("checkpoints").stdout.splitlines()
    assert len(listed) == len(desk.kept.facts.notes) + 1
    newest = desk.on_store("checkpoints", "--newest").stdout
    (desk.folder / "newest.note").write_text(newest)
    assert desk.verify("--checkpoint", str(desk.folder / "newest.note")).exit_code == 0


def test_a_journal_is_exported_and_verified_there(desk: Desk) -> None:
    for name, more in (("whole", []), ("witness", ["--without-content"])):
        out = str(desk.folder / name)
        assert desk.on_store("export", "--out", out, "--key", desk.key, *more).exit_code == 0
        assert desk.run("verify", "--export", out, "--key", desk.key).exit_code == 0
    again = desk.on_store("export", "--out", str(desk.folder / "whole"))
    assert (again.exit_code, "Name a new folder" in again.output) == (2, True)
    nowhere = desk.run("export", "--data", str(desk.folder / "whole"), "--out", str(desk.folder / "x"))
    assert (nowhere.exit_code, "There is no store" in nowhere.output) == (2, True)


def test_a_key_is_made_once(tmp_path: Path) -> None:
    file = tmp_path / "signing.key"
    made = CliRunner().invoke(app, ["audit", "key", "new", str(file), "--name", "care.example/journal"])
    assert made.exit_code == 0
    assert file.stat().st_mode & 0o777 == 0o600
    assert SigningKey.load(file).public == load_public(tmp_path / "signing.key.pub")
    assert str(SigningKey.load(file).public) in made.output
    for name, said in (("care.example/journal", "exists already"), ("two words", "no spaces")):
        target = file if "exists" in said else tmp_path / "b.key"
        again = CliRunner().invoke(app, ["audit", "key", "new", str(target), "--name", name])
        assert (again.exit_code, said in again.output) == (2, True)


def test_the_signer_is_a_process_of_its_own(tmp_path: Path) -> None:
    new_key(tmp_path / "k", "care.example/journal")
    command = [sys.executable, "-m", "gateway.cli", "audit", "signer", "--key", str(tmp_path / "k")]
    command += ["--state", str(tmp_path / "state"), "--socket", str(tmp_path / "s.sock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "Signing for care.example/journal" in process.stdout.readline()
        asyncio.run(_asked(tmp_path / "s.sock", load_public(tmp_path / "k.pub")))
        process.terminate()
    missing = CliRunner().invoke(app, ["audit", "signer", "--key", "none", "--state", "s", "--socket", "k"])
    assert (missing.exit_code, "can't be read" in missing.output) == (2, True)


async def _asked(socket: Path, public: PublicKey) -> None:
    while not await asyncio.to_thread(socket.exists):  # noqa: ASYNC110 (another process makes it)
        await asyncio.sleep(0.02)
    assert await SignerClient(socket, public).last() is None


# --- erasing ---


@dataclass
class Wiped:
    """A store with a few rows about one patient, which its own key signs."""

    folder: Path
    key: SigningKey

    def erase(self, *arguments: str, typed: str | None = None, command: str = "erase") -> Result:
        given = ["audit", command, "--data", str(self.folder), "--by", "Sam Okoro", *arguments]
        return CliRunner().invoke(app, given, input=typed)

    async def sign(self) -> list[tuple[Kind, str | None]]:
        """Sign what isn't signed; kind and patient of the rows that have content."""
        store = SqliteStore(self.folder)
        await Checkpointer(store, LocalSigner(self.key), utc_now, 1.0).checkpoint()
        rows = [(kept.row.kind, kept.row.patient) for kept in await store.rows()]
        await store.aclose()
        return rows


@pytest.fixture
def wiped(tmp_path: Path) -> Wiped:
    async def fill() -> None:
        store = SqliteStore(tmp_path)
        for tag in (sealer.patient_tag(PATIENT), "b" * 64, None):
            await store.append(a_row(patient=tag))
        await store.hold_to_key(sealer.fingerprint(), lambda _: True)
        await store.aclose()

    new_master_key(tmp_path / "master.key")
    new_key(tmp_path / "signing.key", "care.example/journal")
    sealer = Sealer(load_master_key(tmp_path / "master.key"))
    asyncio.run(fill())
    return Wiped(tmp_path, SigningKey.load(tmp_path / "signing.key"))


def test_a_patients_rows_are_erased_and_the_journal_says_so(wiped: Wiped) -> None:
    key_file = str(wiped.folder / "master.key")
    answer = wiped.erase("--reason", "court order", "--patient", "--key-file", key_file, "--yes", typed=f"{PATIENT}\n")
    assert answer.exit_code == 0, answer.output
    assert "1 rows erased" in answer.output
    assert [kind for kind, _ in asyncio.run(wiped.sign())] == [Kind.INTENT, Kind.INTENT, Kind.ERASED]
    public = str(wiped.folder / "signing.key.pub")
    verified = CliRunner().invoke(app, ["audit", "verify", "--data", str(wiped.folder), "--key", public])
    assert (verified.exit_code, "1 erased rows" in verified.output) == (0, True), verified.output


def test_old_rows_are_erased_by_day_and_by_rule(wiped: Wiped) -> None:
    assert "0 rows erased" in wiped.erase("--reason", "rule", "--before", "2020-01-01", "--yes").output
    assert "0 rows erased" in wiped.erase("--yes", command="retain").output
    assert "3 rows erased" in wiped.erase("--reason", "rule", "--before", "2026-03-03", "--yes").output
    kinds = [kind for kind, _ in asyncio.run(wiped.sign())]
    assert kinds == [Kind.ERASED] * 3


@pytest.mark.parametrize(
    ("arguments", "typed", "said"),
    [
        (["--reason", "r", "--yes"], None, "Say what to erase"),
        (["--reason", " ", "--yes", "--before", "2020-01-01"], None, "Say who answers for it and why"),
        (["--reason", "r", "--before", "2020-01-01"], "", "say --yes"),
        (["--reason", "r", "--yes", "--patient"], f"{PATIENT}\n", "--patient needs --key-file"),
    ],
)
def test_what_is_not_erased_is_said(wiped: Wiped, arguments: list[str], typed: str | None, said: str) -> None:
    answer = wiped.erase(*arguments, typed=typed)
    assert (answer.exit_code, said in answer.output) == (2, True), answer.output
    assert len(asyncio.run(wiped.sign())) == 3


def test_nothing_is_erased_beside_a_gateway_or_with_another_key(wiped: Wiped, tmp_path: Path) -> None:
    new_master_key(tmp_path / "other.key")
    more = ["--reason", "r", "--yes", "--patient", "--key-file", str(tmp_path / "other.key")]
    assert "written with another key" in wiped.erase(*more, typed=f"{PATIENT}\n").output
    assert wiped.erase("--reason", "r", "--yes", "--patient", "--key-file", "x", typed="1\n").exit_code == 2
    folder = Folder(wiped.folder)
    try:
        answer = wiped.erase("--reason", "r", "--before", "2020-01-01", "--yes")
    finally:
        folder.unlock()
    assert (answer.exit_code, "Another process writes to the store" in answer.output) == (2, True)
    nowhere = CliRunner().invoke(app, ["audit", "retain", "--data", str(tmp_path / "x"), "--by", "b", "--yes"])
    assert (nowhere.exit_code, "There is no store" in nowhere.output) == (2, True)
    assert not (tmp_path / "x").exists()
