"""What a decision is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from connectors.sdk.model import Section
from connectors.sdk.organisations import OrganisationType
from gateway.caller.model import Role
from gateway.choice.model import Basis, Scope
from gateway.disclosure.model import LawfulBasis, Terms


class Shown(IntEnum):
    """How much of an item is shown. Ordered: the least of several holds."""

    WITHHELD = 0
    OUTLINE = 1
    WHOLE = 2


@dataclass(frozen=True, slots=True)
class Circumstances:
    """All that a decision about an item may depend on. Small and hashable: decisions are memoised by it.

    `labels` are codes of our own sensitivity vocabulary (policies/labels), never a source's raw code.
    `own_practice`: the caller works at the practice where the patient is registered. `disclosure` are the terms of the
    named policy, where the look stands on the law and not on a permission.
    """

    role: Role
    organisation_type: OrganisationType
    purpose: str
    basis: Basis | LawfulBasis | None
    scope: Scope
    own_practice: bool
    section: Section
    source_type: OrganisationType
    labels: frozenset[str]
    disclosure: Terms | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """Outcome, the id of the rule that decided, and the rule's own sentence (`@why`)."""

    shown: Shown
    rule: str
    why: str
