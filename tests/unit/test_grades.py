"""Manifests are read strictly; grades are earned by evidence, lost when the connector changes, and never guessed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import connectors
from connectors.sdk import grades
from connectors.sdk.errors import ConfigurationError
from connectors.sdk.grades import KIT_VERSION, Grade, content_hash, grade_of, is_local, standing_of
from connectors.sdk.manifest import Kind, folder_of, load_manifest

MANIFEST = """\
name: jotter
kind: dialect
summary: A system for tests
owner: Integration team
contract: Its own JSON API
sections: [demographics, allergies]
"""


@pytest.fixture
def jotter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A connector's folder with a manifest, among the installed ones."""
    folder = tmp_path / "jotter"
    (folder / "sandbox").mkdir(parents=True)
    (folder / "manifest.yaml").write_text(MANIFEST)
    (folder / "README.md").write_text("# jotter\n")
    (folder / "connector.py").write_text("ANSWER = 1\n")
    (folder / "sandbox" / "people.json").write_text("[]")
    monkeypatch.setattr(connectors, "__path__", [*connectors.__path__, str(tmp_path)])
    return folder


def write(file: Path, **evidence: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(evidence))


def kit(folder: Path, **other: Any) -> None:
    passed = {"kit": KIT_VERSION, "recorded": "2026-03-02", "cases": ["K01", "K02"], "skipped": {"K26": "no pages"}}
    content = content_hash(folder)
    write(folder / "evidence" / "kit.json", **{"connector": "jotter", "content": content, **passed, **other})


def contract(folder: Path, **other: Any) -> None:
    ran = {
        "connector": "jotter",
        "content": content_hash(folder),
        "ods": "RJ2",
        "endpoint": "test-api.trust.nhs.uk",
        "recorded": "2026-03-03",
        "owner": "A. Owner, integration lead",
        "run_by": "a.person",
        "outcome": "answered",
        "sections": {"demographics": "whole", "allergies": "whole"},
        "took_ms": 181.5,
        "calls": 3,
    }
    write(folder / "evidence" / "RJ2" / "contract.json", **{**ran, **other})


def drills(folder: Path, **other: Any) -> None:
    held = [
        {"failure": name, "expected": "a gap", "seen": "a gap", "passed": True} for name in ("slow", "down", "full")
    ]
    report = {"connector": "jotter", "content": content_hash(folder), "ods": "RJ2", "held": "2026-03-04"}
    write(folder / "evidence" / "RJ2" / "drills.json", **{**report, "led_by": "a.person", "drills": held, **other})


def runbook(folder: Path, text: str = "Call the integration team. " * 20) -> None:
    (folder / "evidence" / "RJ2" / "runbook.md").write_text(text)


def test_without_evidence_there_is_no_grade(jotter: Path) -> None:
    standing = standing_of("jotter", "RJ2")
    assert (standing.grade, standing.evidence) == (Grade.NONE, ())
    assert "connectcare connector check jotter --record" in standing.lacks


def test_each_grade_needs_those_below_it(jotter: Path) -> None:
    contract(jotter)
    drills(jotter)
    runbook(jotter)
    assert grade_of("jotter", "RJ2") is Grade.NONE
    kit(jotter)
    assert grade_of("jotter", "RJ2") is Grade.GOLD
    assert standing_of("jotter", "RJ2").evidence == (
        "evidence/kit.json",
        "evidence/RJ2/contract.json",
        "evidence/RJ2/drills.json",
        "evidence/RJ2/runbook.md",
    )
    assert standing_of("jotter", "RJ2").lacks == ""


def test_silver_and_gold_are_an_organisations_own(jotter: Path) -> None:
    kit(jotter)
    contract(jotter)
    drills(jotter)
    runbook(jotter)
    assert grade_of("jotter") is Grade.BRONZE
    assert grade_of("jotter", "RPG") is Grade.BRONZE
    assert "try jotter --ods RPG --record" in standing_of("jotter", "RPG").lacks


