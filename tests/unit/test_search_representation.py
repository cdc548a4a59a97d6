"""JSON or a clear 406."""

from __future__ import annotations

import pytest

from gateway.errors import NotAcceptable
from gateway.search.representation import check_accept, prefers_stream

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


@pytest.mark.parametrize(
    "accept",
    [
        "text/event-stream",
        "TEXT/Event-Stream; charset=utf-8",
        "text/event-stream, */*",
        "application/fhir+json;q=0.5, text/event-stream",
        "application/*;q=0.1, text/event-stream;q=0.2",
    ],
)
def test_a_stream_is_what_the_client_would_rather_have(accept: str) -> None:
    assert prefers_stream(accept)
    assert not prefers_stream(accept, "json")


@pytest.mark.parametrize(
    "accept",
    [
        None,
        "",
        "*/*",
        "text/*",
        "application/fhir+json, text/event-stream",
        "application/json, text/event-stream;q=0.9",
        "text/event-stream;q=0, */*",
        "text/event-stream;q=nonsense",
    ],
)
def test_no_stream_is_given_to_who_did_not_ask_for_one(accept: str | None) -> None:
    assert not prefers_stream(accept)
