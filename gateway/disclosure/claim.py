"""What a privacy officer claims before a record is disclosed, checked word by word."""

from __future__ import annotations

import re
import unicodedata
import uuid
from collections.abc import Mapping
from typing import Final

from gateway.audit.scrub import scrub
from gateway.disclosure.model import Disclosure, LawfulBasis, NamedPolicy
from gateway.errors import BadRequest
from gateway.sealed import Sealer

LONGEST_LINE: Final = 200
LONGEST_REASON: Final = 500
_WORD: Final = re.compile(r"[^\W_]{3,}")
_ASKED_FOR: Final = {
    "reference": "the statute and section, the court and case number, or who decided on the public interest",
    "recipient": "the person or body that gets the record",
    "reason": "why it must be disclosed, and what was weighed. It is kept sealed",
}


def claimed(
    policies: Mapping[str, NamedPolicy],
    sealer: Sealer,
    *,
    basis: LawfulBasis,
    policy: str,
    reference: str,
    recipient: str,
    reason: str,
) -> Disclosure:
    """A disclosure that may be tried. Raises BadRequest, whose sentence says which word to mend."""
    named = policies.get(policy)
    if named is None:
        told = f"There is no such disclosure policy. Use one of: {', '.join(policies) or 'none is in force'}."
        raise BadRequest(told, rule="disclosure.unknown-policy", expression="policy")
    if basis not in named.terms.bases:
        raise BadRequest(
            f"The policy {named.name} isn't for this basis. It is for {', '.join(sorted(named.terms.bases))}; for "
            f"{basis} use {_policies_for(policies, basis)}.",
            rule="disclosure.basis-not-of-policy",
            expression="basis",
        )
    disclosure_id = str(uuid.uuid4())
    return Disclosure(
        id=disclosure_id,
        basis=basis,
        policy=named,
        reference=_said("reference", reference, LONGEST_LINE),
        recipient=_said("recipient", recipient, LONGEST_LINE),
        reason=sealer.seal_text(_said("reason", reason, LONGEST_REASON), disclosure_id),
    )


def _policies_for(policies: Mapping[str, NamedPolicy], basis: LawfulBasis) -> str:
    return " or ".join(name for name, each in policies.items() if basis in each.terms.bases) or "none: there is none"


def _said(name: str, text: str, longest: int) -> str:
    """One line, without what a reader can't see and without NHS numbers. Raises BadRequest where nothing is said."""
    line = scrub(" ".join("".join(_visible(each) for each in text).split()))
    if not _WORD.search(line):
        raise BadRequest(
            f"{name} is missing. Say {_ASKED_FOR[name]}.", rule=f"disclosure.{name}-missing", expression=name
        )
    if len(line) > longest:
        raise BadRequest(
            f"{name} is too long. Say it in {longest} characters.", rule=f"disclosure.{name}-too-long", expression=name
        )
    return line


def _visible(character: str) -> str:
    """Controls and marks that turn the direction of reading could make a cover read otherwise than it was written."""
    return " " if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") else character
