"""The policies in force are kept by their hash, and load again as they were: years later, under another gateway."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from connectors.sdk.model import Section
from connectors.sdk.organisations import OrganisationType
from gateway.caller.model import Role
from gateway.policy.archive import open_archive
from gateway.policy.decide import DOORS, Policy, best_circumstances
from gateway.policy.files import ArchivedFile, PolicyProblem, archived, digest
from gateway.policy.model import Shown
from gateway.policy.rules import ERROR_RULE
from tests.policies.test_tabled import drawn

BEST = best_circumstances(Role.GP, OrganisationType.GP_PRACTICE, Section.RESULTS, OrganisationType.ACUTE_TRUST)


@pytest.fixture
def folder(policies: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "policies"
    shutil.copytree(policies, copy, ignore=shutil.ignore_patterns("cases"))
    return copy


def test_what_was_in_force_decides_again_as_it_did(policy: Policy) -> None:
    again = open_archive(policy.archive, policy.hash)
    assert (again.hash, again.archive) == (policy.hash, policy.archive)
    assert [each for each in drawn(policy, 300) if again.decide(each) != policy.decide(each)] == []
    for action in DOORS:
        for role in Role:
            assert again.may(action, role, OrganisationType.COUNCIL) == policy.may(
                action, role, OrganisationType.COUNCIL
            )
    assert again.labels.given() == policy.labels.given()
    assert again.outlines.told == policy.outlines.told


def test_the_archive_is_the_same_bytes_wherever_the_folder_lies(folder: Path, policy: Policy) -> None:
    assert Policy.load(folder).archive == policy.archive


def test_label_files_from_elsewhere_are_kept_too_even_of_one_name(folder: Path, tmp_path: Path) -> None:
    more = []
    for place, code in (("one", "10001"), ("two", "10002")):
        path = tmp_path / place / "outlines.csv"
        path.parent.mkdir()
        path.write_text(f"system,code,label\nhttp://example.org,{code},HIV\n")
        more.append(path)
    policy = Policy.load(folder, more)
    assert policy.hash == Policy.load(folder, more[::-1]).hash != Policy.load(folder).hash
    again = open_archive(policy.archive, policy.hash)
    assert again.labels.given() == policy.labels.given()
    assert ("code", "http://example.org", "10002") in again.labels.given()


def test_a_file_that_is_not_text_is_kept_as_it_is(folder: Path) -> None:
    (folder / "logo.bin").write_bytes(b"\xff\xfe\x00")
    policy = Policy.load(folder)
    assert open_archive(policy.archive, policy.hash).hash == policy.hash
    assert ArchivedFile(name="x", base64="//4A").content == b"\xff\xfe\x00"


@pytest.mark.parametrize(
    "altered",
    [
        lambda archive: archive.replace(b"social-worker", b"social_worker", 1),
        lambda archive: archive[:-1],
        lambda archive: b"[]",
        lambda archive: b"{}",
        lambda archive: b"\xff",
        lambda archive: json.dumps([{"name": "a", "base64": "not base64"}]).encode(),
    ],
)
def test_an_archive_that_was_altered_explains_nothing(policy: Policy, altered: object) -> None:
    content = altered(policy.archive)  # type: ignore[operator]
    with pytest.raises(PolicyProblem, match="isn't what that hash names"):
        open_archive(content, policy.hash)


@pytest.mark.parametrize("name", ["../outside.yaml", "/etc/outside.yaml", "a/../../b", ""])
def test_an_archive_never_writes_outside_its_folder(name: str) -> None:
    content = msgspec.json.encode([ArchivedFile(name=name, text="x")])
    with pytest.raises(PolicyProblem, match="isn't what that hash names"):
        open_archive(content, digest(content))


def test_the_hash_is_of_names_and_contents(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text("x")
    both = archived(tmp_path, [tmp_path / "b", tmp_path / "a"], [])
    assert both == archived(tmp_path, [tmp_path / "a", tmp_path / "b"], [])
    (tmp_path / "a").rename(tmp_path / "c")
    assert digest(both) != digest(archived(tmp_path, [tmp_path / "b", tmp_path / "c"], []))


def test_policies_of_another_day_need_not_know_what_came_since(folder: Path) -> None:
    """A door, a role, disclosures, an outline: whatever they don't know is a no, and the rest is as it was."""

    def without(path: str, *pairs: tuple[str, str]) -> None:
        text = (folder / path).read_text()
        for old, new in pairs:
            assert old in text, (path, old)
            text = text.replace(old, new)
        (folder / path).write_text(text)

    (folder / "disclosures.yaml").unlink()
    (folder / "rules/doors/door.disclose.cedar").unlink()
    without("rules.yaml", ("  - door.disclose\n", ""))
    without("schema.cedarschema", (', "disclose"', ""), (', "national-service"', ""))
    without("outlines.yaml", ("  problems: name\n", ""))
    (folder / "doors.yaml").write_text("refused:\n  open-record: Ask somebody.\n")
    with pytest.raises(PolicyProblem):
        Policy.load(folder)
    past = Policy.load_past(folder)
    again = open_archive(past.archive, past.hash)
    assert again.decide(BEST).rule == "section.results"
    assert again.may("open-record", Role.GP, OrganisationType.GP_PRACTICE).shown is Shown.WHOLE
    assert again.may("disclose", Role.PRIVACY_OFFICER, OrganisationType.COUNCIL).rule == ERROR_RULE
    strange = replace(BEST, organisation_type=OrganisationType.NATIONAL_SERVICE)
    assert (again.decide(strange).shown, again.decide(strange).rule) == (Shown.WITHHELD, ERROR_RULE)
    assert again.disclosures == {}
    assert again.remedies == {"open-record": "Ask somebody."}
    (folder / "doors.yaml").unlink()
    assert Policy.load_past(folder).remedies == {}