def test_grades_have_an_order_and_a_name() -> None:
    assert Grade.NONE < Grade.BRONZE < Grade.SILVER < Grade.GOLD
    assert [str(grade) for grade in Grade] == ["none", "bronze", "silver", "gold"]


@pytest.mark.parametrize("changed", ["connector.py", "sandbox/people.json", "manifest.yaml", "new.py"])
def test_a_connector_that_was_changed_has_lost_its_grade(jotter: Path, changed: str) -> None:
    kit(jotter)
    contract(jotter)
    file = jotter / changed
    file.write_text((file.read_text() if file.exists() else "") + "\n")
    assert grade_of("jotter", "RJ2") is Grade.NONE
    kit(jotter)
    assert grade_of("jotter", "RJ2") is Grade.BRONZE
    assert "changed since" in standing_of("jotter", "RJ2").lacks


@pytest.mark.parametrize("changed", ["README.md", "evidence/RJ2/notes.txt", "tests/test_it.py", "__pycache__/x.pyc"])
def test_prose_tests_and_evidence_are_no_part_of_what_was_tested(jotter: Path, changed: str) -> None:
    kit(jotter)
    file = jotter / changed
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("other")
    assert grade_of("jotter") is Grade.BRONZE


def test_two_files_that_trade_bytes_are_another_connector(jotter: Path) -> None:
    (jotter / "a").write_text("xy")
    (jotter / "b").write_text("z")
    before = content_hash(jotter)
    (jotter / "a").write_text("x")
    (jotter / "b").write_text("yz")
    assert content_hash(jotter) != before


def test_evidence_of_another_version_of_the_kit_does_not_count(jotter: Path) -> None:
    kit(jotter, kit=KIT_VERSION + 1)
    assert grade_of("jotter") is Grade.NONE
    assert "record it again" in standing_of("jotter").lacks


Break = Callable[[Path], None]


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        (lambda folder: kit(folder, connector="pds"), "connector says pds, but it lies with jotter"),
        (lambda folder: kit(folder, cases=[]), "length >= 1"),
        (lambda folder: kit(folder, grade="gold"), "unknown field `grade`"),
        (lambda folder: kit(folder, skipped={"K26": ""}), "length >= 1"),
        (lambda folder: (folder / "evidence" / "kit.json").write_text("{"), "Record it again, or remove it."),
        (lambda folder: contract(folder, ods="RPG"), "ods says RPG, but it lies with RJ2"),
        (lambda folder: contract(folder, owner=""), "`$.owner`"),
        (lambda folder: contract(folder, endpoint="127.0.0.1:8000"), "no organisation's own"),
        (lambda folder: contract(folder, endpoint="fhir.trust.example"), "no organisation's own"),
        (lambda folder: contract(folder, outcome="partial"), "`$.outcome`"),
        (lambda folder: contract(folder, sections={"allergies": "timed-out"}), "`$.sections[...]`"),
        (lambda folder: contract(folder, sections={}), "no section was asked for"),
        (lambda folder: drills(folder, drills=[]), "length >= 3"),
        (lambda folder: drills(folder, ods="RPG"), "ods says RPG"),
    ],
)
def test_evidence_that_is_wrong_is_an_error_and_no_lower_grade(jotter: Path, mistake: Break, said: str) -> None:
    kit(jotter)
    contract(jotter)
    mistake(jotter)
    with pytest.raises(ConfigurationError) as caught:
        grade_of("jotter", "RJ2")
    assert said in str(caught.value)


def test_a_drill_that_failed_keeps_it_at_silver(jotter: Path) -> None:
    kit(jotter)
    contract(jotter)
    runbook(jotter)
    one = {"failure": "power cut", "expected": "a gap", "seen": "a crash", "passed": False}
    drills(jotter, drills=[one, one, one])
    standing = standing_of("jotter", "RJ2")
    assert standing.grade is Grade.SILVER
    assert "power cut" in standing.lacks


