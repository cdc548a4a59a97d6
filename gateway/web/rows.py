"""A row of the audit in a plain sentence for staff: what happened, never what was in the record."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from gateway.audit.report.words import counted, listed
from gateway.audit.row import Kind, Row
from gateway.caller.model import Role
from gateway.disclosure.model import BASIS_NAMES, LawfulBasis
from gateway.explain.sentences import said_of
from gateway.policy.rules import Rule
from gateway.release import SUPPORTING

BASES: Final[Mapping[str, str]] = {
    "patient-agreed": "the patient agreed",
    "best-interests": "in the patient's best interests",
}
_SAID: Final = re.compile(r"([a-z-]+): ([a-z-]+) -> ([a-z-]+)", re.ASCII)
_NAMES: Final = {SUPPORTING: "names of staff and places"}
Rules = Mapping[str, Rule]


def told(row: Row, rules: Rules) -> str:
    """One sentence without a full stop at its end. `rules` are the policy's, for what one of them refused."""
    return _refused(row, rules) if row.kind is Kind.REFUSAL else _TOLD[row.kind](row)


def role_of(role: str) -> str:
    """A role in words: `GP`, `hospital doctor`."""
    return "GP" if role == Role.GP else _plain(role)


def _refused(row: Row, rules: Rules) -> str:
    said = said_of(row.rule)
    why = rules[row.rule].why if row.rule in rules else (said[0] if said else row.rule)
    return f"Was refused: {why.rstrip('.')}"


def _looked(row: Row) -> str:
    shown = [f"{_NAMES.get(section, _plain(section))} ({number})" for section, number in row.seen.items() if number]
    return f"Looked, and was shown {listed(shown)}" if shown else "Looked, and was shown that nothing is held"


def _began(row: Row) -> str:
    return f"Began to look{_of(row)}"


def _of(row: Row) -> str:
    return f" at {listed(map(_plain, row.sections))}" if row.sections else ""


def _found(row: Row) -> str:
    return "Found a person by name" if row.patient else "Found nobody by name"


def _chose(row: Row) -> str:
    return f"Recorded the patient's sharing choice: {row.detail}"


def _granted(row: Row) -> str:
    return f"Was given permission to look: {BASES.get(row.basis or '', row.basis or 'the basis is not known')}"


def _extended(row: Row) -> str:
    return f"Had their permission prolonged: {BASES.get(row.basis or '', row.basis or 'the basis is not known')}"


def _disclosed(row: Row) -> str:
    if row.lawful is None:
        return "Disclosed the record by law"
    basis, all_of = row.lawful.basis, list(LawfulBasis)
    because = BASIS_NAMES[LawfulBasis(basis)] if basis in all_of else basis
    return f"Disclosed the record, {because}, to {row.lawful.recipient}"


def _moved(row: Row) -> str:
    said = _SAID.fullmatch(row.detail)
    if said is None:
        return "Wrote to a case"
    kind, before, after = (_plain(word) for word in said.groups())
    return f"Wrote a note to a case ({kind})" if before == after else f"Moved a case ({kind}) from {before} to {after}"


def _read(row: Row) -> str:
    return f"Read the audit: {row.subject}" if row.subject else "Read the audit"


_TOLD: Final[Mapping[Kind, Callable[[Row], str]]] = {
    Kind.INTENT: _began,
    Kind.RELEASE: _looked,
    Kind.PERSON_SOUGHT: lambda _: "Looked for a person by name",
    Kind.PERSON_ANSWERED: _found,
    Kind.SHARING_CHOICE: _chose,
    Kind.PERMISSION_GRANTED: _granted,
    Kind.PERMISSION_EXTENDED: _extended,
    Kind.PERMISSION_WITHDRAWN: lambda _: "Ended a permission to look",
    Kind.PERMISSION_REFUSED: lambda _: "Asked the patient, who said no",
    Kind.CASE_OPENED: lambda row: f"Opened {counted(len(row.cases), 'case')} for the privacy officer",
    Kind.CASE_MOVED: _moved,
    Kind.DISCLOSURE: _disclosed,
    Kind.ERASED: lambda _: "Erased rows of the audit",
    Kind.AUDIT_READ: _read,
    Kind.SOURCE_TRIED: lambda _: "Tried an organisation's connection",
    Kind.CONFIGURED: lambda row: f"Connect Care itself: {row.subject}" if row.subject else "Connect Care itself",
}


def _plain(word: str) -> str:
    return word.replace("-", " ")
