"""The person: who they are and how to reach them. Nobody else's name, number or address comes with them."""

from __future__ import annotations

import re
from typing import Any, Final

from connectors.sdk.bundle import Entry
from connectors.sdk.model import NHS_NUMBER_SYSTEM, Resource
from connectors.sdk.nhs_number import means_nhs_number
from connectors.social_care.kept import Mapped, Tree, keep, tells_a_way_in, tree
from connectors.social_care.settings import Unverified

PERSON: Final[Tree] = tree(
    *("identifier.use", "identifier.system", "identifier.value", "identifier.period:period", "active"),
    *("identifier.extension.url", "identifier.extension.valueCodeableConcept:concept"),
    *(f"name.{part}" for part in ("use", "text", "family", "given", "prefix", "suffix", "period")),
    "name.period:period",
    *(f"telecom.{part}" for part in ("system", "value", "use", "rank")),
    "telecom.period:period",
    *("gender", "birthDate", "deceasedBoolean", "deceasedDateTime"),
    *(f"address.{part}" for part in ("use", "type", "line", "city", "district", "state", "postalCode", "country")),
    "address.period:period",
    *("communication.language:concept", "communication.preferred"),
    *("generalPractitioner:reference", "managingOrganization:reference"),
)
"""Of an address, never its `text`, and never a line that tells how to get in."""

STATUS_EXTENSION: Final = "https://fhir.hl7.org.uk/StructureDefinition/Extension-UKCore-NHSNumberVerificationStatus"
_STATUS_SYSTEM: Final = "https://fhir.hl7.org.uk/CodeSystem/UKCore-NHSNumberVerificationStatusEngland"
_VERIFIED: Final = "01"
_STILL_OPEN: Final = frozenset({"02", "03", "06", "08"})
"""UK Core NHS number verification status: not traced, trace required, in progress, postponed. The others say that no
trace fitted, that one must be resolved, or that there is no number."""

# A number or address of the person's own; a word in it ("daughter", a name) makes it somebody else's.
_REACHED_BY: Final = re.compile(r"[0-9+(). -]{5,24}|[^@\s]{1,64}@[^@\s]{1,190}")


def person(entry: Entry, person_number_system: str | None) -> Mapped:
    """The Patient. Every identifier that seems to be an NHS number stays: the guard must see them all.

    Raises HeldBack.
    """
    mapped = keep(entry, PERSON)
    came = mapped.resource.get("identifier", [])
    own = [one for one in came if _is_own_number(one, person_number_system)]
    mapped.leave_out("identifier", own, came)
    _settle_status(entry.resource, mapped)
    reached = mapped.resource.get("telecom", [])
    mapped.leave_out("telecom", [one for one in reached if _REACHED_BY.fullmatch(str(one.get("value", "")))], reached)
    spoken = mapped.resource.get("communication", [])
    mapped.leave_out("communication", [one for one in spoken if "language" in one], spoken)
    for address in mapped.resource.get("address", []):
        _without_way_in(address, mapped)
    return mapped


def verification(patient: Resource, nhs_number: str) -> frozenset[str]:
    """The verification status codes of the NHS number; an empty text where the council gives none."""
    return frozenset(
        _status(identifier)
        for identifier in patient.get("identifier", ())
        if identifier.get("system") == NHS_NUMBER_SYSTEM and identifier.get("value") == nhs_number
    )


def may_be_shown(codes: frozenset[str], unverified: Unverified) -> bool:
    """True where the NHS number is verified, or where this council's unverified ones are shown and nothing speaks
    against this one."""
    if codes == {_VERIFIED}:
        return True
    return unverified is Unverified.SHOW_WITH_WARNING and codes <= _STILL_OPEN | {_VERIFIED, ""}


def is_verified(codes: frozenset[str]) -> bool:
    """True where the council says that it has verified the NHS number."""
    return codes == {_VERIFIED}


def _status(identifier: Resource) -> str:
    """The code of an identifier's verification status, as text; several are told as one that is unknown."""
    codes = {
        str(coding.get("code", ""))
        for extension in identifier.get("extension", ())
        if extension.get("url") == STATUS_EXTENSION
        for coding in _codings(extension)
    }
    return codes.pop() if len(codes) == 1 else "/".join(sorted(codes))


def _codings(extension: Resource) -> list[Resource]:
    """The codings of an extension's value, whatever its shape: R4's tables don't look into extensions."""
    concept: Any = extension.get("valueCodeableConcept")
    codings = concept.get("coding") if isinstance(concept, dict) else None
    found = [one for one in codings if isinstance(one, dict)] if isinstance(codings, list) else []
    return found or [{"code": "?"}]


def _is_own_number(identifier: Resource, person_number_system: str | None) -> bool:
    """National insurance numbers, pupil numbers and the like stay behind."""
    system = str(identifier.get("system", ""))
    return means_nhs_number(system) or (person_number_system is not None and system == person_number_system)


def _settle_status(came: Resource, mapped: Mapped) -> None:
    """The verification status beside each NHS number, in the one form that UK Core gives it, and no other extension."""
    for identifier in mapped.resource.get("identifier", []):
        others = [one for one in identifier.pop("extension", []) if one.get("url") != STATUS_EXTENSION]
        if others:
            mapped.left_out["parts of identifier"] += len(others)
        if identifier.get("system") != NHS_NUMBER_SYSTEM:
            continue
        code = "/".join(verification(came, str(identifier.get("value", ""))))
        if re.fullmatch(r"0[1-8]", code):
            concept = {"coding": [{"system": _STATUS_SYSTEM, "code": code}]}
            identifier["extension"] = [{"url": STATUS_EXTENSION, "valueCodeableConcept": concept}]


def _without_way_in(address: Resource, mapped: Mapped) -> None:
    lines = address.get("line", [])
    kept = [line for line in lines if not tells_a_way_in(line)]
    if len(kept) < len(lines):
        mapped.left_out["address lines that tell a way in"] += len(lines) - len(kept)
        address["line"] = kept
        if not kept:
            del address["line"]
