"""What a batch may hold: an allow-list, against whatever anybody writes into an entry."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.api.batch_entries import Wanted, check_parameters, entries_of, wanted
from gateway.audit.entries import LONGEST, MOST_ENTRIES, entry_id, entry_ids
from gateway.audit.shown import NotReadable, read_resources
from gateway.errors import BadRequest, GatewayError, NotAcceptable, NotSupported


def entry(url: Any, method: Any = "GET") -> dict[str, Any]:
    return {"request": {"method": method, "url": url}}


@pytest.mark.parametrize(
    ("url", "path", "query"),
    [
        ("Patient/9990000409", "/fhir/R4/Patient/9990000409", b""),
        ("/Patient/9990000409/", "/fhir/R4/Patient/9990000409", b""),
        ("Observation?patient=1&_count=2", "/fhir/R4/Observation", b"patient=1&_count=2"),
        ("Patient/1/$everything?_type=X", "/fhir/R4/Patient/1/$everything", b"_type=X"),
        ("Patient/1/Encounter", "/fhir/R4/Patient/1/Encounter", b""),
    ],
)
def test_what_is_plain_is_rebuilt(url: str, path: str, query: bytes) -> None:
    assert wanted(entry(url), 1) == Wanted("GET", path, query)
    assert wanted({"fullUrl": "urn:uuid:1", **entry(url, "HEAD")}, 1).method == "HEAD"


@settings(max_examples=60)
@given(
    st.one_of(st.text(), st.from_regex(r"[A-Z]?[A-Za-z0-9./$%?#_-]{0,20}", fullmatch=True), st.integers(), st.none())
)
def test_nothing_else_gets_through(url: Any) -> None:
    try:
        found = wanted(entry(url), 1)
    except BadRequest:
        return
    assert re.fullmatch(
        r"/fhir/R4/[A-Z][A-Za-z]*(/[A-Za-z0-9.-]+(/(\$(everything|summary)|[A-Z][A-Za-z]*))?)?", found.path
    )
    assert ".." not in found.path.split("/")
    assert found.query.isascii()


@pytest.mark.parametrize(
    ("given_entry", "rule"),
    [
        ({"request": {"method": "GET", "url": "Patient/1"}, "<b>": 1}, "batch.member"),
        ({"request": {"method": "GET", "url": "Patient/1", "ifModifiedSince": "x"}}, "batch.member"),
        ({"request": {"method": ["GET"], "url": "Patient/1"}}, "batch.method"),
        ({"request": []}, "batch.no-request"),
    ],
)
def test_what_is_wrong_is_named_without_being_repeated(given_entry: Any, rule: str) -> None:
    with pytest.raises(GatewayError) as refused:
        wanted(given_entry, 3)
    assert refused.value.rule == rule
    assert refused.value.expression.startswith("Bundle.entry[2]")
    assert "<b>" not in refused.value.told


def test_the_bundle_is_a_batch_or_nothing_is_asked() -> None:
    assert entries_of({"resourceType": "Bundle", "type": "batch"}) == []
    assert entries_of({"resourceType": "Bundle", "type": "batch", "entry": [1]}) == [1]
    for kind in ("transaction", "searchset", None):
        with pytest.raises(NotSupported):
            entries_of({"resourceType": "Bundle", "type": kind})


def test_the_batch_itself_takes_the_format_alone() -> None:
    check_parameters(b"", None)
    check_parameters(b"_format=application/fhir%2Bjson", "text/html")
    with pytest.raises(NotAcceptable):
        check_parameters(b"", "application/fhir+xml")
    with pytest.raises(BadRequest):
        check_parameters(b"_count=5", None)


@pytest.mark.parametrize("outer", ["x", "a" * LONGEST, "a" * (LONGEST - 2)])
def test_entries_have_ids_that_a_request_may_have(outer: str) -> None:
    ids = entry_ids(outer)
    assert len(set(ids)) == MOST_ENTRIES
    assert all(len(each) <= LONGEST for each in ids)
    assert ids[0] == entry_id(outer, 1)


@pytest.mark.parametrize("entries", ["[]", "{}", "null", '[{"response":{"status":"404"}}]', "[3]", '[{"resource":3}]'])
def test_a_batch_response_without_a_resource_can_not_be_compared(entries: str) -> None:
    with pytest.raises(NotReadable, match="batch-response"):
        read_resources(f'{{"resourceType":"Bundle","type":"batch-response","entry":{entries}}}'.encode())


def test_the_resources_of_every_answer_in_a_batch_response_are_read() -> None:
    one, two = '{"resourceType":"Patient","id":"1"}', '{"resourceType":"Observation","id":"2"}'
    searchset = f'{{"resourceType":"Bundle","type":"searchset","entry":[{{"resource":{two}}}]}}'
    refused = '{"response":{"status":"403 Forbidden"}}'
    answered = ",".join(f'{{"resource":{each}}}' for each in (one, searchset))
    batch = f'{{"resourceType":"Bundle","type":"batch-response","entry":[{answered},{refused}]}}'
    assert [each["resourceType"] for each in read_resources(batch.encode())] == ["Patient", "Observation"]
