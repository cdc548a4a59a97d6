"""A batch is taken apart by place, and nothing in it is believed that can't be."""

from __future__ import annotations

import json
from typing import Any

import pytest

from connectors.sdk.batch import read_batch, write_batch
from connectors.sdk.errors import Busy, NotUnderstood, Refused, TooMuch, Unwell, WrongContent

SEARCHES = ["Patient?identifier=x", "Observation?patient=y"]


def entry(status: str = "200 OK", **resource: Any) -> dict[str, Any]:
    return {"response": {"status": status}, **({"resource": resource} if resource else {})}


def response(*entries: Any, **more: Any) -> bytes:
    return json.dumps({"resourceType": "Bundle", "type": "batch-response", "entry": list(entries), **more}).encode()


def test_a_batch_asks_for_each_search() -> None:
    assert json.loads(write_batch(SEARCHES)) == {
        "resourceType": "Bundle",
        "type": "batch",
        "entry": [{"request": {"method": "GET", "url": search}} for search in SEARCHES],
    }


def test_each_answer_is_found_by_its_search_and_byte_for_byte() -> None:
    body = response(entry(a="0.10"), entry(status="200", b=1), id="x", meta={"lastUpdated": "2026-11-01T00:00:00Z"})
    came = read_batch(body.replace(b'"0.10"', b"0.10"), SEARCHES)
    assert came == {SEARCHES[0]: b'{"a": 0.10}', SEARCHES[1]: b'{"b": 1}'}


@pytest.mark.parametrize(
    ("status", "error"),
    [("401", Refused), ("403 Forbidden", Refused), ("404 Not Found", NotUnderstood), ("429", Busy), ("503", Unwell)],
)
def test_a_search_that_failed_fails_alone(status: str, error: type[Exception]) -> None:
    came = read_batch(response(entry(a=1), entry(status, resourceType="OperationOutcome")), SEARCHES)
    assert came[SEARCHES[0]] == b'{"a": 1}'
    assert type(came[SEARCHES[1]]) is error


def test_a_success_without_a_body_is_no_empty_answer() -> None:
    assert type(read_batch(response(entry(a=1), entry()), SEARCHES)[SEARCHES[1]]) is WrongContent


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        response(entry(a=1)),  # one answer short: which is missing can't be told
        response(entry(a=1), entry(b=1), entry(c=1)),
        response(entry(a=1), entry(b=1), type="searchset"),
        response(entry(a=1), entry(b=1), resourceType="Parameters"),
        response(entry(a=1), {"resource": {"b": 1}}),
        response(entry(a=1), entry("all is well", b=1)),
        response(entry(a=1), entry("999", b=1)),
        response(entry(a=1), entry(b=1)).replace(b'{"status"', b'{"status": "200", "status"'),
        response(entry(a=1), entry(b=1), note="x").replace(b'"note"', b'"entry": [], "note"'),
    ],
)
def test_what_is_not_the_answer_to_the_question_is_refused_whole(body: bytes) -> None:
    with pytest.raises(WrongContent):
        read_batch(body, SEARCHES)


def test_an_element_that_r4_does_not_know_is_let_pass() -> None:
    assert len(read_batch(response(entry(a=1), entry(b=1), note="a: b"), SEARCHES)) == 2


def test_a_body_of_too_many_values_is_refused_unread() -> None:
    with pytest.raises(TooMuch):
        read_batch(b"[" + b"{}," * 1_000_001 + b"{}]", SEARCHES)
