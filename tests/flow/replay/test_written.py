"""What `connector replay` writes, to the screen and to a file."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import stat
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import connectors
from gateway.cli import app
from gateway.connector_commands import replay as replaying
from gateway.replay.fate import Fate
from tests.flow.replay.asking import EVERYTHING, ME_ASKED, NHS, collection, r4, refused, run


def test_the_bundle_is_what_the_role_sees_and_nothing_else_is_written(
    saved: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, out = saved(collection(*EVERYTHING)), tmp_path / "out.json"
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    code, said, err = run("fhir_r4", file, *ME_ASKED, "--out", out, "--json")
    assert code == 0
    assert "It is clinical data of a patient" in err
    assert sorted(tmp_path.rglob("*")) == sorted([*before, out])
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    bundle = json.loads(out.read_bytes())
    shown = {f"{one['resource']['resourceType']}/{one['resource']['id']}" for one in bundle["entry"]}
    into = {reference for line in json.loads(said)["resources"] for reference in line["into"]}
    assert {one.replace(NHS, "[nhs-number]") for one in shown} >= into
    kinds = Counter(one["resource"]["resourceType"] for one in bundle["entry"])
    assert kinds["Observation"] == 2
    assert kinds["Linkage"] == 1  # no known allergy beside nuts
    assert kinds["OperationOutcome"] == 1
    assert "urn:connect-care:sources" in out.read_text()
    code, said, err = run("fhir_r4", file, *ME_ASKED, "--out", out)
    assert (code, said) == (2, "")
    assert "exists already" in err
    assert run("fhir_r4", file, *ME_ASKED, "--out", tmp_path / "no" / "folder")[0] == 2


def test_the_account_in_words(saved: Callable[..., Path]) -> None:
    code, out, err = run(
        "fhir_r4", saved(collection(*EVERYTHING, r4("Practitioner", "known", name=[{"family": "Known"}]))), *ME_ASKED
    )
    assert (code, err) == (0, "")
    assert NHS not in out
    assert "shown 6   grouped into 5   supporting 2   not shown 11   unexplained 0" in out
    assert "    results        Observation/seen  -> Observation/…." in out
    assert "    -              Practitioner/known (2 times)  -> Practitioner/…." in out
    assert "(one medicine with MedicationStatement/…." in out
    assert "1 × The patient agreed" not in out
    assert "  1 × the source sent something that does not say which patient it is about" in out
    assert "  gap        results: held-back" in out
    assert out.index("\nshown:") < out.index("\ngrouped into:") < out.index("\nnot shown:")


def test_a_sources_ids_do_not_steer_the_terminal(saved: Callable[..., Path]) -> None:
    evil = r4("Observation", "\x1b[2J\n" + "x" * 300)
    code, out, _ = run("fhir_r4", saved(collection(r4("Patient", "p1"), evil)))
    assert code == 0
    assert "\x1b" not in out
    assert "\N{REPLACEMENT CHARACTER}[2J" in out
    assert "x" * 200 not in out


def test_our_own_fault_quotes_nothing(saved: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise KeyError("Penicillin for 9990000409")

    monkeypatch.setattr(replaying, "account", broken)
    code, out, err = run("fhir_r4", saved(collection(r4("Patient", "p1"))))
    assert (code, out) == (1, "")
    assert err == "Something went wrong here (KeyError), so nothing is accounted for.\n"


def test_what_can_not_be_written_whole_is_not_left_behind(
    saved: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(io.BytesIO):
        def write(self, _: Any) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def opened(descriptor: int, _: str) -> Full:
        os.close(descriptor)
        return Full()

    monkeypatch.setattr(os, "fdopen", opened)
    out = tmp_path / "out.json"
    assert "No space left" in refused("fhir_r4", saved(collection(r4("Patient", "p1"))), "--out", out)
    assert not out.exists()


def test_the_guide_names_the_options_that_there_are() -> None:
    guide = (Path(connectors.__path__[0]) / "README.md").read_text().partition("## Where is it?")[2]
    told = CliRunner().invoke(app, ["connector", "replay", "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"}).stdout
    offered = set(re.findall(r"--[a-z][a-z-]+", told)) - {"--help"}
    named = set(re.findall(r"--[a-z][a-z-]+", guide))
    assert named | {"--organisations"} == offered
    for fate in Fate:
        assert f"| {fate} |" in guide
