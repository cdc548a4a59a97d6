"""GP Connect's error codes: what each comes to, and the words that a clinician reads."""

from __future__ import annotations

import json
import logging
from dataclasses import replace

import pytest

from connectors.gp_connect.errors import (
    AccessDenied,
    Dissented,
    NoRelationship,
    NothingToShare,
    NotOffered,
    NotSharedWithUs,
    NotTraced,
    NumberRefused,
)
from connectors.sdk.errors import Busy, NotUnderstood, Refused, SourceError, Unwell, Withheld, WrongContent
from connectors.sdk.model import Gap, Outcome, Section
from connectors.sdk.organisations import Organisations
from gateway.api.bundle import source_sentence
from gateway.fan_out import FanOut
from gateway.guard import guard
from gateway.merge import Merger
from gateway.sealed import Sealer
from tests.connectors.asking import NHS_NUMBER, asking
from tests.connectors.gp_connect_asking import ADDRESS, ERRORS, PRACTICE, SERVED, Written, asked_of, practice, problem

FILES = {file.stem.removesuffix(".operationOutcome"): file for file in sorted(ERRORS.rglob("*.json"))}
NAME = "South Lewisham Group Practice"

NO_RECORD = (
    "has no record of this patient that it can share: the patient may not be registered there, "
    "or the record may be closed or protected"
)
NOT_UNDERSTOOD = "did not understand the question"
TABLE = {
    # payload: (HTTP status, outcome, gap, words)
    "NO_RECORD_FOUND": (404, Outcome.NO_RECORD, None, NO_RECORD),
    "notFoundPatientDocumentResponse": (404, Outcome.NO_RECORD, None, NO_RECORD),
    "operationOutcomePatientNotFound": (404, Outcome.NO_RECORD, None, NO_RECORD),
    "operationOutcomeNoRelationship": (
        403,
        Outcome.REFUSED,
        Gap.REFUSED,
        "refuses this record because its system knows of no relationship between your organisation and the patient",
    ),
    "operationOutcomeInvalidNHSNumber": (400, Outcome.FAILED, Gap.FAILED, "did not accept this NHS number"),
    "operationOutcomeInvalidDemographic": (
        400,
        Outcome.FAILED,
        Gap.FAILED,
        "could not match this patient with the national register",
    ),
    "operationOutcomeBadRequest": (400, Outcome.FAILED, Gap.FAILED, NOT_UNDERSTOOD),
    "operationOutcomeInvalidParameter": (422, Outcome.FAILED, Gap.FAILED, NOT_UNDERSTOOD),
    "operationOutcomeInvalidResource": (422, Outcome.FAILED, Gap.FAILED, NOT_UNDERSTOOD),
    "operationOutcomeInternalServerError": (500, Outcome.FAILED, Gap.FAILED, "answered with an error"),
}


@pytest.mark.skipif(not FILES, reason=f"the error payloads of other suppliers are not at {ERRORS}")
def test_the_table_has_every_payload() -> None:
    assert set(TABLE) == set(FILES)


@pytest.mark.parametrize("name", TABLE)
async def test_each_payload_has_its_answer_and_its_words(name: str) -> None:
    if name not in FILES:
        pytest.skip(f"the error payloads of other suppliers are not at {ERRORS}")
    status, outcome, gap, words = TABLE[name]
    async with asked_of(Written(record=(status, FILES[name].read_bytes()))) as connector:
        (answer,) = await FanOut({PRACTICE: connector}).ask({PRACTICE: asking(sections=SERVED)})
    assert (answer.outcome, answer.told, answer.items) == (outcome, words, [])
    assert answer.gaps == ({} if gap is None else dict.fromkeys(sorted(SERVED), gap))
    sentence = said_of(answer)
    assert sentence.startswith(f"{NAME} {words}")
    assert "diagnostics" not in sentence.casefold()
    assert "{{" not in f"{sentence} {answer.detail}"


def said_of(answer: object) -> str:
    """The sentence of the manifest, as every door shows it."""
    organisation = practice().model_copy(update={"name": NAME})
    ask = {PRACTICE: asking(sections=SERVED)}
    merger = Merger(Sealer(bytes(32)), Organisations({PRACTICE: organisation}))
    record = merger.merge(guard([answer], ask, lambda _: ADDRESS), ask, NHS_NUMBER, SERVED)  # type: ignore[list-item]
    (line,) = record.lines
    return source_sentence(line)


