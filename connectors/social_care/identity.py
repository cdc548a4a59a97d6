"""What speaks of another person is not mapped: it goes as it came to the gateway's guard, which judges the source.

Mapping leaves out what the contract doesn't name. That must not hide the one sign of a wrong record.
"""

from __future__ import annotations

import re
from typing import Final
from unicodedata import normalize
from urllib.parse import unquote

from connectors.sdk.bundle import Entry, examine
from connectors.sdk.model import Resource
from connectors.sdk.nhs_number import same_number

RELATIVE: Final = "RelatedPerson"
"""Family and carers: people in their own right, who are never carried over and never make the source a liar."""

_HISTORY: Final = re.compile(r"/_history/[^/]+$")
_LITERAL: Final = re.compile(r"(?:[^?#|%]*/)?([A-Z][A-Za-z]+)/[^/?#|%]+")
"""A reference as FHIR writes it, `[base/]Type/id`: a team may well be called `Organization/patient-safety`."""
_PATIENT: Final = re.compile(r"(?<![a-z])patient(?![a-z])")


class Identity:
    """Who was asked for, and by which references this facade means them."""

    def __init__(self, nhs_number: str, base_url: str, person_id: str) -> None:
        self._nhs_number = nhs_number
        self._own = frozenset({f"Patient/{person_id}", f"{base_url}/Patient/{person_id}"})

    def is_somebody_else(self, entry: Entry) -> bool:
        """True for a resource with another NHS number, or with a reference to another Patient, in whatever place."""
        resource = entry.resource
        if resource["resourceType"] == RELATIVE:
            return False
        findings = entry.findings
        if "link" in resource and resource["resourceType"] == "Patient":
            # Where a record was merged, it links to the one that it replaced: the same person, by the council's word.
            findings, _ = examine({name: value for name, value in resource.items() if name != "link"})
        if not all(same_number(number, self._nhs_number) for number in findings.nhs_numbers):
            return True
        return any(map(self._leads_elsewhere, findings.references))

    def _leads_elsewhere(self, reference: Resource) -> bool:
        target = reference["reference"]
        if not isinstance(target, str):
            return True
        plain = _HISTORY.sub("", target)
        if target.startswith("#") or plain in self._own:
            return False
        if str(reference.get("type", "")).rpartition("/")[2].casefold() == "patient":
            return True
        literal = _LITERAL.fullmatch(plain)
        if literal is not None:
            return literal[1].casefold() == "patient"
        return "%" in target or _PATIENT.search(normalize("NFKC", unquote(target)).casefold()) is not None
