"""Start-up as an operator meets it: a real process, a mistake, and its sentence as the last line on stderr."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.audit.checkpoints import new_key
from gateway.sealed import new_master_key
from gateway.store.folder import Folder
from tests.flow.stack import ISSUER
from tests.processes import organisation
from tests.quick import every

LIVE = organisation("G85005", "gp-practice", "https://g85005.example/fhir")
JOINING = {**LIVE, "stage": "shadow"}


def organisations(folder: Path, *entries: dict[str, Any]) -> None:
    (folder / "organisations.yaml").write_text(json.dumps({"organisations": entries}))


def unknown_key(folder: Path) -> None:
    organisations(folder, {**JOINING, "adress": "x"})


def twice(folder: Path) -> None:
    organisations(folder, JOINING, JOINING)


def no_such_date(folder: Path) -> None:
    text = "organisations:\n  - ods: G85005\n    joined: 2026-13-01\n"
    (folder / "organisations.yaml").write_text(text)


def a_sandbox(folder: Path) -> None:
    organisations(folder, {**JOINING, "address": "sandbox"})


def no_grade(folder: Path) -> None:
    organisations(folder, LIVE)


def a_long_list(folder: Path) -> None:
    (folder / "list.csv").write_text("ods,name\n" + "".join(f"G{n:05},Practice {n}\n" for n in range(21)))
    shared = {key: JOINING[key] for key in ("stage", "connector", "address", "sections")}
    organisations(folder, {"practices": "list.csv", **shared})


def a_wrong_list(folder: Path) -> None:
    a_long_list(folder)
    (folder / "list.csv").write_text("ods,name\nG85005,South Lewisham\ng85004,Jenner\n")


def no_key(folder: Path) -> None:
    (folder / "master.key").unlink()


def short_key(folder: Path) -> None:
    (folder / "master.key").write_text("abcd")


def open_key(folder: Path) -> None:
    (folder / "master.key").chmod(0o644)


def a_file_for_a_folder(folder: Path) -> None:
    (folder / "data").write_text("")


def nothing(_folder: Path) -> None:
    """The mistake is in the settings."""


def write(folder: Path, **more: Any) -> Path:
    """A production that would start."""
    new_master_key(folder / "master.key")
    new_key(folder / "checkpoint.key", "connectcare.example/journal")
    organisations(folder, JOINING)
    settings = {
        "public_url": "https://connectcare.example",
        "data_dir": str(folder / "data"),
        "key_file": str(folder / "master.key"),
        "checkpoint_key": str(folder / "checkpoint.key"),
        "audit_sink": str(folder / "sink.jsonl"),
        "organisations_file": str(folder / "organisations.yaml"),
        "issuers": [{"issuer": "https://login.example", "audience": "connect-care", "algorithms": ["ES256"]}],
        **more,
    }
    file = folder / "settings.yaml"
    file.write_text(json.dumps(settings))
    return file


def run_cli(*arguments: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """A command that is expected to end by itself."""
    return subprocess.run(
        [sys.executable, "-m", "gateway.cli", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def serve(file: Path) -> tuple[int, str]:
    """The exit code, and the last line of what it said."""
    done = run_cli("serve", "--config", str(file), "--port", "0")
    assert "gateway.started" not in done.stderr
    return done.returncode, done.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("mistake", "more", "said"),
    every(
        6,
        [
            (unknown_key, {}, "organisations.yaml:1: unknown key adress. Remove it, or correct its spelling."),
            (twice, {}, "organisations.yaml:1: ODS code G85005 stands twice. Keep one entry for each organisation."),
            (no_such_date, {}, "organisations.yaml:3: a date that doesn't exist (month must be in 1..12). Correct it."),
            (a_sandbox, {}, "G85005 is a sandbox or has a plain HTTP address. Give the https address of its system."),
            (
                no_grade,
                {},
                "G85005 is live, but its connector fhir_r4 has not earned silver there. Run connectcare connector",
            ),
            (
                a_long_list,
                {},
                "organisations.yaml:1: 21 practices of list.csv, and nobody says which of them a patient is",
            ),
            (a_wrong_list, {}, "list.csv:3: 'g85004' is no ODS code. Give 2 to 6 capital letters and digits."),
            (no_key, {}, "master.key can't be read (No such file or directory). Make one: connectcare keys new FILE"),
            (short_key, {}, "master.key must hold 32 bytes in hexadecimal. Make one: connectcare keys new FILE"),
            (open_key, {}, "master.key is open to others than its owner. Close it: chmod 600 "),
            (nothing, {"policies_dir": "/nowhere"}, "/nowhere/schema.cedarschema: can't be read"),
            (
                a_file_for_a_folder,
                {},
                "can't be used (Not a directory). Give it to the gateway's user, or name another.",
            ),
        ],
    ),
)
def test_a_mistake_is_the_last_line_with_its_remedy(
    tmp_path: Path, mistake: Callable[[Path], None], more: dict[str, Any], said: str
) -> None:
    file = write(tmp_path, **more)
    mistake(tmp_path)
    code, last = serve(file)
    assert code == 1
    assert said in last
    assert not last.startswith("{")


def test_a_store_in_use_is_the_last_line(tmp_path: Path) -> None:
    file = write(tmp_path)
    held = Folder(tmp_path / "data")
    try:
        code, last = serve(file)
    finally:
        held.unlock()
    assert (code, "Another process writes to the store" in last) == (1, True)


@pytest.mark.slow
def test_a_demo_whose_gateway_does_not_start_says_why(tmp_path: Path) -> None:
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path), "CONNECTCARE_POLICIES_DIR": "/nowhere"}
    done = run_cli("demo", "--port", "0", "--data", str(tmp_path / "data"), environment=environment)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("/nowhere/schema.cedarschema: can't be read")


@pytest.mark.slow
def test_a_demo_with_wrong_organisations_says_why(tmp_path: Path) -> None:
    twice(tmp_path)
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    file = str(tmp_path / "organisations.yaml")
    done = run_cli(
        "demo", "--port", "0", "--data", str(tmp_path / "data"), "--organisations", file, environment=environment
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "ODS code G85005 stands twice. Keep one entry" in done.stderr


@pytest.mark.slow
def test_the_demos_issuer_is_no_issuer_for_production(tmp_path: Path) -> None:
    issuer = {"issuer": ISSUER, "audience": "a", "algorithms": ["ES256"], "allow_insecure_loopback": True}
    code, last = serve(write(tmp_path, issuers=[issuer]))
    assert (code, "allow_insecure_loopback is for the demo. Give an https issuer" in last) == (1, True)


def test_a_store_can_be_brought_up_to_date_before_the_gateway_starts(tmp_path: Path) -> None:
    file = write(tmp_path)
    done = run_cli("migrate", "--config", str(file))
    assert (done.returncode, done.stdout) == (0, "The store has this version's schema.\n")
    assert list((tmp_path / "data" / "store").iterdir())
    held = Folder(tmp_path / "data")
    try:
        again = run_cli("migrate", "--config", str(file))
    finally:
        held.unlock()
    assert (again.returncode, "Another process writes to the store" in again.stderr) == (1, True)
