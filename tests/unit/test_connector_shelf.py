"""`connector list` and `connector describe`: every installed connector, its grade, its users, its settings."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import connectors
from connectors.sdk.grades import KIT_VERSION, content_hash
from connectors.sdk.installed import available
from gateway.cli import app
from gateway.connector_commands import checking, shelf
from gateway.connector_commands.refusals import CannotDo

PACKAGE = '''\
"""A connector for tests."""
from pydantic import BaseModel, ConfigDict, Field
from typing import Literal


class Settings(BaseModel):
    """How it is asked."""

    model_config = ConfigDict(extra="forbid")

    tenant: str = Field(description="whose data it is")
    mode: Literal["one", "two"] = "one"
    names: tuple[str, ...] = ()
    pages: int = Field(default=3, ge=1, le=9)
    factor: float | None = None
    loud: bool = False
    more: dict[str, str] = {}


def connect(setup):
    return None
'''
MANIFEST = "name: jotter\nkind: dialect\nsummary: For tests\nowner: A. Owner\ncontract: None\nsections: [allergies]\n"


@pytest.fixture
def jotter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed connector with a grade, which three organisations use."""
    folder = tmp_path / "jotter"
    (folder / "evidence").mkdir(parents=True)
    (folder / "__init__.py").write_text(PACKAGE)
    (folder / "manifest.yaml").write_text(MANIFEST)
    (folder / "README.md").touch()
    proof = {"connector": "jotter", "content": content_hash(folder), "kit": KIT_VERSION, "recorded": "2026-03-02"}
    (folder / "evidence" / "kit.json").write_text(json.dumps({**proof, "cases": ["K01"], "skipped": {}}))
    monkeypatch.setattr(connectors, "__path__", [*connectors.__path__, str(tmp_path)])
    monkeypatch.delitem(sys.modules, "connectors.jotter", raising=False)
    return folder


def silver(folder: Path, ods: str) -> None:
    proof = {"connector": "jotter", "content": content_hash(folder), "ods": ods, "endpoint": "test.trust.nhs.uk"}
    ran = {"recorded": "2026-03-03", "owner": "A", "run_by": "b", "outcome": "answered", "took_ms": 1.0, "calls": 1}
    (folder / "evidence" / ods).mkdir()
    (folder / "evidence" / ods / "contract.json").write_text(
        json.dumps({**proof, **ran, "sections": {"allergies": "whole"}})
    )


def behind(folder: Path, *codes: str) -> Path:
    def entry(ods: str) -> dict[str, Any]:
        named = {"ods": ods, "name": ods, "type": "council", "stage": "live", "connector": "jotter"}
        return {**named, "address": "https://x.example", "sections": ["allergies"], "settings": {"tenant": "x"}}

    (folder / "practices.csv").write_text("ods,name\nG85001,One\nG85002,Two\n")
    group = {"practices": "practices.csv", "name": "a borough", "stage": "shadow", "connector": "jotter"}
    shared = {"address": "https://x.example/{ods}", "sections": ["allergies"], "settings": {"tenant": "x"}}
    file = folder / "organisations.yaml"
    file.write_text(json.dumps({"organisations": [*(entry(ods) for ods in codes), {**group, **shared}]}))
    return file


def line_of(listing: str, name: str) -> str:
    return next(line for line in listing.splitlines() if line.split()[0] == name)


def test_each_installed_connector_has_a_line_with_its_organisations(jotter: Path, tmp_path: Path) -> None:
    listing = shelf.listing(behind(tmp_path, "RJ2", "RPG"))
    assert [line.split()[0] for line in listing.splitlines()] == ["connector", *available()]
    said = line_of(listing, "jotter")
    assert said.split()[1:3] == ["dialect", "bronze"]
    assert said.endswith("RJ2 (live), RPG (live), 2 practices of a borough")
    assert line_of(listing, "fhir_r4").endswith("none")


