"""Everything wrong with the policies stops start-up, with the file and what to do; what can't be judged is withheld."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from itertools import product
from pathlib import Path

import cedarpy
import pytest

from connectors.sdk.errors import ConfigurationError
from connectors.sdk.model import Section
from connectors.sdk.organisations import OrganisationType
from gateway.caller.model import Role
from gateway.choice.model import Basis, Scope
from gateway.policy import decide
from gateway.policy.decide import Policy, best_circumstances
from gateway.policy.files import PolicyProblem, read_text
from gateway.policy.matrix import USUAL_PLACE
from gateway.policy.model import Shown
from gateway.policy.rules import ERROR_RULE
from tests.quick import every

BEST = best_circumstances(Role.GP, OrganisationType.GP_PRACTICE, Section.RESULTS, OrganisationType.ACUTE_TRUST)
RULE = """@id("test.rule") @title("t") @why("w") @owner("o")
permit (principal, action in Action::"see", resource == Section::"results");
"""


@pytest.fixture
def folder(policies: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "policies"
    shutil.copytree(policies, copy, ignore=shutil.ignore_patterns("cases"))
    return copy


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('@id("test.rule")', "", "no @id"),
        ('@title("t")', '@title("  ")', "no @title"),
        ('@why("w")', "", "no @why"),
        ('@owner("o")', "@owner", "no @owner"),
        ('@id("test.rule")', '@id("section.results")', "taken .section.results.cedar"),
        ('@id("test.rule")', '@id("policy.error")', "taken .built in"),
        ('Section::"results"', 'Section::"result"', "doesn't fit the schema"),
        ("permit (", "permitt (", "not Cedar"),
        ("resource == ", "resource == ?resource, ", "not Cedar"),
        ('resource == Section::"results"', "resource == ?resource", "holds 0 rules"),
        (");\n", ");\npermit (principal, action, resource);\n", "holds 2 rules"),
        (
            ");\n",
            ') when { principal.rol == Role::"gp" };\n',
            "doesn't fit the schema",
        ),
    ],
)
def test_a_wrong_rule_stops_start_up(folder: Path, old: str, new: str, says: str) -> None:
    file = folder / "rules" / "test.cedar"
    assert old in RULE
    file.write_text(RULE.replace(old, new, 1))
    with pytest.raises(ConfigurationError, match=says) as caught:
        Policy.load(folder)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    every(
        4,
        [
            ("schema.cedarschema", "entity Role enum", "entity Role enumm", "not a Cedar schema"),
            ("schema.cedarschema", ', "see-sources" appliesTo', " appliesTo", "doesn't fit the schema"),
            ("outlines.yaml", "Condition: [clinicalStatus", "Condition: [clinicalState", "no element clinicalState"),
            (
                "outlines.yaml",
                "MedicationRequest: [status, intent,",
                "MedicationRequest: [status,",
                "leaves out intent",
            ),
            (
                "outlines.yaml",
                "medicationCodeableConcept, medicationReference",
                "medicationReference",
                "leaves out medicationC",
            ),
            ("outlines.yaml", "    - participant.status\n", "", "leaves out status"),
            ("outlines.yaml", "    - class\n", "", "leaves out class"),
            ("outlines.yaml", "  Specimen: [type]\n", "", "must hold"),
            ("outlines.yaml", "  Specimen: [type]\n", "  Specimen: []\n", "must list elements"),
            ("outlines.yaml", "  Specimen: [type]\n", "  Specimen: [type, extension]\n", "no element extension"),
            ("outlines.yaml", "  Specimen: [type]\n", "  Specimen: [type]\n  Composition: [title]\n", "must hold"),
            ("outlines.yaml", "  problems: name\n", "", "told must hold"),
            ("rules.yaml", "  - permission.needed\n", "", "permission.needed .permission.needed.cedar. isn't listed"),
            (
                "rules.yaml",
                "  - permission.needed\n",
                "  - permission.need\n",
                "no file holds the rule permission.need",
            ),
            ("rules.yaml", "  - permission.needed\n", "  - 1\n", "must list the rules' ids"),
            ("rules.yaml", "rules:", "ruled:", "must hold owner, rules"),
            ("doors.yaml", "  read-audit: >-", "  read-audits: >-", "refused must hold"),
            ("doors.yaml", "owner:", "owned:", "must hold owner, refused"),
        ],
    ),
)
def test_a_wrong_schema_or_outline_stops_start_up(folder: Path, file: str, old: str, new: str, says: str) -> None:
    path = folder / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(PolicyProblem, match=says):
        Policy.load(folder)


@pytest.mark.parametrize(
    ("lost", "says"),
    [
        ('"nurse", ', "nurse"),
        ('\n  "council", "commissioner"', "every role and type of organisation"),
        (', "results"', "results"),
        (', "MH"', "MH"),
        (', "including-sensitive"', "including-sensitive"),
    ],
)
def test_a_word_that_the_schema_lost_stops_start_up(folder: Path, lost: str, says: str) -> None:
    """Every word that the gateway may use is one of the schema."""
    path = folder / "schema.cedarschema"
    text = path.read_text()
    assert lost in text
    path.write_text(text.replace(lost, '\n  "commissioner"' if "council" in lost else "", 1))
    with pytest.raises(PolicyProblem, match=says):
        Policy.load(folder)


def without(folder: Path, kind: str, word: str, instead: str) -> None:
    """The schema and every rule, without a word."""
    schema = folder / "schema.cedarschema"
    assert f', "{word}"' in schema.read_text()
    schema.write_text(schema.read_text().replace(f', "{word}"', "", 1))
    for rule in folder.rglob("*.cedar"):
        rule.write_text(rule.read_text().replace(f'{kind}::"{word}"', f'{kind}::"{instead}"'))


def test_a_law_that_neither_schema_nor_rules_know_stops_start_up(folder: Path) -> None:
    without(folder, "Basis", "public-interest", "statute")
    with pytest.raises(PolicyProblem, match=r"the disclosure identity-and-contacts by court-order\."):
        Policy.load(folder)


def test_a_section_that_neither_schema_nor_rules_know_stops_start_up(folder: Path) -> None:
    without(folder, "Section", "immunisations", "allergies")
    with pytest.raises(PolicyProblem, match="doesn't know the section immunisations"):
        Policy.load(folder)


def test_nobody_sees_more_than_in_the_best_circumstances(policy: Policy) -> None:
    """What nothing is seen in, in these, is never asked of a source."""
    for role, section in product(Role, Section):
        best = best_circumstances(role, USUAL_PLACE[role], section, OrganisationType.ACUTE_TRUST)
        assert (best.own_practice, best.scope, best.labels) == (True, Scope.INCLUDING_SENSITIVE, frozenset())
        seen = policy.decide(best).shown
        for own, scope, basis in product((True, False), Scope, Basis):
            less = policy.decide(replace(best, own_practice=own, scope=scope, basis=basis)).shown
            assert less <= seen, (role, section, own, scope, basis)


def test_a_door_that_the_schema_does_not_have_stops_start_up(folder: Path) -> None:
    (folder / "rules" / "doors" / "door.see-sources.cedar").unlink()
    manifest = folder / "rules.yaml"
    manifest.write_text(manifest.read_text().replace("  - door.see-sources\n", "", 1))
    path = folder / "schema.cedarschema"
    path.write_text(path.read_text().replace(', "see-sources"', "", 1))
    with pytest.raises(PolicyProblem, match="doesn't know the action see-sources"):
        Policy.load(folder)


@pytest.mark.parametrize("lost", ["rules/always", "rules/labels", "rules/always/permission.needed.cedar"])
def test_a_rule_that_got_lost_stops_start_up(folder: Path, lost: str) -> None:
    """What it forbids would be open, and nothing else would say so."""
    path = folder / lost
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(PolicyProblem, match=r"rules\.yaml: no file holds the rule .* Put its file back"):
        Policy.load(folder)


@pytest.mark.parametrize("name", ["permission.needed.cedar.bak", "labels/extra.txt", ".DS_Store", "forbid.Cedar"])
def test_a_stray_file_among_the_rules_stops_start_up(folder: Path, name: str) -> None:
    (folder / "rules" / name).write_text(RULE)
    with pytest.raises(PolicyProblem, match=r"only \.cedar files are rules") as caught:
        Policy.load(folder)
    assert name in str(caught.value)


def test_a_door_that_says_nothing_stops_start_up(folder: Path) -> None:
    sentences = "\n".join(f"  {door}: said" for door in decide.DOORS).replace("read-audit: said", "read-audit: ' '")
    (folder / "doors.yaml").write_text(f"owner: somebody\nrefused:\n{sentences}\n")
    with pytest.raises(PolicyProblem, match="read-audit says nothing"):
        Policy.load(folder)


@pytest.mark.parametrize(
    ("action", "role", "place", "says"),
    [
        ("ask-best-interests", Role.SOCIAL_WORKER, OrganisationType.COUNCIL, "for doctors and nurses. Ask the doctor"),
        ("ask-best-interests", Role.OCCUPATIONAL_THERAPIST, OrganisationType.COUNCIL, '"basis": "patient-agreed"'),
        ("record-sharing-choice", Role.HOSPITAL_DOCTOR, OrganisationType.ACUTE_TRUST, "GP practice .* record sharing"),
        ("read-audit", Role.GP, OrganisationType.GP_PRACTICE, "Privacy officers read the audit. Ask your"),
        ("read-permissions", Role.GP, OrganisationType.GP_PRACTICE, "GET /permissions lists your own"),
        ("read-own-permissions", Role.PRIVACY_OFFICER, OrganisationType.COUNCIL, "POST /permissions/_search"),
        ("open-record", Role.COMMISSIONER, OrganisationType.COMMISSIONER, "plans and pays .* open records"),
    ],
)
def test_a_refused_door_says_who_may_and_what_to_do(
    policy: Policy, action: str, role: Role, place: OrganisationType, says: str
) -> None:
    decision = policy.may(action, role, place)
    assert decision.shown is Shown.WITHHELD
    assert re.search(says, decision.why), decision.why


def test_no_refused_door_says_only_that_no_rule_shows_it(policy: Policy) -> None:
    for action in decide.DOORS:
        for role in Role:
            for place in OrganisationType:
                decision = policy.may(action, role, place)
                assert decision.shown or "No rule shows" not in decision.why


def test_an_open_door_says_only_why_it_is_open(policy: Policy) -> None:
    for action in decide.DOORS:
        for role in Role:
            decision = policy.may(action, role, OrganisationType.ACUTE_TRUST)
            assert not decision.shown or decision.why == policy.rules[decision.rule].why


def test_an_absent_folder_or_file_stops_start_up(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(PolicyProblem, match="can't be read"):
        Policy.load(tmp_path / "nowhere")
    with pytest.raises(PolicyProblem, match="can't be read"):
        read_text(folder)
    (folder / "outlines.yaml").write_text("- a list\n")
    with pytest.raises(PolicyProblem, match="keys and values"):
        Policy.load(folder)
    (folder / "outlines.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(PolicyProblem, match="can't be read"):
        Policy.load(folder)


def test_the_hash_names_the_policies_in_force(folder: Path, policies: Path, tmp_path: Path) -> None:
    assert Policy.load(folder).hash == Policy.load(policies).hash  # cases are examples, and decide nothing
    extra = tmp_path / "full.csv"
    extra.write_text("system,code,label\nhttp://snomed.info/sct,1,STD\n")
    hashes = {Policy.load(folder).hash, Policy.load(folder, [extra]).hash}
    for file in ("rules/sections/section.results.cedar", "outlines.yaml", "labels/hiv.yaml", "source-labels.yaml"):
        comment = "//\n" if file.endswith("cedar") else "# a comment\n"
        (folder / file).write_text((folder / file).read_text() + comment)
        hashes.add(Policy.load(folder).hash)
    assert len(hashes) == 6


def test_any_error_withholds(policies: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = Policy.load(policies)
    assert policy.decide(BEST).shown is Shown.WHOLE
    real = cedarpy.is_authorized

    def failing(*arguments: object) -> cedarpy.AuthzResult:
        result = real(*arguments)  # type: ignore[arg-type]
        result.diagnostics.errors.append("a rule was skipped")
        result._diagnostics._diagnostics["errors"] = ["a rule was skipped"]
        return result

    monkeypatch.setattr(cedarpy, "is_authorized", failing)
    fresh = replace(BEST, purpose="ETREAT")
    decision = policy.decide(fresh)
    assert (decision.shown, decision.rule) == (Shown.WITHHELD, ERROR_RULE)
    assert "could not be judged" in decision.why
    door = policy.may("read-audit", Role.PRIVACY_OFFICER, OrganisationType.ACUTE_TRUST)
    assert (door.shown, door.why) == (Shown.WITHHELD, decision.why), "who may is nobody's remedy for that"


def test_a_decision_is_remembered_and_the_memory_is_bounded(policies: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = Policy.load(policies)
    asked = 0
    real = cedarpy.is_authorized

    def counting(*arguments: object) -> cedarpy.AuthzResult:
        nonlocal asked
        asked += 1
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(cedarpy, "is_authorized", counting)
    monkeypatch.setattr(decide, "_MEMO_LIMIT", 2)
    policy._memo.clear()
    tuples = [replace(BEST, section=section) for section in (Section.RESULTS, Section.ALLERGIES, Section.MEDICINES)]
    for each in (tuples[0], tuples[1], tuples[0], tuples[1], tuples[2]):
        policy.decide(each)
    assert asked == 3
    assert len(policy._memo) == 1
    policy._doors.clear()
    for action in ("see-sources", "see-sources", "made-up"):
        policy.may(action, Role.GP, OrganisationType.GP_PRACTICE)
    assert [action for action, _, _ in policy._doors] == ["see-sources"], "what isn't a door fills no memory"
    assert asked == 5


def test_the_rule_of_a_decision_says_why(policy: Policy) -> None:
    decision = policy.decide(BEST)
    assert decision.why == policy.rules[decision.rule].why
    assert policy.rules["label.sensitive.agreement"].effect == "forbid"
