"""Who sees what, as a table that is made by asking the policy; and why one decision fell as it did.

`docs/policy-matrix.md` is this table; a test keeps it current, so the page can't drift from the rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from connectors.sdk.model import Section
from connectors.sdk.organisations import OrganisationType
from gateway.caller.model import Role
from gateway.choice.model import Basis, Scope
from gateway.disclosure.model import NamedPolicy
from gateway.policy.decide import DOORS, Policy, disclosing
from gateway.policy.model import Circumstances, Shown
from gateway.policy.told import SECTION_NAMES

_SIGN: Final = {Shown.WHOLE: "F", Shown.OUTLINE: "O", Shown.WITHHELD: "–"}
_LEGEND: Final = "F = whole, O = in outline, – = withheld."
_WORD: Final = {Shown.WHOLE: "whole", Shown.OUTLINE: "in outline", Shown.WITHHELD: "withheld"}
USUAL_PLACE: Final[Mapping[Role, OrganisationType]] = {
    Role.GP: OrganisationType.GP_PRACTICE,
    Role.HOSPITAL_DOCTOR: OrganisationType.ACUTE_TRUST,
    Role.NURSE: OrganisationType.ACUTE_TRUST,
    Role.DISTRICT_NURSE: OrganisationType.COMMUNITY_TRUST,
    Role.OCCUPATIONAL_THERAPIST: OrganisationType.COUNCIL,
    Role.SOCIAL_WORKER: OrganisationType.COUNCIL,
    Role.PRIVACY_OFFICER: OrganisationType.ACUTE_TRUST,
    Role.COMMISSIONER: OrganisationType.COMMISSIONER,
    Role.PATIENT: OrganisationType.NATIONAL_SERVICE,
}
"""Where the matrix puts each role; the rules say where it matters."""
_NOTES: Final = {
    "¹": "at the patient's own practice",
    "²": "where the patient agreed to just that (permission with scope including-sensitive)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One part of the matrix. `before` and `notes` are sentences around it; `named` are words with what each means."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    before: str = ""
    legend: str = ""
    notes: Sequence[str] = ()
    named: Sequence[tuple[str, str]] = ()


def tables(policy: Policy) -> list[Table]:
    """Sections and labels by role, how outlines read, what may be disclosed, what each may do, every rule with its
    reason, and the label tables."""
    return [_seeing(policy), _outlines(policy), _disclosed(policy), _doors(policy), _rules(policy), _tables(policy)]


def matrix(policy: Policy) -> str:
    """All tables, as Markdown."""
    return "\n\n".join(map(_markdown, tables(policy))) + "\n"


def explain(policy: Policy, circumstances: Circumstances) -> str:
    """Why: the outcome, the rule that decided, and every rule that spoke."""
    decision = policy.decide(circumstances)
    rule = policy.rules[decision.rule]
    lines = [
        f"{SECTION_NAMES[circumstances.section]} for {circumstances.role} in {circumstances.organisation_type}: "
        f"{_WORD[decision.shown]}",
        f"decided by {rule.id} ({rule.title}; {rule.owner})",
        f"why: {rule.why}",
    ]
    for action, verdict in policy.deciding_rules(circumstances).items():
        spoke = ", ".join(f"{policy.rules[each].effect} {each}" for each in verdict.rules) or "no rule"
        lines.append(f"{action}: {'yes' if verdict.allowed else 'no'} ({spoke})")
    return "\n".join(lines)


def _seeing(policy: Policy) -> Table:
    rows = [
        [SECTION_NAMES[section], *(_cell(policy, role, [section], frozenset()) for role in Role)] for section in Section
    ]
    clinical = [section for section in Section if section is not Section.DEMOGRAPHICS]
    for label in sorted(policy.labels.vocabulary):
        cells = (_cell(policy, role, clinical, frozenset({label})) for role in Role)
        rows.append([f"labelled {label}: {policy.labels.titles[label]}", *cells])
    notes = [f"{sign} {note}." for sign, note in _NOTES.items()]
    legend = (
        "A labelled item is never shown further than its section is: its row says the most that is shown in any "
        "section but demographics, where a label leaves the identity."
    )
    return Table(title="Who sees what", heads=["", *Role], rows=rows, legend=legend, notes=notes)


def _cell(policy: Policy, role: Role, sections: Iterable[Section], labels: frozenset[str]) -> str:
    """The plain outcome, and by footnote in which circumstances more is shown."""
    sections = list(sections)

    def most(*, scope: Scope = Scope.STANDARD, own_practice: bool = False) -> Shown:
        return max(
            policy.decide(_circumstances(role, section, labels, scope=scope, own_practice=own_practice)).shown
            for section in sections
        )

    plain = most()
    more = [
        f"{_SIGN[shown]}{sign}"
        for sign, shown in (("¹", most(own_practice=True)), ("²", most(scope=Scope.INCLUDING_SENSITIVE)))
        if shown > plain
    ]
    return ", ".join([_SIGN[plain], *more]) if more else _SIGN[plain]


def _circumstances(
    role: Role, section: Section, labels: frozenset[str], *, scope: Scope, own_practice: bool
) -> Circumstances:
    place = USUAL_PLACE[role]
    return Circumstances(role, place, "TREAT", Basis.PATIENT_AGREED, scope, own_practice, section, place, labels)


def _outlines(policy: Policy) -> Table:
    rows = [[SECTION_NAMES[section], told] for section, told in policy.outlines.told.items()]
    return Table(title="What an outline shows", heads=["section", "outline"], rows=rows)


def _disclosed(policy: Policy) -> Table:
    """What goes out under each named policy, by asking the rules for a privacy officer on every basis it is for."""
    names = list(policy.disclosures.values())
    rows = [
        [SECTION_NAMES[section], *(_disclosed_cell(policy, each, section) for each in names)] for section in Section
    ]
    for label in sorted(policy.labels.vocabulary):
        cells = (_disclosed_cell(policy, each, None, frozenset({label})) for each in names)
        rows.append([f"labelled {label}: {policy.labels.titles[label]}", *cells])
    rows.append(["on the basis of", *(", ".join(sorted(each.terms.bases)) for each in names)])
    named = [(each.name, f"{each.title}. {each.why} ({each.owner})") for each in names]
    legend = "What goes out by `POST /disclosures`, by a privacy officer alone. Signs and labels as above."
    heads = ["", *(each.name for each in names)]
    return Table(title="What may be disclosed by law", heads=heads, rows=rows, before=legend, named=named)


def _disclosed_cell(
    policy: Policy, named: NamedPolicy, section: Section | None, labels: frozenset[str] = frozenset()
) -> str:
    """The least that any of its bases shows; of a label, the most in any section but demographics."""
    at = USUAL_PLACE[Role.PRIVACY_OFFICER]
    sections = [section] if section else [each for each in Section if each is not Section.DEMOGRAPHICS]
    shown = min(
        max(
            policy.decide(
                replace(disclosing(named.terms, basis, Role.PRIVACY_OFFICER, at), section=each, labels=labels)
            ).shown
            for each in sections
        )
        for basis in named.terms.bases
    )
    return _SIGN[shown]


def _doors(policy: Policy) -> Table:
    rows = [[action, *(_where(policy, action, role) for role in Role)] for action in DOORS]
    return Table(title="Who may do what", heads=["", *Role], rows=rows)


def open_to(policy: Policy, action: str) -> list[str]:
    """Whom a door lets in: roles, and where it isn't everywhere, in which types of organisation."""
    found = ((role, _where(policy, action, role)) for role in Role)
    return [role.value if where == "yes" else f"{role} {where}" for role, where in found if where != "–"]


