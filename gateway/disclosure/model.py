"""What a disclosure stands on, and the named policy that says what may go out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from connectors.sdk.model import Section
from gateway.audit.row import Lawful
from gateway.choice.model import Scope

PURPOSE: Final = "HLEGAL"
"""The purpose of use of every disclosure (v3-ActReason: legal). It is no care, and nobody is told that it were."""


class LawfulBasis(StrEnum):
    """Why confidential information may leave without the patient's permission (Confidentiality: NHS Code of Practice,
    paragraphs 30 to 34; GMC, Confidentiality, paragraphs 17 to 23 and 63 to 70)."""

    STATUTE = "statute"
    COURT_ORDER = "court-order"
    PUBLIC_INTEREST = "public-interest"

    @property
    def overrides_opt_out(self) -> bool:
        """A patient's opt-out does not bar what a statute or a court requires. It bars what somebody weighs up to be in
        the public interest: that goes another way than through Connect Care."""
        return self is not LawfulBasis.PUBLIC_INTEREST


BASIS_NAMES: Final = {
    LawfulBasis.STATUTE: "required by statute",
    LawfulBasis.COURT_ORDER: "ordered by a court",
    LawfulBasis.PUBLIC_INTEREST: "in the public interest",
}


@dataclass(frozen=True, slots=True)
class Terms:
    """What decisions need to know of a named policy: small and hashable, for they are memoised by it.

    `sensitive`: items that carry a sensitivity label go out too. `bases`: those that may use the policy.
    """

    sections: frozenset[Section]
    sensitive: bool
    bases: frozenset[LawfulBasis]


@dataclass(frozen=True, slots=True)
class NamedPolicy:
    """One policy of `policies/disclosures.yaml`."""

    name: str
    title: str
    why: str
    owner: str
    terms: Terms


@dataclass(frozen=True, slots=True)
class Disclosure:
    """What a look stands on in place of a permission: the law, by the word of a privacy officer who answers for it.

    `reason` is what the officer wrote, sealed and bound to `id`. `opted_out`: the patient had opted out of Connect
    Care, which doesn't bar this basis and is said wherever the disclosure is.
    """

    id: str
    basis: LawfulBasis
    policy: NamedPolicy
    reference: str
    recipient: str
    reason: str
    opted_out: bool = False
    scope: Scope = Scope.STANDARD

    @property
    def lawful(self) -> Lawful:
        """As the journal has it."""
        return Lawful(
            basis=self.basis.value,
            reference=self.reference,
            recipient=self.recipient,
            policy=self.policy.name,
            id=self.id,
            reason=self.reason,
            opted_out=self.opted_out,
        )
