"""Which pattern fits which row. A row is about one patient at most, so n patients are n events.

| row | pattern |
|---|---|
| a release through `…/{resource_id}` | PatientRead (R): the client is the Destination, the gateway the Source |
| any other release; a person found | PatientQuery (E): the client is the Source, as BALP has it |
| a search for a person that found nobody | Query |
| a release in best interests; a lawful disclosure | PrivacyDisclosure.Source |
| a permission, a sharing choice, and a refusal for want of either | AuthZconsent: success is permit, failure is deny |
| the intent to look or to search; a source tried | base: DICOM 110100 Application Activity, 110112 Query |
| the audit read | base: DICOM 110101 Audit Log Used |
| a case opened or moved | base: DICOM 110113 Security Alert |
| a refusal by role, of a token | base: DICOM 110113 with BALP's AuthZ-Role, 110114 User Authentication |
| any other refusal | base, in the shape of a read or a query: BALP's profiles of those are of success alone |
| rows erased | base: ISO 21089 destroy |
| what is in force from now on | base: DICOM 110113 Security Alert |
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from gateway.audit.events import codes
from gateway.audit.events.codes import Json, Profile, coding
from gateway.audit.events.entities import is_read
from gateway.audit.row import Kind, Row
from gateway.choice.model import Basis, Choice

_UNAUTHENTICATED: Final = 401
_FORBIDDEN: Final = 403
_FAULT: Final = 500
_CONSENT_RULES: Final = ("choice.", "permission.")
_CONSENT_KINDS: Final = frozenset({
    Kind.PERMISSION_GRANTED, Kind.PERMISSION_EXTENDED, Kind.PERMISSION_WITHDRAWN, Kind.PERMISSION_REFUSED,
    Kind.SHARING_CHOICE,
})  # fmt: skip
_DENIES: Final = {
    Kind.PERMISSION_WITHDRAWN: "The permission was withdrawn.",
    Kind.PERMISSION_REFUSED: "The patient was asked, and said no.",
}
_ANSWERS: Final = frozenset({Kind.RELEASE, Kind.PERSON_ANSWERED})


class Shape(StrEnum):
    """What the event is built as."""

    READ = "read"
    QUERY = "query"
    DISCLOSURE = "disclosure"
    AUTHORISATION = "authorisation"
    OTHER = "other"


_ACTIONS: Final = {Shape.READ: "R", Shape.QUERY: "E", Shape.DISCLOSURE: "R", Shape.AUTHORISATION: "E"}

_BASE: Final[dict[Kind, tuple[Json, str]]] = {
    Kind.INTENT: (codes.APPLICATION_ACTIVITY, "E"),
    Kind.PERSON_SOUGHT: (codes.APPLICATION_ACTIVITY, "E"),
    Kind.SOURCE_TRIED: (codes.QUERY, "E"),
    Kind.AUDIT_READ: (codes.AUDIT_LOG_USED, "R"),
    Kind.CASE_OPENED: (codes.SECURITY_ALERT, "C"),
    Kind.CASE_MOVED: (codes.SECURITY_ALERT, "U"),
    Kind.ERASED: (codes.DESTROY, "D"),
    Kind.CONFIGURED: (codes.SECURITY_ALERT, "U"),
}
"""Type and action of what has no pattern of its own."""


def shape_of(row: Row) -> Shape:
    """The shape of the row's event."""
    if row.kind is Kind.DISCLOSURE or (row.kind is Kind.RELEASE and row.basis == Basis.BEST_INTERESTS):
        return Shape.DISCLOSURE
    if _is_by_consent(row):
        return Shape.AUTHORISATION
    if row.kind in _ANSWERS or (row.kind is Kind.REFUSAL and row.status not in (_UNAUTHENTICATED, _FORBIDDEN)):
        return Shape.READ if is_read(row) else Shape.QUERY
    return Shape.OTHER


def profile_of(row: Row) -> Profile | None:
    """The BALP profile that the row's event obeys; None for a base AuditEvent."""
    names_patient = row.sealed_patient is not None
    match shape_of(row):
        case Shape.AUTHORISATION:
            return Profile.AUTHORISATION
        case Shape.DISCLOSURE:
            return Profile.DISCLOSURE if names_patient else None
        case Shape.READ if row.kind in _ANSWERS:
            return Profile.READ if names_patient else None
        case Shape.QUERY if row.kind in _ANSWERS:
            return Profile.QUERY if names_patient else Profile.QUERY_NOBODY
        case _:
            return None


def base_of(row: Row) -> tuple[Json, Json, str]:
    """Type, subtype and action of an event without a pattern of its own."""
    own = coding(codes.KIND, row.kind.value)
    if row.kind is not Kind.REFUSAL:
        type_, action = _BASE.get(row.kind, (codes.SECURITY_ALERT, "E"))
        return type_, own, action
    if row.status == _UNAUTHENTICATED:
        return codes.USER_AUTHENTICATION, own, "E"
    return codes.SECURITY_ALERT, codes.BY_ROLE, "E"


def action_of(row: Row) -> str:
    """The event's action."""
    return _ACTIONS.get(shape_of(row)) or base_of(row)[2]


def outcome_of(row: Row) -> str:
    """Success; a minor failure where the request was wrong; a serious one where it was denied, or failed here: a deny
    by the patient's say is a serious failure in BALP's own example."""
    if row.kind in _DENIES or (row.kind is Kind.SHARING_CHOICE and not _opts_in(row)):
        return codes.SERIOUS_FAILURE
    if row.kind is not Kind.REFUSAL:
        return codes.SUCCESS
    denied = row.status in (_UNAUTHENTICATED, _FORBIDDEN) or row.status >= _FAULT
    return codes.SERIOUS_FAILURE if denied else codes.MINOR_FAILURE


def why(row: Row) -> str:
    """What went wrong, or was denied, in a sentence that holds no identifier and nothing that was typed."""
    if row.kind in _DENIES:
        return _DENIES[row.kind]
    if row.kind is Kind.SHARING_CHOICE:
        return "The patient opted out."
    return f"Refused by {row.rule or 'an unnamed rule'}, status {row.status}."


def _is_by_consent(row: Row) -> bool:
    """A decision by the patient's say, with all that BALP wants of one: somebody, their organisation, a patient."""
    whole = row.who is not None and bool(row.who.user_id and row.who.organisation) and row.sealed_patient is not None
    refused = row.kind is Kind.REFUSAL and row.status == _FORBIDDEN and row.rule.startswith(_CONSENT_RULES)
    return whole and (row.kind in _CONSENT_KINDS or refused)


def _opts_in(row: Row) -> bool:
    """`SharingChoices.record` begins the row's detail with the choice."""
    return row.detail.partition(",")[0] == Choice.OPTED_IN
