"""JSON or a clear 406."""

from __future__ import annotations

import pytest

from gateway.errors import NotAcceptable
from gateway.search.representation import check_accept

TAKEN = [
    None,
    "",
    "*/*",
    "application/*",
    "application/json",
    "application/fhir+json",
    "APPLICATION/FHIR+JSON; charset=utf-8",
    "application/fhir+json; fhirVersion=4.0",
    "application/fhir+xml, application/fhir+json",
    "application/fhir+xml;q=1.0, application/fhir+json;q=0.1",
    "application/fhir+xml;q=1.0, application/fhir+json;q=1.0, application/xml+fhir;q=0.9, application/json+fhir;q=0.9",
    "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "application/fhir+json;q=0, application/json",
    "application/fhir+json; fhirVersion=3.0, */*;q=0.1",
]
NOT_TAKEN = [
    "application/fhir+xml",
    "application/xml, text/xml",
    "text/*",
    "text/html",
    "application/json;q=0",
    "application/fhir+json;q=0, application/json;q=0, */*",
    "*/*;q=0",
    "application/json;q=nonsense",
    "application/fhir+json; fhirVersion=3.0",
    "*/json",
    "json",
    ",;,",
]


@pytest.mark.parametrize("accept", TAKEN)
def test_json_is_given(accept: str | None) -> None:
    check_accept(accept)


@pytest.mark.parametrize("accept", NOT_TAKEN)
def test_no_json_is_wanted(accept: str) -> None:
    with pytest.raises(NotAcceptable, match="Only FHIR JSON"):
        check_accept(accept)


def test_the_parameter_beats_the_header() -> None:
    check_accept("application/fhir+xml", "json")
    with pytest.raises(NotAcceptable):
        check_accept("application/json", "xml")
