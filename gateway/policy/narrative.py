"""A source's narrative: sanitised, and only where it can speak of nothing but the resource itself.

On what gathers others (List, DiagnosticReport, Encounter, CareTeam, …) it is always dropped, since it could tell of a
hidden item; and so on any resource that refers to clinical content, by how the source built the resource and never by
what was hidden here, so that a missing narrative tells nothing.
"""

from __future__ import annotations

import re
from typing import Any, Final

import nh3

from gateway.policy.r4 import clinical_elements

XHTML: Final = "http://www.w3.org/1999/xhtml"
SPEAKS_OF_ITSELF: Final = frozenset(
    {
        "Patient",
        "AllergyIntolerance",
        "Condition",
        "Immunization",
        "MedicationRequest",
        "MedicationStatement",
        "Observation",
        "Medication",
        "Practitioner",
        "Organization",
        "Location",
        "Device",
        "Specimen",
    }
)
# FHIR's XHTML subset (R4 narrative rules) without images, links, styles and anything that loads or runs.
_TAGS: Final = frozenset(
    {"abbr", "acronym", "b", "big", "blockquote", "br", "caption", "cite", "code", "dd", "dfn", "div", "dl", "dt", "em"}
    | {"h1", "h2", "h3", "h4", "h5", "h6", "hr", "i", "li", "ol", "p", "pre", "q", "samp", "small", "span", "strong"}
    | {"sub", "sup", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "tt", "ul", "var"}
)
_cleaner: Final = nh3.Cleaner(
    tags=set(_TAGS),
    attributes={"td": {"colspan", "rowspan"}, "th": {"colspan", "rowspan"}, "*": {"title", "lang", "dir"}},
    link_rel=None,
)
# What HTML writes and XML doesn't know.
_AS_XML: Final = (("<br>", "<br/>"), ("<hr>", "<hr/>"), ("&nbsp;", "&#160;"))
_NOT_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MARKUP: Final = re.compile(r"<[^>]*>|&#160;")
_STATUSES: Final = frozenset({"generated", "extensions", "additional", "empty"})


def narrative(resource: dict[str, Any]) -> dict[str, Any] | None:
    """The resource's `text` as it may be shown whole, or None where it must go."""
    text = resource.get("text")
    kind = resource["resourceType"]
    if not isinstance(text, dict) or kind not in SPEAKS_OF_ITSELF or "contained" in resource:
        return None
    if not clinical_elements(kind).isdisjoint(resource):
        return None
    status, div = text.get("status"), text.get("div")
    if status not in _STATUSES or not isinstance(div, str):
        return None
    clean = sanitised(div)
    return {"status": status, "div": clean} if clean else None


def sanitised(div: str) -> str | None:
    """Well-formed XHTML that can't load or run anything; None where no text is left (R4 txt-2)."""
    clean = _NOT_XML.sub("", _cleaner.clean(div))
    for html, xml in _AS_XML:
        clean = clean.replace(html, xml)
    if not _MARKUP.sub("", clean).strip():
        return None
    return f'<div xmlns="{XHTML}">{clean}</div>'