@pytest.mark.parametrize("text", ["", "Call somebody."])
def test_a_runbook_that_helps_nobody_keeps_it_at_silver(jotter: Path, text: str) -> None:
    kit(jotter)
    contract(jotter)
    drills(jotter)
    assert "runbook.md" in standing_of("jotter", "RJ2").lacks
    runbook(jotter, text)
    assert grade_of("jotter", "RJ2") is Grade.SILVER


def test_a_runbook_that_is_no_text_is_an_error(jotter: Path) -> None:
    kit(jotter)
    contract(jotter)
    drills(jotter)
    (jotter / "evidence" / "RJ2" / "runbook.md").write_bytes(b"\xff" * 400)
    with pytest.raises(ConfigurationError, match="Write it anew"):
        grade_of("jotter", "RJ2")


def test_evidence_that_is_a_folder_is_an_error(jotter: Path) -> None:
    (jotter / "evidence" / "kit.json").mkdir(parents=True)
    with pytest.raises(ConfigurationError, match="can't be read"):
        grade_of("jotter")


@pytest.mark.parametrize("ods", ["../RJ2", "rj2", "R", "ABCDEFG", ""])
def test_an_ods_code_is_no_path(jotter: Path, ods: str) -> None:
    with pytest.raises(ConfigurationError, match="two to six capital letters"):
        grade_of("jotter", ods)


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("localhost:80", True),
        ("10.1.2.3", True),
        ("x.invalid", True),
        ("api.nhs.uk", False),
        ("api.nhs.uk:8443", False),
    ],
)
def test_whose_endpoint_it_is(host: str, local: bool) -> None:
    assert is_local(host) is local


def test_evidence_is_written_whole_and_the_same_each_time(jotter: Path) -> None:
    kit(jotter)
    file = jotter / "evidence" / "kit.json"
    found = grades._read(file, grades.KitEvidence)
    grades.write_evidence(file, found)
    first = file.read_bytes()
    grades.write_evidence(file, found)
    assert file.read_bytes() == first
    assert sorted(path.name for path in file.parent.iterdir()) == ["kit.json"]


def test_a_manifest_is_found_and_read(jotter: Path) -> None:
    manifest = load_manifest("jotter")
    assert (manifest.name, manifest.kind, manifest.served_by) == ("jotter", Kind.DIALECT, "jotter")
    assert folder_of("jotter") == jotter


def test_an_organisations_folder_is_served_by_another(jotter: Path) -> None:
    (jotter / "manifest.yaml").write_text(MANIFEST + "kit:\n  connector: fhir_r4\n")
    assert load_manifest("jotter").served_by == "fhir_r4"


@pytest.mark.parametrize("name", ["nobody", "../jotter", "sdk"])
def test_a_connector_without_a_manifest_is_named_with_those_that_have_one(jotter: Path, name: str) -> None:
    with pytest.raises(LookupError, match=r"Use one of: .*jotter"):
        grade_of(name)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (MANIFEST + "grade: gold\n", "unknown key grade"),
        (MANIFEST.replace("owner: Integration team\n", ""), "owner is missing"),
        (MANIFEST.replace("jotter", "other"), "manifest.yaml:1: name says other, the folder jotter"),
        (MANIFEST.replace("dialect", "magic"), "manifest.yaml:2: kind"),
        (MANIFEST.replace("allergies]", "allergies, allergies]"), "one stands twice"),
        (MANIFEST + "docs: missing.md\n", "manifest.yaml:7: docs names missing.md"),
        ("- name\n", "not a mapping"),
        ("name: [", "not YAML"),
    ],
)
def test_a_manifest_that_is_wrong_says_where(jotter: Path, text: str, said: str) -> None:
    (jotter / "manifest.yaml").write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load_manifest("jotter")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "name", sorted(path.parent.name for path in Path(connectors.__path__[0]).glob("*/manifest.yaml"))
)
def test_every_shipped_manifest_and_its_evidence_can_be_read(name: str) -> None:
    assert load_manifest(name).name == name
    assert grade_of(name) in (Grade.NONE, Grade.BRONZE)
