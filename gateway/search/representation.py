"""Is FHIR JSON what the client takes? `_format` beats the Accept header (FHIR R4, RESTful API, Content Types)."""

from __future__ import annotations

import re
from typing import Final

from gateway.errors import NotAcceptable

_OURS: Final = (("application", "fhir+json"), ("application", "json"))
_FORMATS: Final = frozenset({"json", "application/json", "application/fhir+json"})
_QUALITY: Final = re.compile(r"(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)", re.ASCII)
_VERSIONS: Final = frozenset({"4.0", "4.0.1"})
_TOLD: Final = "Only FHIR JSON is offered: send Accept: application/fhir+json, or _format=json."


def check_format(format_given: str | None) -> None:
    """Raises NotAcceptable for a `_format` other than JSON of FHIR R4."""
    if format_given is None:
        return
    # A plus sign that wasn't encoded arrives as a space; R4 asks servers to understand it.
    media, parameters = _media(format_given.replace("fhir json", "fhir+json"))
    if media not in _FORMATS or not _right_version(parameters):
        raise NotAcceptable(_TOLD, rule="representation.format", expression="http._format")


def check_accept(accept: str | None, format_given: str | None = None) -> None:
    """Raises NotAcceptable where the client takes no JSON. Several Accept headers come joined by commas."""
    if format_given is not None:
        check_format(format_given)
    elif accept is not None and accept.strip() and not any(_quality(accept, ours) > 0 for ours in _OURS):
        raise NotAcceptable(_TOLD, rule="representation.accept", expression="http.Accept")


def _quality(accept: str, ours: tuple[str, str]) -> float:
    """The quality that the most specific matching range gives one of our types (RFC 9110, 12.5.1)."""
    best, quality = -1, 0.0
    for piece in accept.split(","):
        media, parameters = _media(piece)
        kind, _, subtype = media.partition("/")
        specificity = _specificity(kind, subtype, ours)
        if specificity > best and _right_version(parameters):
            best, quality = specificity, _stated(parameters)
    return quality


def _media(text: str) -> tuple[str, dict[str, str]]:
    media, *rest = (part.strip() for part in text.lower().split(";"))
    pairs = (part.partition("=") for part in rest)
    return media, {name.strip(): value.strip().strip('"') for name, _, value in pairs}


def _specificity(kind: str, subtype: str, ours: tuple[str, str]) -> int:
    if (kind, subtype) == ours:
        return 2
    if kind == ours[0] and subtype == "*":
        return 1
    return 0 if kind == subtype == "*" else -1


def _stated(parameters: dict[str, str]) -> float:
    stated = parameters.get("q", "1")
    return float(stated) if _QUALITY.fullmatch(stated) else 0.0


def _right_version(parameters: dict[str, str]) -> bool:
    return parameters.get("fhirversion", "4.0") in _VERSIONS