def _where(policy: Policy, action: str, role: Role) -> str:
    """Yes, no, or in which types of organisation (commissioning bodies never count: nothing is open there)."""
    places = [type_ for type_ in OrganisationType if type_ is not OrganisationType.COMMISSIONER]
    open_in = [type_ for type_ in places if policy.may(action, role, type_).shown is Shown.WHOLE]
    if len(open_in) == len(places):
        return "yes"
    return ", ".join(f"in a {type_}" for type_ in open_in) or "–"


def _rules(policy: Policy) -> Table:
    rows = [
        [rule.id, rule.effect, rule.title, rule.why, rule.owner]
        for rule in sorted(policy.rules.values(), key=lambda rule: rule.id)
    ]
    return Table(title="The rules", heads=["id", "effect", "what", "why", "owner"], rows=rows)


def _tables(policy: Policy) -> Table:
    rows = [[each.name, each.version, str(each.count), ", ".join(each.labels)] for each in policy.labels.loaded()]
    return Table(title="The label tables that are loaded", heads=["table", "version", "codes", "labels"], rows=rows)


def _markdown(table: Table) -> str:
    named = [f"**{name}**: {meaning}" for name, meaning in table.named]
    legend = f"{_LEGEND} {table.legend}" if table.legend else ""
    parts = [
        f"## {table.title}", table.before, _lines(table), legend, "  \n".join(table.notes), *named,
    ]  # fmt: skip
    return "\n\n".join(filter(None, parts))


def _lines(table: Table) -> str:
    rows = [[f"`{first}`", *rest] for first, *rest in table.rows] if table.heads[0] == "id" else table.rows
    lines = [table.heads, ["---"] * len(table.heads), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)
