"""Every kind of row has a plain sentence, and none tells what was in a record."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.audit.row import Kind, Lawful, Row
from gateway.web.rows import role_of, told

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def row(kind: Kind, **more: Any) -> Row:
    return Row(kind=kind, request_id="r-1", at=NOON, door="GET /x", **more)


LAWFUL = Lawful(basis="court-order", reference="2026/1", recipient="A. Name", policy="whole-record")


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (row(Kind.INTENT, sections=["medicines", "care-team"]), "Began to look at medicines and care team"),
        (row(Kind.INTENT), "Began to look"),
        (row(Kind.RELEASE, seen={"care-team": 2, "results": 0}), "Looked, and was shown care team (2)"),
        (row(Kind.RELEASE), "Looked, and was shown that nothing is held"),
        (row(Kind.REFUSAL, rule="choice.opted-out"), "Was refused: The patient had opted out of Connect Care"),
        (row(Kind.REFUSAL, rule="nobody-knows-this"), "Was refused: nobody-knows-this"),
        (row(Kind.PERSON_SOUGHT), "Looked for a person by name"),
        (row(Kind.PERSON_ANSWERED), "Found nobody by name"),
        (row(Kind.PERSON_ANSWERED, patient="tag"), "Found a person by name"),
        (row(Kind.SHARING_CHOICE, detail="opted-out"), "Recorded the patient's sharing choice: opted-out"),
        (row(Kind.PERMISSION_GRANTED, basis="patient-agreed"), "Was given permission to look: the patient agreed"),
        (row(Kind.PERMISSION_EXTENDED), "Had their permission prolonged: the basis is not known"),
        (row(Kind.PERMISSION_WITHDRAWN), "Ended a permission to look"),
        (row(Kind.CASE_OPENED, cases=["a", "b"]), "Opened 2 cases for the privacy officer"),
        (
            row(Kind.CASE_MOVED, detail="own-record: open -> not-justified"),
            "Moved a case (own record) from open to not justified",
        ),
        (row(Kind.CASE_MOVED, detail="own-record: open -> open"), "Wrote a note to a case (own record)"),
        (row(Kind.CASE_MOVED, detail="?"), "Wrote to a case"),
        (row(Kind.DISCLOSURE, lawful=LAWFUL), "Disclosed the record, ordered by a court, to A. Name"),
        (row(Kind.DISCLOSURE), "Disclosed the record by law"),
        (row(Kind.ERASED), "Erased rows of the audit"),
        (row(Kind.AUDIT_READ, subject="user=1"), "Read the audit: user=1"),
        (row(Kind.AUDIT_READ), "Read the audit"),
        (row(Kind.SOURCE_TRIED), "Tried an organisation's connection"),
    ],
)
def test_what_happened(made: Row, sentence: str) -> None:
    assert told(made, {}).startswith(sentence)


def test_no_kind_is_without_words() -> None:
    assert all(told(row(kind, rule="x"), {}) for kind in Kind)


def test_a_role_is_said_as_people_say_it() -> None:
    assert [role_of("gp"), role_of("hospital-doctor")] == ["GP", "hospital doctor"]
