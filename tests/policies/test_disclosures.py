"""`policies/disclosures.yaml`: everything wrong with it stops start-up, and every policy in it is what it says."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from connectors.sdk.model import Section
from connectors.sdk.organisations import OrganisationType
from gateway.caller.model import Caller, Role
from gateway.disclosure.model import BASIS_NAMES, LawfulBasis
from gateway.disclosure.policies import load_disclosures
from gateway.disclosure.told import left_out
from gateway.policy.decide import Policy, disclosing
from gateway.policy.files import PolicyProblem
from gateway.policy.model import Shown

OFFICER = Role.PRIVACY_OFFICER
TRUST = OrganisationType.ACUTE_TRUST
GOOD = """owner: o
version: "1"
policies:
  - name: some-policy
    title: Some
    why: Because
    owner: Board
    sections: [demographics, contacts]
    sensitive: false
    bases: [statute]
"""


def test_a_good_file_says_what_it_says(tmp_path: Path) -> None:
    path = tmp_path / "disclosures.yaml"
    path.write_text(GOOD)
    [named] = load_disclosures(path).values()
    assert (named.name, named.title, named.why, named.owner) == ("some-policy", "Some", "Because", "Board")
    assert named.terms.sections == {Section.DEMOGRAPHICS, Section.CONTACTS}
    assert not named.terms.sensitive
    assert named.terms.bases == {LawfulBasis.STATUTE}


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("owner: o\n", "", "must hold owner, policies, version"),
        ("name: some-policy", "name: Some Policy", "is no name for a policy"),
        ("name: some-policy", "name: 7", "is no name for a policy"),
        ("title: Some", "title: ' '", "title of some-policy must be text"),
        ("owner: Board", "owner: 5", "owner of some-policy must be text"),
        ("    why: Because\n", "", "each policy must hold"),
        ("sensitive: false", "sensitive: maybe", "must be true or false"),
        ("sections: [demographics, contacts]", "sections: []", "must list at least one"),
        ("sections: [demographics, contacts]", "sections: [contacts]", "leaves out demographics"),
        ("sections: [demographics, contacts]", "sections: [demographics, everything]", "Use some of"),
        ("sections: [demographics, contacts]", "sections: [demographics, demographics]", "says one twice"),
        ("bases: [statute]", "bases: [patient-agreed]", "Use some of statute, court-order, public-interest"),
        ("bases: [statute]", "bases: statute", "must list at least one"),
    ],
)
def test_a_wrong_file_stops_start_up(tmp_path: Path, old: str, new: str, says: str) -> None:
    path = tmp_path / "disclosures.yaml"
    assert old in GOOD
    path.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(PolicyProblem, match=says) as caught:
        load_disclosures(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (GOOD + GOOD.partition("policies:\n")[2], "two policies are named some-policy"),
        ("owner: o\nversion: '1'\npolicies: []\n", "at least one policy"),
        ("owner: o\nversion: '1'\npolicies: all\n", "at least one policy"),
    ],
)
def test_a_list_that_can_not_be_understood_stops_start_up(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "disclosures.yaml"
    path.write_text(text)
    with pytest.raises(PolicyProblem, match=says):
        load_disclosures(path)


def test_without_the_file_or_with_words_that_the_schema_lost_nothing_starts(policies: Path, tmp_path: Path) -> None:
    folder = tmp_path / "policies"
    shutil.copytree(policies, folder, ignore=shutil.ignore_patterns("cases"))
    schema = (folder / "schema.cedarschema").read_text()
    (folder / "schema.cedarschema").write_text(schema.replace("  sensitive: Bool, ", "  sensitive: String, "))
    with pytest.raises(PolicyProblem, match="doesn't fit the schema"):
        Policy.load(folder)
    (folder / "schema.cedarschema").write_text(schema)
    (folder / "disclosures.yaml").unlink()
    with pytest.raises(PolicyProblem, match="can't be read"):
        Policy.load(folder)


def test_it_is_part_of_the_hash(policies: Path, tmp_path: Path) -> None:
    folder = tmp_path / "policies"
    shutil.copytree(policies, folder, ignore=shutil.ignore_patterns("cases"))
    before = Policy.load(folder).hash
    path = folder / "disclosures.yaml"
    path.write_text(path.read_text().replace("sensitive: true", "sensitive: false"))
    assert Policy.load(folder).hash != before


def test_every_shipped_policy_shows_just_its_sections_on_just_its_bases(policy: Policy) -> None:
    for named in policy.disclosures.values():
        for basis in LawfulBasis:
            at = disclosing(named.terms, basis, OFFICER, TRUST)
            shown = {each for each in Section if policy.decide(replace(at, section=each)).shown is Shown.WHOLE}
            assert shown == (named.terms.sections if basis in named.terms.bases else set()), (named.name, basis)


def test_labelled_items_go_out_only_where_the_policy_says_so(policy: Policy) -> None:
    for named in policy.disclosures.values():
        at = disclosing(named.terms, min(named.terms.bases), OFFICER, TRUST)
        for section in named.terms.sections - {Section.DEMOGRAPHICS}:
            for label in policy.labels.vocabulary:
                decision = policy.decide(replace(at, section=section, labels=frozenset({label})))
                assert (decision.shown is Shown.WHOLE) == named.terms.sensitive, (named.name, section, label)


def test_what_it_leaves_out_is_said_the_same_for_everybody(policy: Policy) -> None:
    said = " ".join(left_out(policy, policy.disclosures["identity-and-contacts"]))
    assert "allergies, medicines, results, problems, immunisations, care team" in said
    assert "whether or not there are any: items labelled Assisted fertilisation; " in said
    assert "an organisation itself withholds" in said
    whole = " ".join(left_out(policy, policy.disclosures["whole-record"]))
    assert "items labelled" not in whole
    assert "Not part of" not in whole


def test_every_basis_has_words() -> None:
    assert set(BASIS_NAMES) == set(LawfulBasis)


def test_a_source_is_asked_for_no_more_than_the_policy_may_hold(policy: Policy) -> None:
    officer, doctor = (
        Caller("iss", "u", "A Person", "rp", "R8000", role, "RJ2", "Trust", TRUST, "client")
        for role in (OFFICER, Role.GP)
    )
    for named in policy.disclosures.values():
        for basis in named.terms.bases:
            assert policy.disclosed_sections(named.terms, basis, officer) == named.terms.sections, named.name
    contacts = policy.disclosures["identity-and-contacts"].terms
    assert policy.disclosed_sections(contacts, LawfulBasis.STATUTE, doctor) == frozenset()
