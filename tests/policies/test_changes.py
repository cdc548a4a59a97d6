"""What another policy decides otherwise, over every circumstance there can be, and over what was decided already."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from math import comb
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from typer.testing import CliRunner, Result

from connectors.sdk.model import Section
from connectors.sdk.organisations import OrganisationType
from gateway.audit.row import Kind, Lawful, Row, Who
from gateway.caller.model import Role
from gateway.choice.model import Basis, Scope
from gateway.cli import app
from gateway.policy.decide import Policy
from gateway.policy.model import Circumstances, Shown
from gateway.policy.tabled import TabledPolicy
from gateway.policy_changes.boxes import boxes, told
from gateway.policy_changes.changes import changed, differing
from gateway.policy_changes.files import table_changes
from gateway.policy_changes.past import Verdicts, past_changes
from gateway.policy_changes.space import Space
from gateway.store.interface import Kept, Store

LABELS = 11
SETS = sum(comb(LABELS, number) for number in range(3))
EVERY = len(Role) * 8 * 4 * 3 * 2 * 2 * 8 * 8 * SETS
"""Roles, types, purposes (two of care, a disclosure's, any other), bases, scopes, own practice, sections, sources."""

Change = Callable[[str], str]


def edited(policies: Path, tmp_path: Path, *changes: tuple[str, Change], name: str = "new") -> Path:
    """A copy of the policies with some files changed."""
    folder = tmp_path / name
    shutil.copytree(policies, folder, ignore=shutil.ignore_patterns("cases"))
    for file, change in changes:
        text = (folder / file).read_text()
        assert change(text) != text
        (folder / file).write_text(change(text))
    return folder


def swap(old: str, new: str) -> Change:
    return lambda text: text.replace(old, new)


SOCIAL_WORKERS_LOSE_MEDICINES = (
    "rules/sections/section.medicines.outline.cedar",
    swap(', Role::"social-worker"]', "]"),
)


@pytest.fixture(scope="session")
def old(policy: Policy) -> TabledPolicy:
    return TabledPolicy(policy)


@pytest.fixture(scope="session")
def without(old: TabledPolicy, policies: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Policies under which social workers lose the outline of medicines."""
    return edited(policies, tmp_path_factory.mktemp("without"), SOCIAL_WORKERS_LOSE_MEDICINES)


def another(old: TabledPolicy, folder: Path) -> TabledPolicy:
    return TabledPolicy(Policy.load(folder), like=old)


def test_the_space_stands_for_every_circumstance_once(old: TabledPolicy) -> None:
    points = list(Space(old, old).points())
    assert sum(point.count for point in points) == EVERY
    assert len({point.told for point in points}) == len(points) == len({point.circumstances for point in points})
    assert len(points) < EVERY / 100


@pytest.mark.slow
def test_one_point_speaks_for_all_of_its_class(old: TabledPolicy, without: Path) -> None:
    """Drawn circumstances are decided as the point is that has their words in its cells."""
    new = another(old, without)
    space = Space(old, new)
    by_cell: dict[tuple[Any, ...], Circumstances] = {}
    for point in space.points():
        c = point.circumstances
        key = (point.told[:7], c.labels)
        by_cell[key] = c
    role_of = {word: ", ".join(cell.told) for cell in space.roles for word in cell.told}
    place_of = {word: cell.told[0] for cell in space.places for word in cell.told[0].split(", ")}
    chance = random.Random(7)
    sensitive = sorted(old.labels.vocabulary - {"PSY", "MH"})
    for _ in range(400):
        role, at = chance.choice(list(Role)), chance.choice(list(OrganisationType))
        label = chance.choice(sensitive)
        drawn = Circumstances(
            role, at, "ETREAT", Basis.PATIENT_AGREED, chance.choice(list(Scope)), chance.random() < 0.5,
            chance.choice(list(Section)), chance.choice(list(OrganisationType)), frozenset({label}),
        )  # fmt: skip
        told_as = (
            role_of[role], place_of[at], "ETREAT, TREAT", "patient-agreed", drawn.scope.value,
            "yes" if drawn.own_practice else "no", drawn.section.value,
        )  # fmt: skip
        at_point = by_cell[told_as, frozenset({sensitive[0]})]
        for policy in (old, new):
            assert policy.decide(drawn) == policy.decide(at_point)


@pytest.mark.slow
def test_the_same_policy_changes_nothing(old: TabledPolicy, policy: Policy) -> None:
    assert not changed(differing(old, TabledPolicy(policy, like=old)))
    assert table_changes(old, policy) == []


def test_a_lost_outline_is_found_wherever_it_counts_and_nowhere_else(old: TabledPolicy, without: Path) -> None:
    new = another(old, without)
    [looks] = [part for part in differing(old, new) if part.groups]
    [change] = looks.changes()
    assert (change.before, change.after) == (Shown.OUTLINE, Shown.WITHHELD)
    assert set(change.rules_before) == {"section.medicines.outline", "label.mental-health.outline"}
    assert change.rules_after == ("policy.default-deny",)
    # Seven types of organisation, two purposes, two bases, two scopes, own practice, eight sources, {}, MH, PSY, both.
    assert change.count == 7 * 2 * 2 * 2 * 2 * 8 * 4
    [line] = [told(box, looks.fields, looks.every) for box in boxes(change.told)]
    assert line == (
        "role: social-worker; organisation: any but commissioner; purpose: ETREAT, TREAT; "
        "basis: any but no permission; section: medicines; labels: MH and PSY, none, one of MH/PSY"
    )
    for told_as in change.told:
        assert told_as[0] == "social-worker"
    assert new.hash != old.hash


@pytest.mark.slow
def test_a_rule_that_takes_anothers_place_is_told_though_nothing_else_is_shown(
    old: TabledPolicy, policies: Path, tmp_path: Path
) -> None:
    renamed = ('@id("commissioner.nothing")', '@id("commissioner.never")')
    folder = edited(
        policies,
        tmp_path,
        ("rules/always/commissioner.nothing.cedar", swap(*renamed)),
        ("rules.yaml", swap("commissioner.nothing", "commissioner.never")),
    )
    parts = differing(old, another(old, folder))
    groups = [change for part in parts for change in part.changes()]
    assert groups
    assert not any(change.is_outcome for change in groups)
    assert {change.rules_after for change in groups} == {("commissioner.never",)}
    assert sum(bool(part.groups) for part in parts) > 5  # at every door, in every disclosure


@pytest.mark.slow
def test_a_rule_about_types_of_source_is_counted_by_source(old: TabledPolicy, policies: Path, tmp_path: Path) -> None:
    rule = (
        '@id("zz.own-kind") @title("t") @why("w") @owner("o")\n'
        'forbid (principal, action in Action::"see", resource == Section::"results")\n'
        "when { principal.organisationType == context.sourceType };\n"
    )
    folder = edited(policies, tmp_path, ("rules.yaml", swap("rules:\n", "rules:\n  - zz.own-kind\n")))
    (folder / "rules" / "zz.own-kind.cedar").write_text(rule)
    parts = differing(old, another(old, folder))
    [looks] = [part for part in parts if part.groups and part.name.startswith("Looking")]
    shown_before = [change for change in looks.changes() if change.is_outcome]
    assert sum(point.count for point in Space(old, TabledPolicy(Policy.load(folder))).points()) == EVERY
    whole = [told_as for change in shown_before for told_as in change.told]
    assert whole
    assert all("the caller's own type" in names[7] or names[7] == names[1] for names in whole)
    [disclosing] = [part for part in parts if part.name == "Disclosing under whole-record"]
    assert any(change.is_outcome for change in disclosing.changes())


@pytest.mark.slow
def test_a_new_and_a_changed_disclosure_policy_are_told(old: TabledPolicy, policies: Path, tmp_path: Path) -> None:
    folder = edited(
        policies, tmp_path, ("disclosures.yaml", swap("name: whole-record", "name: every-record")),
    )  # fmt: skip
    path = folder / "disclosures.yaml"
    path.write_text(path.read_text().replace("sections: [demographics, contacts]", "sections: [demographics, results]"))
    parts = differing(old, another(old, folder))
    told_of = {part.name: part.changes() for part in parts if part.groups}
    names = ("whole-record", "every-record", "identity-and-contacts")
    assert set(told_of) == {f"Disclosing under {name}" for name in names}
    [gone] = told_of["Disclosing under whole-record"]
    assert (gone.before, gone.after, gone.rules_after) == (Shown.WHOLE, Shown.WITHHELD, ("disclosure.unknown-policy",))
    outcomes = {(c.before, c.after) for c in told_of["Disclosing under identity-and-contacts"] if c.is_outcome}
    assert outcomes == {(Shown.WHOLE, Shown.WITHHELD), (Shown.WITHHELD, Shown.WHOLE)}


def test_doors_are_compared(old: TabledPolicy, policies: Path, tmp_path: Path) -> None:
    door = "rules/doors/door.see-sources.cedar"
    parts = differing(old, another(old, edited(policies, tmp_path, (door, swap('Role::"gp", ', "")))))
    [part] = [part for part in parts if part.groups]
    [change] = part.changes()
    assert part.name == "The door see-sources"
    assert (change.before, change.after, change.count) == (Shown.WHOLE, Shown.WITHHELD, 7)


def test_tables_that_decisions_turn_on_are_compared(old: TabledPolicy, policies: Path, tmp_path: Path) -> None:
    folder = edited(
        policies,
        tmp_path,
        ("labels/hiv.yaml", lambda text: text + '    "99999999": Something new\n'),
        ("outlines.yaml", swap("Practitioner: [name]", "Practitioner: [name, gender]")),
        ("job-roles.yaml", swap("      - {code: R6300, name: Sessional GP}\n", "")),
        ("doors.yaml", swap("Ask one of them", "Ask them")),
    )
    said = table_changes(old, Policy.load(folder))
    assert any(each.startswith("Label HIV: ") and "gain it, 0 lose it" in each for each in said)
    assert "The outline of Practitioner: keeps also gender; no longer keeps nothing." in said
    assert "Job role R6300: gp in gp-practice before, no role now." in said
    assert "The file doors.yaml differs: what is said at doors." in said
    assert len(said) == 4


def test_boxes_hold_just_the_points() -> None:
    points = [(a, b, c) for a in "xy" for b in "12" for c in "pq"] + [("z", "1", "p"), ("z", "2", "p"), ("w", "3", "q")]
    found = boxes(points)
    held = [(a, b, c) for box in found for a in box[0] for b in box[1] for c in box[2]]
    assert sorted(held) == sorted(points)
    assert len(found) == 3
    assert len(found[0][0]) == 2
    assert boxes([]) == []


WHO = Who(
    issuer="https://issuer.example", user_id="555", name="N", role_profile_id="556", job_role_code="R8014",
    role="social-worker", organisation="709", organisation_name="Lewisham", organisation_type="council",
    client_id="viewer", purpose="TREAT", acr="", token_id="",
)  # fmt: skip


class Journal:
    """As much of a store as is read."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = [Kept(seq, row) for seq, row in enumerate(rows, 1)]

    async def rows(self, *, kinds: frozenset[Kind], after: int, limit: int) -> list[Kept]:
        return [each for each in self._rows if each.seq > after and each.row.kind in kinds][:limit]


def a_row(kind: Kind = Kind.RELEASE, **more: Any) -> Row:
    given = {
        "who": WHO, "basis": "patient-agreed", "scope": "standard", "sections": [each.value for each in Section],
        **more,
    }  # fmt: skip
    return Row(kind=kind, request_id="r", at=datetime(2026, 5, 1, tzinfo=UTC), door="GET /x", **given)


async def judged(old: TabledPolicy, new: TabledPolicy, *rows: Row) -> Verdicts:
    return await past_changes(cast(Store, Journal(rows)), old, new)


async def test_past_looks_are_certain_where_all_that_is_open_differs(old: TabledPolicy, without: Path) -> None:
    new = another(old, without)
    seen = a_row(seen={"medicines": 3, "allergies": 1})
    asked = a_row(seen={"allergies": 1})
    neither = a_row(seen={"allergies": 1}, sections=["allergies"])
    found = await judged(old, new, seen, seen, asked, neither, a_row(Kind.INTENT))
    assert (found.events, found.not_judged) == (4, 0)
    assert found.certain.total() == 2
    assert found.might.total() == 1
    assert {alike.shown for alike in found.certain} == {frozenset({"medicines", "allergies"})}


async def test_what_depends_on_a_label_might_change(old: TabledPolicy, policies: Path, tmp_path: Path) -> None:
    outline = "rules/labels/label.mental-health.outline.cedar"
    both = swap('action == Action::"view"', 'action in Action::"see"')
    new = another(old, edited(policies, tmp_path, (outline, both)))
    found = await judged(old, new, a_row(seen={"contacts": 3}))
    assert (found.certain.total(), found.might.total()) == (0, 1)


async def test_what_is_opened_certainly_changes_nothing_that_was_shown(
    old: TabledPolicy, policies: Path, tmp_path: Path
) -> None:
    """Something more might have been shown: whether there was anything, the journal doesn't say."""
    results = "rules/sections/section.results.cedar"
    more = swap('Role::"district-nurse"]', 'Role::"district-nurse", Role::"social-worker"]')
    new = another(old, edited(policies, tmp_path, (results, more)))
    found = await judged(old, new, a_row(seen={"allergies": 3}))
    assert (found.certain.total(), found.might.total()) == (0, 1)


async def test_past_doors_and_disclosures_are_judged(old: TabledPolicy, policies: Path, tmp_path: Path) -> None:
    folder = edited(
        policies,
        tmp_path,
        ("rules/doors/door.read-audit.cedar", swap('Role::"privacy-officer"', 'Role::"gp"')),
        ("disclosures.yaml", swap("sections: [demographics, contacts]", "sections: [demographics]")),
    )
    new = another(old, folder)
    gp = replace_who(role="gp", organisation_type="gp-practice")
    officer = replace_who(role="privacy-officer", purpose="HLEGAL", organisation_type="acute-trust")
    lawful = Lawful(basis="statute", reference="s", recipient="r", policy="identity-and-contacts")
    rows = [
        a_row(Kind.REFUSAL, who=gp, detail="policy refused read-audit"),
        a_row(Kind.REFUSAL, detail="policy refused read-audit"),
        a_row(Kind.REFUSAL, detail="no permission"),
        a_row(Kind.RELEASE, who=None),
        a_row(Kind.DISCLOSURE, who=officer, lawful=lawful, basis=None, scope=None, seen={"contacts": 1},
              sections=["demographics", "contacts"]),
    ]  # fmt: skip
    found = await judged(old, new, *rows)
    assert (found.events, found.not_judged) == (5, 2)
    certain = sorted((alike.action, alike.role) for alike in found.certain)
    assert certain == [("disclose", "privacy-officer"), ("read-audit", "gp")]
    assert found.might.total() == 0


def replace_who(**changes: str) -> Who:
    return msgspec.structs.replace(WHO, **changes)


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(app, ["policy", "diff", *map(str, words)])


@pytest.mark.slow
def test_the_command_tells_what_changes_and_says_so_by_its_exit_code(policies: Path, without: Path) -> None:
    same = run(policies, policies)
    assert (same.exit_code, same.stdout) == (0, "No decision changes.\n")
    other = run(policies, without)
    assert other.exit_code == 1
    assert "outline by label.mental-health.outline, section.medicines.outline -> withheld by policy.def" in other.stdout
    assert "role: social-worker; organisation: any but commissioner" in other.stdout


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("nowhere", "policies"), "neither a folder of policies nor a hash"),
        (("0" * 64, "policies"), "needs a store"),
    ],
)
def test_trouble_is_exit_code_two(policies: Path, words: tuple[str, str], says: str) -> None:
    result = run(*(policies if each == "policies" else each for each in words))
    assert (result.exit_code, says in result.output) == (2, True)


@pytest.mark.slow
def test_a_folder_that_would_not_start_is_said_so_and_compared(policies: Path, tmp_path: Path) -> None:
    folder = edited(policies, tmp_path, ("doors.yaml", swap("  disclose: >-\n", "  disclosed: >-\n")))
    result = run(policies, folder)
    assert "would not start with" in result.output
    assert result.exit_code == 1