CODES = [
    (403, "NO_PATIENT_CONSENT", Dissented),
    (403, "NO_ORGANISATION_CONSENT", NotSharedWithUs),
    (403, "ACCESS_DENIED", AccessDenied),
    (403, "ACCESS DENIED", AccessDenied),
    (403, "NO_RELATIONSHIP", NoRelationship),
    (403, "SOMETHING_NEW", Refused),
    (401, "SOMETHING_NEW", Refused),
    (404, "PATIENT_NOT_FOUND", NothingToShare),
    (400, "PATIENT_NOT_FOUND", NothingToShare),
    (404, "SOMETHING_NEW", NotUnderstood),
    (400, "INVALID_NHS_NUMBER", NumberRefused),
    (422, "INVALID_PATIENT_DEMOGRAPHICS", NotTraced),
    (422, "REFERENCE_NOT_FOUND", NotUnderstood),
    (501, "NOT_IMPLEMENTED", NotOffered),
    (500, "INTERNAL_SERVER_ERROR", Unwell),
    (400, "INTERNAL_SERVER_ERROR", Unwell),
    # A system that is failing isn't believed where it would make a record look empty, or shared.
    (500, "NO_RECORD_FOUND", Unwell),
    (502, "PATIENT_NOT_FOUND", Unwell),
    (429, "PATIENT_NOT_FOUND", Busy),
    # An error that came with status 200 is one all the same.
    (200, "NO_PATIENT_CONSENT", Dissented),
    (200, "PATIENT_NOT_FOUND", NothingToShare),
    (200, "SOMETHING_NEW", WrongContent),
]


@pytest.mark.parametrize(("status", "code", "kind"), CODES)
async def test_the_code_decides_whatever_its_system(
    status: int, code: str, kind: type[SourceError], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    written = Written(record=(status, problem(code)))
    async with asked_of(written) as connector:
        with pytest.raises(SourceError) as caught:
            await connector.ask(asking(sections=frozenset({Section.DEMOGRAPHICS, Section.MEDICINES})))
    error = caught.value
    assert type(error) is kind
    assert error.said == b""
    assert getattr(error.__cause__, "said", b"") == b""
    assert NHS_NUMBER not in f"{error!r} {error} {error.told} {error.__cause__!r}"
    assert NHS_NUMBER not in caplog.text


async def test_an_operation_is_never_asked_twice() -> None:
    written = Written(record=(503, problem("INTERNAL_SERVER_ERROR")))
    async with asked_of(written) as connector:
        with pytest.raises(Unwell):
            await connector.ask(asking(sections=frozenset({Section.MEDICINES})))
    assert len(written.calls) == 1


async def test_a_refusal_wins_over_no_record_where_both_are_said() -> None:
    both = problem("PATIENT_NOT_FOUND")
    both["issue"] += problem("NO_PATIENT_CONSENT")["issue"]
    async with asked_of(Written(record=(404, both))) as connector:
        with pytest.raises(Dissented):
            await connector.ask(asking(sections=SERVED))


async def test_dissent_hides_all_of_the_practice_and_says_so() -> None:
    """Appointments aren't covered by dissent in GP Connect. Here nothing of a patient who dissents is shown."""
    async with asked_of(Written(record=(403, problem("NO_PATIENT_CONSENT")))) as connector:
        (answer,) = await FanOut({PRACTICE: connector}).ask({PRACTICE: asking(sections=SERVED)})
    assert (answer.outcome, answer.items) == (Outcome.WITHHELD_BY_SOURCE, [])
    assert set(answer.gaps.values()) == {Gap.WITHHELD_BY_SOURCE}
    said = said_of(answer)
    assert "does not agree" in said
    assert "can't be overridden" in said
    assert "emergency" in said
    assert issubclass(Dissented, Withheld)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"[]",
        b"{}",
        b'{"resourceType":"OperationOutcome"}',
        b'{"resourceType":"OperationOutcome","issue":{}}',
        b'{"resourceType":"Patient","issue":[{"details":{"coding":[{"code":"PATIENT_NOT_FOUND"}]}}]}',
        b'{"resourceType":"OperationOutcome","issue":[{"details":{"coding":[{"code":7}]}}]}',
        b'{"resourceType":"OperationOutcome","issue":' + b"[" * 50_000,
        json.dumps({**problem("PATIENT_NOT_FOUND"), "more": "x" * 70_000}).encode(),
    ],
)
async def test_what_says_nothing_leaves_the_status_to_decide(body: bytes) -> None:
    async with asked_of(Written(record=(404, body))) as connector:
        with pytest.raises(NotUnderstood) as caught:
            await connector.ask(asking(sections=SERVED))
    assert type(caught.value) is NotUnderstood


def test_no_words_say_more_than_the_source_did() -> None:
    """PATIENT_NOT_FOUND is also the answer about a closed, protected or deceased patient's record."""
    assert "may" in NothingToShare.told
    assert "can share" in NothingToShare.told


@pytest.mark.parametrize("purpose", ["HLEGAL", "HRESCH", "", "treat"])
async def test_what_is_not_for_care_is_never_asked_and_says_where_to_go(purpose: str) -> None:
    """The token of every call says "directcare" in the caller's name: it must be true."""
    ask = asking(sections=SERVED)
    system = Written()
    async with asked_of(system) as connector:
        legal = replace(ask, asked_by=replace(ask.asked_by, purpose=purpose))
        (answer,) = await FanOut({PRACTICE: connector}).ask({PRACTICE: legal})
    assert system.calls == []
    assert (answer.outcome, answer.gaps) == (Outcome.REFUSED, dict.fromkeys(sorted(SERVED), Gap.REFUSED))
    assert "for direct care only" in said_of(answer)
