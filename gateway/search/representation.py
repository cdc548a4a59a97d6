"""Is FHIR JSON what the client takes, or a stream? `_format` beats Accept (FHIR R4, RESTful API, Content Types)."""

from __future__ import annotations

import re
from typing import Final

from gateway.errors import NotAcceptable

_OURS: Final = (("application", "fhir+json"), ("application", "json"))
EVENT_STREAM: Final = "text/event-stream"
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


def prefers_stream(accept: str | None, format_given: str | None = None) -> bool:
    """True where the client names an event stream and would rather have it than JSON. What merely allows everything
    asks for no stream."""
    if accept is None or format_given is not None:
        return False
    named = [_stated(parameters) for media, parameters in map(_media, accept.split(",")) if media == EVENT_STREAM]
    return bool(named) and max(named) > max(_quality(accept, ours, least=1) for ours in _OURS)


def _quality(accept: str, ours: tuple[str, str], *, least: int = 0) -> float:
    """The quality that the most specific matching range gives one of our types (RFC 9110, 12.5.1). `least`: 1 leaves
    out what allows everything."""
    best, quality = least - 1, 0.0
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
