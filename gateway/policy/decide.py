"""Decisions: how much of an item, and which doors. Each with the rule that decided.

The whole policy is a function of `Circumstances`, a small tuple, so every decision is memoised; the hash of the policy
files names the function in every audit row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from connectors.sdk.model import Section
from connectors.sdk.organisations import OrganisationType
from gateway.caller.model import Caller, Role
from gateway.choice.model import Basis, Scope
from gateway.disclosure.model import PURPOSE, LawfulBasis, NamedPolicy, Terms
from gateway.disclosure.policies import FILE as DISCLOSURES
from gateway.disclosure.policies import load_disclosures
from gateway.policy.files import archived, check_keys, digest, files_in, read_yaml, refuse
from gateway.policy.labels import LabelTables
from gateway.policy.model import Circumstances, Decision, Shown
from gateway.policy.outline import Outlines
from gateway.policy.rules import BUILT_IN, DEFAULT_RULE, ERROR_RULE, Rule, RuleBook, Verdict, entity

_MEMO_LIMIT: Final = 20_000
_SERVICE: Final = ("Service", "connect-care")
DOORS: Final = (
    "open-record",
    "find-person",
    "ask-permission",
    "ask-best-interests",
    "read-own-permissions",
    "record-sharing-choice",
    "read-sharing-choices",
    "read-permissions",
    "withdraw-permissions",
    "read-consents",
    "read-audit",
    "make-access-report",
    "read-desk",
    "judge-case",
    "disclose",
    "see-sources",
    "read-policy",
    "read-own-report",
    "read-own-choices",
    "record-own-choice",
)
"""The actions of `may`."""


class Policy:
    """The policies in force: rules, label tables, outlines, disclosures, and the hash that names them.

    `remedies` says, for each door, what somebody is told who may not go through it: who may, and what to do instead.
    `archive` holds every file that made the hash: `gateway.policy.archive` loads the same policy from it.
    """

    def __init__(
        self,
        book: RuleBook,
        labels: LabelTables,
        outlines: Outlines,
        remedies: Mapping[str, str],
        disclosures: Mapping[str, NamedPolicy],
        archive: bytes,
    ) -> None:
        self.book = book
        self.remedies = remedies
        self.labels = labels
        self.outlines = outlines
        self.disclosures = disclosures
        self.archive = archive
        self.hash = digest(archive)
        self.rules: Mapping[str, Rule] = {**book.rules, **BUILT_IN}
        self._memo: dict[Circumstances, Decision] = {}
        self._doors: dict[tuple[str, Role, OrganisationType], Decision] = {}

    @classmethod
    def load(cls, folder: Path, extra_label_files: Sequence[Path] = ()) -> Policy:
        """Read and check everything in `folder`, and the label files that the settings name besides.

        Raises PolicyProblem (a ConfigurationError) with the file and the remedy: the gateway must not start.
        """
        policy = cls(
            RuleBook.load(folder),
            LabelTables.load(folder, extra_label_files),
            Outlines.load(folder / "outlines.yaml"),
            _read_refused(folder / "doors.yaml"),
            load_disclosures(folder / DISCLOSURES),
            archived(folder, _in_force(folder), extra_label_files),
        )
        policy._rehearse(folder)
        return policy

    @classmethod
    def load_past(cls, folder: Path, extra_label_files: Sequence[Path] = ()) -> Policy:
        """Policies of another day, to be asked what they said and not to be enforced.

        What came into use since (a door, a role, a section, disclosures) they needn't know: of that they say no. Raises
        PolicyProblem where they can't be read at all.
        """
        disclosures = folder / DISCLOSURES
        return cls(
            RuleBook.load(folder, past=True),
            LabelTables.load(folder, extra_label_files),
            Outlines.load_past(folder / "outlines.yaml"),
            _read_refused_past(folder / "doors.yaml"),
            load_disclosures(disclosures) if disclosures.exists() else {},
            archived(folder, _in_force(folder), extra_label_files),
        )

    def decide(self, circumstances: Circumstances) -> Decision:
        """How much of an item is shown in these circumstances, and by which rule. Never raises."""
        decision = self._memo.get(circumstances)
        if decision is None:
            if len(self._memo) >= _MEMO_LIMIT:
                self._memo.clear()
            decision = self._memo[circumstances] = self._decide(circumstances)
        return decision

    def may(self, action: str, role: Role, organisation_type: OrganisationType) -> Decision:
        """Whether a door is open: WHOLE is yes, WITHHELD is no. `action` is one of DOORS; anything else is a no.

        The sentence of a no says who may, and what to do instead.
        """
        key = (action, role, organisation_type)
        decision = self._doors.get(key)
        if decision is None:
            verdict = self.book.ask(action, role, organisation_type, _SERVICE, {})
            decision = self._said(Shown.WHOLE if verdict.allowed else Shown.WITHHELD, verdict)
            if action in self.remedies and not (verdict.allowed or verdict.failed):
                decision = self._with_remedy(decision, self.remedies[action])
            if action in DOORS:
                self._doors[key] = decision
        return decision

    def may_caller(self, action: str, caller: Caller) -> Decision:
        """The same, for a caller: it is a `gateway.choice.may.May`."""
        return self.may(action, caller.role, caller.organisation_type)

    def sections_for(self, role: Role, organisation_type: OrganisationType) -> frozenset[Section]:
        """The sections that this role could ever see, at least in outline. The rest is never asked for."""
        return frozenset(
            section
            for section in Section
            if any(
                self.decide(best_circumstances(role, organisation_type, section, source_type)).shown
                for source_type in OrganisationType
            )
        )

    def disclosed_sections(self, terms: Terms, basis: LawfulBasis, caller: Caller) -> frozenset[Section]:
        """The sections that a disclosure under these terms could ever hold. The rest is never asked for."""
        at = disclosing(terms, basis, caller.role, caller.organisation_type)
        return frozenset(
            section
            for section in Section
            if any(self.decide(replace(at, section=section, source_type=kind)).shown for kind in OrganisationType)
        )

    def deciding_rules(self, circumstances: Circumstances) -> dict[str, Verdict]:
        """What Cedar says to `view` and to `view-outline`: for explaining, not for deciding."""
        return {action: self._ask(action, circumstances) for action in ("view", "view-outline")}

    def _decide(self, circumstances: Circumstances) -> Decision:
        whole = self._ask("view", circumstances)
        if whole.allowed:
            return self._said(Shown.WHOLE, whole)
        outline = self._ask("view-outline", circumstances)
        if whole.failed or not outline.allowed:
            return self._said(Shown.WITHHELD, whole if whole.failed else outline)
        # A forbid that took the whole item away is what decided; without one, the rule that shows the outline.
        return self._said(Shown.OUTLINE, whole if whole.rules else outline)

    def _ask(self, action: str, circumstances: Circumstances) -> Verdict:
        return ask_about(self.book, action, circumstances)

    def _said(self, shown: Shown, verdict: Verdict) -> Decision:
        rule_id = ERROR_RULE if verdict.failed else next(iter(verdict.rules), DEFAULT_RULE)
        return Decision(shown, rule_id, self.rules[rule_id].why)

    @staticmethod
    def _with_remedy(decision: Decision, told: str) -> Decision:
        return replace(decision, why=told if decision.rule == DEFAULT_RULE else f"{decision.why} {told}")

    def _rehearse(self, folder: Path) -> None:
        """Ask once with every word that the gateway may ever use: the schema must know them all."""
        for role in Role:
            for type_ in OrganisationType:
                self._expect(folder, f"{role} in {type_}", best_circumstances(role, type_, Section.DEMOGRAPHICS, type_))
        for section in Section:
            best = best_circumstances(Role.GP, OrganisationType.GP_PRACTICE, section, OrganisationType.COUNCIL)
            self._expect(folder, f"section {section}", best)
        for label in self.labels.vocabulary:
            self._expect(folder, f"label {label}", _with(Section.RESULTS, frozenset({label})))
        for named in self.disclosures.values():
            for basis in sorted(named.terms.bases):  # the same fault is told at every start
                at = disclosing(named.terms, basis, Role.PRIVACY_OFFICER, OrganisationType.ACUTE_TRUST)
                self._expect(folder, f"disclosure {named.name} by {basis}", at)
        for action in DOORS:
            if self.may(action, Role.GP, OrganisationType.GP_PRACTICE).rule == ERROR_RULE:
                self._unknown(folder, f"action {action}")

    def _expect(self, folder: Path, word: str, circumstances: Circumstances) -> None:
        if self.decide(circumstances).rule == ERROR_RULE:
            self._unknown(folder, word)

    @staticmethod
    def _unknown(folder: Path, word: str) -> None:
        refuse(
            folder / "schema.cedarschema", f"the schema doesn't know the {word}", "Add it, or use a word that it has."
        )


def best_circumstances(
    role: Role, organisation_type: OrganisationType, section: Section, source_type: OrganisationType
) -> Circumstances:
    """The circumstances in which this role sees most: nothing labelled, everything agreed."""
    return Circumstances(
        role=role,
        organisation_type=organisation_type,
        purpose="TREAT",
        basis=Basis.PATIENT_AGREED,
        scope=Scope.INCLUDING_SENSITIVE,
        own_practice=True,
        section=section,
        source_type=source_type,
        labels=frozenset(),
    )


def disclosing(terms: Terms, basis: LawfulBasis, role: Role, organisation_type: OrganisationType) -> Circumstances:
    """The circumstances of a disclosure under these terms, of demographics that nothing labels."""
    return Circumstances(
        role=role,
        organisation_type=organisation_type,
        purpose=PURPOSE,
        basis=basis,
        scope=Scope.STANDARD,
        own_practice=False,
        section=Section.DEMOGRAPHICS,
        source_type=organisation_type,
        labels=frozenset(),
        disclosure=terms,
    )


def _with(section: Section, labels: frozenset[str]) -> Circumstances:
    practice = OrganisationType.GP_PRACTICE
    return Circumstances(
        Role.GP, practice, "TREAT", Basis.PATIENT_AGREED, Scope.STANDARD, False, section, practice, labels
    )


def ask_about(book: RuleBook, action: str, circumstances: Circumstances) -> Verdict:
    """Put `view` or `view-outline` of an item in these circumstances to rules."""
    return book.ask(
        action,
        circumstances.role,
        circumstances.organisation_type,
        ("Section", circumstances.section),
        _context(circumstances),
    )


def _context(circumstances: Circumstances) -> dict[str, Any]:
    context: dict[str, Any] = {
        "purpose": circumstances.purpose,
        "scope": entity("Scope", circumstances.scope),
        "ownPractice": circumstances.own_practice,
        "sourceType": entity("OrganisationType", circumstances.source_type),
        "labels": [entity("Label", label) for label in sorted(circumstances.labels)],
    }
    if circumstances.basis is not None:
        context["basis"] = entity("Basis", circumstances.basis)
    if circumstances.disclosure is not None:
        context["disclosure"] = _terms(circumstances.disclosure)
    return context


def _terms(terms: Terms) -> dict[str, Any]:
    return {
        "sections": [entity("Section", section) for section in sorted(terms.sections)],
        "sensitive": terms.sensitive,
        "bases": [entity("Basis", basis) for basis in sorted(terms.bases)],
    }


def _read_refused(path: Path) -> Mapping[str, str]:
    """What each door says to those whom it doesn't let in. Raises PolicyProblem."""
    node = check_keys(path, read_yaml(path), ("owner", "refused"))["refused"]
    refused = check_keys(path, node, DOORS, "refused")
    for action, told in refused.items():
        if not isinstance(told, str) or not told.strip():
            refuse(path, f"{action} says nothing", "Say who may, and what to do instead.")
    return refused


def _read_refused_past(path: Path) -> Mapping[str, str]:
    node = read_yaml(path).get("refused") if path.exists() else None
    return {str(action): str(told) for action, told in node.items()} if isinstance(node, dict) else {}


def _in_force(folder: Path) -> list[Path]:
    """Every policy file but the cases, which are examples and decide nothing."""
    return [path for path in files_in(folder, "*", "policies") if "cases" not in path.relative_to(folder).parts]
