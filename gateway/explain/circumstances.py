"""The circumstances in which a row's decisions were made, as far as the row says."""

from __future__ import annotations

from connectors.sdk.model import Section
from connectors.sdk.organisations import OrganisationType
from gateway.audit.row import Row
from gateway.caller.model import Role
from gateway.choice.model import Basis, Scope
from gateway.disclosure.model import LawfulBasis
from gateway.policy.decide import Policy, disclosing
from gateway.policy.model import Circumstances


def place_of(row: Row) -> tuple[Role, OrganisationType] | None:
    """Role and type of organisation at the event; None where nobody is known, or by words that aren't used any more."""
    try:
        return (Role(row.who.role), OrganisationType(row.who.organisation_type)) if row.who else None
    except ValueError:
        return None


def circumstances_of(row: Row, policy: Policy) -> Circumstances | None:
    """Of demographics that nothing labels, away from the patient's own practice. None where the row doesn't say enough,
    or where the policy has no such disclosure."""
    place = place_of(row)
    if place is None or row.who is None:
        return None
    role, kind = place
    if row.lawful is not None:
        named = policy.disclosures.get(row.lawful.policy)
        return disclosing(named.terms, LawfulBasis(row.lawful.basis), role, kind) if named else None
    try:
        basis, scope = Basis(row.basis) if row.basis else None, Scope(row.scope or Scope.STANDARD)
    except ValueError:
        return None
    return Circumstances(role, kind, row.who.purpose, basis, scope, False, Section.DEMOGRAPHICS, kind, frozenset())
