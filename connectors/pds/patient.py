"""The register's Patient: is it the one who was asked for, and may anyone know where they are?

Restricted (also called sensitive) records belong to people whom somebody may be looking for: the register itself takes
out address, telecom, contact and practice (PDS FHIR API, "Restricted patients"). This connector doesn't rely on that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from connectors.sdk.bundle import examine, read_resource
from connectors.sdk.errors import Invalidated, Superseded, WrongContent
from connectors.sdk.model import NHS_NUMBER_SYSTEM, Findings, Resource
from connectors.sdk.nhs_number import is_nhs_number
from connectors.sdk.shape import BrokenShape

CONFIDENTIALITY: Final = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
RESTRICTED: Final[Mapping[str, str]] = {"system": CONFIDENTIALITY, "code": "R", "display": "restricted"}

_UNRESTRICTED: Final = frozenset({(CONFIDENTIALITY, "U")})
_INVALID: Final = "REDACTED"
_CORE: Final = "https://fhir.hl7.org.uk/StructureDefinition/Extension-UKCore-"

_KEPT: Final = (
    "resourceType",
    "id",
    "gender",
    "birthDate",
    "deceasedBoolean",
    "deceasedDateTime",
    "multipleBirthBoolean",
    "multipleBirthInteger",
)
_KEPT_OF_META: Final = ("versionId", "lastUpdated", "security")
_KEPT_OF_NAME: Final = ("id", "use", "text", "family", "given", "prefix", "suffix", "period")
_KEPT_OF_NUMBER: Final = ("use", "system", "value", "extension")
_KEPT_OF_EXTENSION: Final = (f"{_CORE}DeathNotificationStatus", f"{_CORE}NHSCommunication")
_VERIFICATION: Final = (f"{_CORE}NHSNumberVerificationStatus",)


def read_patient(body: bytes) -> tuple[Resource, Findings]:
    """The Patient of an answer. Raises WrongContent or TooMuch."""
    try:
        resource, findings = read_resource(body)
    except BrokenShape as error:
        raise WrongContent("the Patient has a broken shape") from error
    if resource["resourceType"] != "Patient":
        raise WrongContent("the answer is not a Patient")
    return resource, findings


def number_of(resource: Resource) -> str:
    """The Patient's NHS number: its id and its one official identifier agree. Raises WrongContent where they don't."""
    number = str(resource["id"])
    official = [one.get("value") for one in _official(resource)]
    if official != [number] or not is_nhs_number(number):
        raise WrongContent("the Patient's id and NHS number are not one valid number")
    return number


def check_number(resource: Resource, asked: str) -> None:
    """Raises Superseded where the register answers with another number (that is how it says that it replaced one)."""
    current = number_of(resource)
    if current != asked:
        raise Superseded(current)


def is_restricted(findings: Findings) -> bool:
    """False only for a record that is labelled unrestricted and nothing else.

    No label, V, or a code that nobody knows means restricted. Raises Invalidated for a record marked invalid, which the
    register promises never to send.
    """
    if any(code == _INVALID for _, code in findings.security):
        raise Invalidated("the record is marked invalid")
    return frozenset(findings.security) != _UNRESTRICTED


def guarded(resource: Resource, findings: Findings) -> tuple[Resource, Findings]:
    """The Patient as it may leave the connector: as it came, or without anything that could tell where they are."""
    if not is_restricted(findings):
        return resource, findings
    narrowed = without_whereabouts(resource)
    return narrowed, examine(narrowed)[0]


def without_whereabouts(resource: Resource) -> Resource:
    """Who the person is, and nothing that tells where: a list of what stays, since the rest can't be foreseen.

    Out go address, telecom, contact, practice, managing organisation, narrative, contained resources, local numbers,
    and every extension but the death notice and the language: a nominated pharmacy is round the corner from home. The
    label R is added where it wasn't R, so that whoever reads on has one thing to look for.
    """
    kept = _only(resource, _KEPT)
    kept["meta"] = _labelled(_only(resource.get("meta", {}), _KEPT_OF_META))
    kept["identifier"] = [_number(one) for one in _official(resource)]
    for name, values in (
        ("name", [_only(one, _KEPT_OF_NAME) for one in resource.get("name", ())]),
        ("extension", _named(resource.get("extension", ()), _KEPT_OF_EXTENSION)),
    ):
        if values:
            kept[name] = values
    return kept


def _labelled(meta: dict[str, Any]) -> dict[str, Any]:
    labels = meta.get("security", [])
    if not any((label.get("system"), label.get("code")) == (CONFIDENTIALITY, "R") for label in labels):
        meta["security"] = [*labels, dict(RESTRICTED)]
    return meta


def _number(identifier: Mapping[str, Any]) -> dict[str, Any]:
    kept = _only(identifier, _KEPT_OF_NUMBER)
    if "extension" in kept:
        kept["extension"] = _named(kept["extension"], _VERIFICATION)
    return kept


def _official(resource: Resource) -> list[dict[str, Any]]:
    return [one for one in resource.get("identifier", ()) if one.get("system") == NHS_NUMBER_SYSTEM]


def _only(node: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: node[name] for name in names if name in node}


def _named(extensions: Iterable[dict[str, Any]], urls: tuple[str, ...]) -> list[dict[str, Any]]:
    return [one for one in extensions if one.get("url") in urls]
