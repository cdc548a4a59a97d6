"""What a row says of the rows that were erased, and what is found where that isn't so."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit.erased import Left, erased, left_of, numbers
from gateway.audit.row import Erased
from gateway.audit.verify.erasures import check_erasures
from gateway.audit.verify.findings import MOST, Findings
from gateway.audit.verify.part import Content, Emptied

ROWS = (Left(3, "intent", 10), Left(4, "release", 11, {"case-1": "d"}), Left(7, "refusal", 12))


def said(*, total: int | None = 3, record: Erased | None = None, rows: str | None = None) -> Content:
    record = record or erased(ROWS)
    if rows is not None:
        record = Erased(rows=rows, digest=record.digest)
    return Content("erased", "r", datetime(2026, 3, 2, tzinfo=UTC), total=total, erased=record)


def found(content: Content, emptied: tuple[Left, ...] = ROWS, seq: int = 9) -> list[str]:
    findings = Findings()
    check_erasures([Emptied(*row[:3]) for row in emptied], [(seq, content)], findings)
    return [str(each) for each in findings.kept]


def test_an_erasure_names_its_rows_and_what_they_vouched_for() -> None:
    assert erased(ROWS).rows == "3-4,7"
    assert erased(ROWS).bound == [(4, "case-1", "d")]
    assert erased(reversed(ROWS)) == erased(ROWS)
    assert erased(()).rows == ""
    assert left_of(4, "release", 11, b'{"bound":{"case-1":"d"},"door":"x"}') == ROWS[1]
    with pytest.raises(ValueError, match="Row 4 isn't what was written"):
        left_of(4, "release", 11, b"{")


@given(st.sets(st.integers(1, 60)))
def test_runs_are_read_as_they_are_written(seqs: set[int]) -> None:
    rows = erased(Left(seq, "intent", 0) for seq in seqs).rows
    assert [each for run in numbers(rows) for each in run] == sorted(seqs)


def test_rows_that_are_accounted_for_are_in_order() -> None:
    assert found(said()) == []


@pytest.mark.parametrize(
    ("content", "emptied", "told"),
    [
        (said(), (*ROWS, Left(8, "intent", 1)), "row 8: is empty, and no row says that it was erased"),
        (said(), ROWS[:2], "names as erased what isn't"),
        (said(total=2), ROWS, "names as erased what isn't"),
        (said(rows="3-4,7-99999999999999"), ROWS, "names as erased what isn't"),
        (said(rows="x"), ROWS, "and not which"),
        (said(rows="3-4,12"), ROWS, "names as erased what isn't"),
        (said(), (Left(3, "refusal", 10), *ROWS[1:]), "another kind or time"),
        (said(), (Left(3, "intent", 9), *ROWS[1:]), "another kind or time"),
        (said(record=Erased(rows="3-4,7", digest=erased(ROWS).digest, bound=[(5, "p", "d")])), ROWS, "didn't erase"),
        (Content("erased", "r", datetime(2026, 3, 2, tzinfo=UTC)), ROWS, "and not which"),
    ],
)
def test_what_is_not_so_is_found(content: Content, emptied: tuple[Left, ...], told: str) -> None:
    assert any(told in each for each in found(content, emptied))


def test_a_row_can_not_account_for_later_ones() -> None:
    assert found(said(), seq=6)


def test_of_very_many_findings_some_are_kept_and_all_counted() -> None:
    findings, others = Findings(), Findings()
    for number in range(MOST + 5):
        others.add(number, "is wrong")
    findings.add(None, "first")
    findings.take(others)
    assert (len(findings.kept), findings.more) == (MOST, 6)