def test_a_long_list_is_cut_and_counted(jotter: Path, tmp_path: Path) -> None:
    said = line_of(shelf.listing(behind(tmp_path, *(f"R{number:02}" for number in range(20)))), "jotter")
    assert said.endswith("R07 (live) and 13 more")


def test_the_best_grade_is_told_with_whose_it_is(jotter: Path, tmp_path: Path) -> None:
    silver(jotter, "RPG")
    assert "silver for RPG" in line_of(shelf.listing(behind(tmp_path, "RJ2", "RPG")), "jotter")


def test_a_connector_without_a_manifest_has_no_grade(jotter: Path, tmp_path: Path) -> None:
    (jotter / "manifest.yaml").unlink()
    assert line_of(shelf.listing(behind(tmp_path, "RJ2")), "jotter").split()[1:4] == ["no", "manifest", "none"]
    with pytest.raises(CannotDo, match="There is no connector jotter: no folder of that name has a manifest"):
        shelf.description("jotter", None)


def test_a_description_has_contract_grades_with_evidence_and_every_setting(jotter: Path, tmp_path: Path) -> None:
    silver(jotter, "RPG")
    said = shelf.description("jotter", behind(tmp_path, "RJ2", "RPG"))
    for line in (
        "jotter: For tests",
        "  owner      A. Owner",
        "  sections   allergies",
        "  RPG              silver by evidence/kit.json, evidence/RPG/contract.json; the next one lacks RPG/drills",
        "  RJ2              bronze by evidence/kit.json; the next one lacks RJ2/contract.json",
        "  How it is asked.",
        "  tenant: text, must be given\n    whose data it is",
        "  mode: one or two, one by default",
        "  names: list of text, [] by default",
        "  pages: whole number from 1 to 9, 3 by default",
        "  factor: number, may be left out",
        "  loud: true or false, false by default",
        "  more: mapping, {} by default",
    ):
        assert line in said


@pytest.mark.parametrize(
    "name", sorted(path.parent.name for path in Path(connectors.__path__[0]).glob("*/manifest.yaml"))
)
def test_every_shipped_connector_can_be_described(name: str) -> None:
    said = shelf.description(name, None)
    assert said.startswith(f"{name}: ")
    assert "any value" not in said


def test_the_command_line_lists_describes_and_refuses() -> None:
    runner = CliRunner()
    assert "fhir_r4" in runner.invoke(app, ["connector", "list"]).stdout
    assert "patient_by" in runner.invoke(app, ["connector", "describe", "fhir_r4"]).stdout
    refused = runner.invoke(app, ["connector", "describe", "nobody"])
    assert isinstance(refused.exception, CannotDo)


def test_check_starts_the_kit_with_what_was_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr(checking, "run_kit", lambda arguments: asked.append(arguments) or 1)
    result = CliRunner().invoke(
        app, ["connector", "check", "pds", "--case", "K01", "--case", "K02", "--ods", "X26", "--json", "--record"]
    )
    assert result.exit_code == 1
    assert asked == [["pds", "--case", "K01", "--case", "K02", "--ods", "X26", "--json", "--record"]]


def test_new_says_why_it_writes_nothing(tmp_path: Path) -> None:
    command = ["connector", "new", "x1", "--kind", "dialect", "--ods", "RVV", "--dir", str(tmp_path)]
    result = CliRunner().invoke(app, command)
    assert isinstance(result.exception, CannotDo)
    assert list(tmp_path.iterdir()) == []


def test_no_command_brings_the_kit_or_a_sandbox_into_the_gateways_process() -> None:
    code = """
import sys, pkgutil, importlib, gateway.cli, gateway.app, gateway.connector_commands as commands
for one in pkgutil.iter_modules(commands.__path__):
    importlib.import_module(f"{commands.__name__}.{one.name}")
print([name for name in sys.modules if name.startswith("connectors.") and ("kit" in name or "sandbox" in name)])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=180, check=True)
    assert done.stdout.strip() == "[]"


def test_the_kit_runs_in_a_process_of_its_own() -> None:
    assert checking.run_kit(["nobody"]) == 2
