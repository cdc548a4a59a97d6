"""How one source names one patient, and how a reference gives away that it means another.

What counts as the patient is an allow-list: the one Patient that carries the NHS number, by its relative reference, its
absolute address at this source, or the `fullUrl` of its entry. Everything else that leads to a Patient, in whatever
spelling, is somebody else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final
from unicodedata import normalize
from urllib.parse import unquote

from connectors.sdk.model import NHS_NUMBER_SYSTEM, Item, Resource

HISTORY: Final = re.compile(r"/_history/[^/]+$")
_LITERAL: Final = re.compile(r"(?:[^?#|%]*/)?([A-Z][A-Za-z]+)/[^/?#|%]+")
"""A literal reference as FHIR writes it (`[base/]Type/id`), with some patience for ids that break FHIR's rules."""
_PATIENT: Final = re.compile(r"(?<![a-z])patient(?![a-z])")


@dataclass(slots=True)
class PatientNames:
    """`known` are all the ways in which this source may refer to the patient, versions aside."""

    nhs_number: str
    known: frozenset[str]
    _judged: dict[str, bool] = field(default_factory=dict)

    def is_other(self, reference: dict[str, Any]) -> bool:
        """True for a Reference to a Patient who is not this one, or to what can't be told."""
        target = reference["reference"]
        if type(target) is not str:
            return True
        verdict = self._judged.get(target)
        if verdict is None:
            verdict = self._judged[target] = self._leads_to_another(target)
        return verdict or ("type" in reference and _says_patient(reference) and not self._may_be_patient(target))

    def is_named_by(self, reference: dict[str, Any], resource: Resource) -> bool:
        """True for a Reference in `resource` that means the patient: by the NHS number, by the source's own address, or
        by a contained Patient that carries the number."""
        target = reference.get("reference")
        if target is None:
            return carries({"identifier": [reference.get("identifier", {})]}, self.nhs_number)
        if target.startswith("#"):
            return any(
                part.get("resourceType") == "Patient"
                and part.get("id") == target[1:]
                and carries(part, self.nhs_number)
                for part in resource.get("contained", ())
            )
        return target in self.known or HISTORY.sub("", target) in self.known

    def _may_be_patient(self, target: str) -> bool:
        # A contained Patient is judged where it stands.
        return target.startswith("#") or HISTORY.sub("", target) in self.known

    def _leads_to_another(self, target: str) -> bool:
        if self._may_be_patient(target):
            return False
        literal = _LITERAL.fullmatch(HISTORY.sub("", target))
        if literal is not None:
            return literal[1].casefold() == "patient"
        # Conditional, percent-encoded, in lower case, with a slash too many …: no reference that FHIR would allow, but
        # a lenient reader may follow it.
        plain = normalize("NFKC", unquote(target)).casefold()
        return bool(_PATIENT.search("".join(filter(str.isprintable, plain)))) or "%" in plain


def carries(patient: Resource, nhs_number: str) -> bool:
    """True for a Patient with this NHS number in the one official system: another spelling could be a relative's."""
    return any(
        identifier.get("system") == NHS_NUMBER_SYSTEM and identifier.get("value") == nhs_number
        for identifier in patient.get("identifier", ())
    )


def own_url(item: Item) -> str | None:
    """The entry's `fullUrl`, where R4 lets it stand for the resource: a URN, or an address that ends in its type and
    id. Any other would let one resource pass for another."""
    url = item.full_url or ""
    if "/_history/" in url:
        url = HISTORY.sub("", url)
    if url.startswith(("urn:uuid:", "urn:oid:")) or (":" in url and url.endswith(f"/{item.key}")):
        return url
    return None


def _says_patient(reference: dict[str, Any]) -> bool:
    return str(reference["type"]).rpartition("/")[2].casefold() == "patient"
