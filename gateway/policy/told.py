"""What an answer says of itself: which sections and kinds this role and permission never show, and how to ask.

A function of caller and permission alone, never of data: the same words whether or not anything was withheld.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from connectors.sdk.model import Section
from gateway.caller.model import Caller, Role
from gateway.choice.model import Basis, Permission, Scope
from gateway.policy.decide import Policy, best_circumstances
from gateway.policy.labels import RESTRICTED
from gateway.policy.model import Circumstances, Shown

SECTION_NAMES: Final = {section: section.value.replace("-", " ") for section in Section}
ROLE_NAMES: Final = {
    Role.GP: "a GP",
    Role.HOSPITAL_DOCTOR: "a hospital doctor",
    Role.NURSE: "a nurse",
    Role.DISTRICT_NURSE: "a district nurse",
    Role.OCCUPATIONAL_THERAPIST: "an occupational therapist",
    Role.SOCIAL_WORKER: "a social worker",
    Role.PRIVACY_OFFICER: "a privacy officer",
    Role.COMMISSIONER: "a commissioner",
}
BY_API: Final = 'POST /permissions with "basis": "patient-agreed" and "scope": "including-sensitive"'
"""How it is said that the patient agreed, where an application asks: a page says how on the page."""
ABSENCE: Final = "Absence of information here does not mean that it does not exist."


def never_shown(policy: Policy, caller: Caller, permission: Permission | None) -> list[str]:
    """Standing sentences for the reader. Without a permission: as with the patient's ordinary agreement."""
    circumstances = Circumstances(
        role=caller.role,
        organisation_type=caller.organisation_type,
        purpose=caller.purpose,
        basis=permission.basis if permission else Basis.PATIENT_AGREED,
        scope=permission.scope if permission else Scope.STANDARD,
        own_practice=False,
        section=Section.DEMOGRAPHICS,
        source_type=caller.organisation_type,
        labels=frozenset(),
    )
    return never_shown_in(policy, circumstances)


def never_shown_in(policy: Policy, circumstances: Circumstances) -> list[str]:
    """The same, for circumstances whose section and labels don't matter."""
    told = [*_sections(policy, circumstances), *_labels(policy, circumstances), *_unchecked(policy, circumstances)]
    if told:
        told.append("If you need more for the patient's care, ask the patient or the organisation that holds it.")
    return [*told, ABSENCE]


def _sections(policy: Policy, circumstances: Circumstances) -> Iterable[str]:
    role = ROLE_NAMES[circumstances.role]
    shown = {section: policy.decide(replace(circumstances, section=section)).shown for section in Section}
    hidden = [SECTION_NAMES[section] for section, level in shown.items() if level is Shown.WITHHELD]
    if hidden:
        yield f"Never shown to {role}: {_list(hidden)}."
    for section, level in shown.items():
        if level is Shown.OUTLINE:
            yield f"Shown to {role} in outline only: {SECTION_NAMES[section]} ({policy.outlines.told[section]})."


def _labels(policy: Policy, circumstances: Circumstances) -> Iterable[str]:
    role = ROLE_NAMES[circumstances.role]
    ask = _best(circumstances, own_practice=False)
    now, asked, own = (
        {label: _most(policy, each, label) for label in sorted(policy.labels.vocabulary)}
        for each in (circumstances, ask, _best(circumstances, own_practice=True))
    )
    if never := [label for label in now if own[label] is Shown.WITHHELD]:
        yield f"Never shown to {role}: items labelled {_titles(policy, never)}."
    if askable := [label for label in now if now[label] < asked[label]]:
        besides = " or at the patient's own practice" if _practice(policy, circumstances, askable) else ""
        yield (
            f"Shown to {role} only where the patient agreed to just that{besides}: items labelled "
            f"{_titles(policy, askable)}. To ask: tell the patient what would be shown; if the patient agrees, "
            f"{BY_API}."
        )
    if outlined := [label for label in now if now[label] is Shown.OUTLINE and asked[label] is Shown.OUTLINE]:
        yield f"Shown to {role} in outline only: items labelled {_titles(policy, outlined)}."


def _unchecked(policy: Policy, circumstances: Circumstances) -> Iterable[str]:
    if _most(policy, circumstances, RESTRICTED) is Shown.WITHHELD:
        yield (
            f"Not shown to {ROLE_NAMES[circumstances.role]} either: items that refer to something which could not be "
            "looked up, since it may be sensitive."
        )


def _best(circumstances: Circumstances, *, own_practice: bool) -> Circumstances:
    best = best_circumstances(
        circumstances.role, circumstances.organisation_type, circumstances.section, circumstances.source_type
    )
    return replace(best, own_practice=own_practice)


def _practice(policy: Policy, circumstances: Circumstances, labels: Iterable[str]) -> bool:
    at_home = replace(circumstances, own_practice=True)
    return any(_most(policy, at_home, label) > _most(policy, circumstances, label) for label in labels)


def _most(policy: Policy, circumstances: Circumstances, label: str) -> Shown:
    """The most that is shown of an item with this label in any clinical section."""
    return max(
        policy.decide(replace(circumstances, section=section, labels=frozenset({label}))).shown
        for section in Section
        if section is not Section.DEMOGRAPHICS
    )


def _titles(policy: Policy, labels: Iterable[str]) -> str:
    return "; ".join(policy.labels.titles[label] for label in labels)


def _list(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
