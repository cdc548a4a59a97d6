"""An unknown patient is an error, never an empty record."""

from __future__ import annotations

import pytest

from connectors.sdk.model import Answer, Gap, Outcome
from gateway.errors import NobodyAnswered, NotFound
from gateway.known import require_patient
from gateway.locate import Look
from tests.unit.pipeline import (
    COUNCIL,
    EVERYTHING,
    NHS,
    OTHER,
    PRACTICE,
    TRUST,
    answered,
    gap_everywhere,
    merged,
    patient,
)


def look(birth_date: str | None = None) -> Look:
    return Look(NHS, "GET /x", "r", EVERYTHING, birth_date=birth_date)


def missing(source: str, outcome: Outcome) -> Answer:
    return Answer(source, outcome, gaps=gap_everywhere(Gap.FAILED) if outcome.leaves_gap else {}, told="did not answer")


def test_a_known_patient_passes() -> None:
    require_patient(merged(answered(TRUST, patient()), missing(PRACTICE, Outcome.TIMED_OUT)), look())


def test_a_patient_whom_everybody_denies_is_not_found() -> None:
    record = merged(missing(TRUST, Outcome.NO_RECORD), missing(PRACTICE, Outcome.NO_RECORD))
    with pytest.raises(NotFound) as raised:
        require_patient(record, look())
    assert raised.value.rule == "patient.unknown"
    assert NHS not in raised.value.told + raised.value.detail


@pytest.mark.parametrize("outcome", [one for one in Outcome if one.leaves_gap])
def test_while_one_source_is_silent_nobody_is_unknown(outcome: Outcome) -> None:
    record = merged(missing(TRUST, Outcome.NO_RECORD), missing(PRACTICE, outcome))
    with pytest.raises(NobodyAnswered) as raised:
        require_patient(record, look())
    assert raised.value.rule == "sources.nobody-answered"
    assert f"Organisation {PRACTICE} " in raised.value.told
    assert f"Organisation {TRUST}" not in raised.value.told
    assert "does not mean that nothing is recorded" in raised.value.told
    assert (raised.value.status, raised.value.headers["Retry-After"]) == (503, "10")
    # A partial answer without a Patient proves nothing: the guard takes it for a failed one.
    assert raised.value.detail == f"{PRACTICE}={Outcome.FAILED if outcome is Outcome.PARTIAL else outcome}"


def test_a_source_that_sent_somebody_else_does_not_make_the_patient_unknown() -> None:
    record = merged(answered(TRUST, patient(number=OTHER)), missing(PRACTICE, Outcome.NO_RECORD))
    with pytest.raises(NobodyAnswered):
        require_patient(record, look())


def test_when_there_was_nobody_to_ask_nobody_is_said_not_to_know() -> None:
    with pytest.raises(NotFound) as raised:
        require_patient(merged(), look())
    assert raised.value.rule == "sources.none"
    assert "knows" not in raised.value.told


def test_the_birth_date_must_agree_with_one_source() -> None:
    record = merged(
        answered(TRUST, patient(birthDate="1950-01-01")),
        answered(PRACTICE, patient(birthDate="1950-10-01")),
        answered(COUNCIL, patient()),
    )
    require_patient(record, look("1950-01-01"))
    require_patient(record, look("1950-10-01"))
    for wrong in ("1950-01-10", "1950", "", "None"):
        with pytest.raises(NotFound) as raised:
            require_patient(record, look(wrong))
        assert (raised.value.rule, raised.value.expression) == ("patient.birth-date-differs", "birthdate")
        assert "1950" not in raised.value.told


def test_a_patient_without_a_birth_date_agrees_with_none() -> None:
    with pytest.raises(NotFound):
        require_patient(merged(answered(TRUST, patient())), look("1950-01-01"))
