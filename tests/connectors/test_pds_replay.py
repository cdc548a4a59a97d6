"""Saved payloads of the register, through the connector again: each answers as it did."""

from __future__ import annotations

import json
from typing import Any

import pytest

from connectors.pds.replay import replaying
from connectors.sdk.errors import (
    Busy,
    Invalidated,
    NoRecord,
    NotUnderstood,
    Refused,
    SourceError,
    Superseded,
    Unwell,
    WrongContent,
)
from connectors.sdk.model import Ask, Found, Item, PersonSought
from tests.connectors.asking import NHS_NUMBER
from tests.connectors.pds_asking import of, outcome, patient, person, registered, searchset

OTHER = "9990000751"


def saved(*payloads: Any) -> list[bytes]:
    return [json.dumps(payload).encode() for payload in payloads]


async def asked(*payloads: Any, ask: Ask | None = None) -> Item:
    async with registered(transport=replaying(saved(*payloads), NHS_NUMBER)) as connector:
        return (await connector.ask(ask or of())).items[0]


async def found(*payloads: Any, sought: PersonSought | None = None) -> Found:
    async with registered(transport=replaying(saved(*payloads), NHS_NUMBER)) as connector:
        return await connector.find(sought or person())


async def test_a_saved_patient_is_the_answer() -> None:
    assert (await asked(patient())).resource == patient()


async def test_the_patient_of_the_number_is_picked_out_of_several() -> None:
    assert (await asked(patient(OTHER), outcome("ACCESS_DENIED"), patient())).resource == patient()
    assert (await asked(searchset(patient(OTHER), patient()))).resource == patient()


async def test_a_patient_with_another_number_replaces_the_one_asked() -> None:
    with pytest.raises(Superseded) as raised:
        await asked(patient(OTHER))
    assert raised.value.current == OTHER


async def test_a_restricted_patient_loses_their_place_here_too() -> None:
    assert "address" not in (await asked(patient(security="R", address=[{"line": ["x"]}]))).resource


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("INVALIDATED_RESOURCE", Invalidated),
        ("RESOURCE_NOT_FOUND", NoRecord),
        ("ACCESS_DENIED", Refused),
        ("INVALID_METHOD", Refused),
        ("UNABLE_TO_CALL_SERVICE", Unwell),
        ("TOO_MANY_REQUESTS", Busy),
        ("INVALID_VALUE", NotUnderstood),
    ],
)
async def test_an_outcome_has_the_status_that_its_code_comes_with(code: str, error: type[SourceError]) -> None:
    with pytest.raises(error) as raised:
        await asked(outcome(code))
    assert type(raised.value) is error


async def test_nothing_saved_is_nobody() -> None:
    with pytest.raises(NoRecord):
        await asked()


async def test_a_search_is_answered_by_what_a_search_brought() -> None:
    assert (await found(patient(OTHER), searchset(patient()))).patient == patient()
    assert await found(outcome("TOO_MANY_MATCHES")) == Found(too_many=True)


@pytest.mark.parametrize("payload", [b"<html>", b"{}", b"[]", b'{"resourceType":1}', b"\xff"])
async def test_what_is_no_resource_is_refused(payload: bytes) -> None:
    with pytest.raises(WrongContent, match="not a FHIR resource"):
        replaying([payload], NHS_NUMBER)
