"""No audit, no data: where a row can't be written, not one clinical byte leaves, and the answer says so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from gateway.audit.row import Kind, Row
from gateway.desk.model import Case
from gateway.errors import AuditUnavailable
from gateway.store.sqlite import SqliteStore
from tests.flow.stack import GRACE, Stack, told


class Failing:
    """Makes the store fail where a row of one kind is written."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, kind: Kind) -> None:
        append, release = SqliteStore.append, SqliteStore.release

        async def failing_append(store: SqliteStore, row: Row) -> int:
            return await self._unless(kind, row, append, store)

        async def failing_release(store: SqliteStore, row: Row, cases: Sequence[Case] = ()) -> int:
            return await self._unless(kind, row, lambda kept, what: release(kept, what, cases), store)

        monkeypatch.setattr(SqliteStore, "append", failing_append)
        monkeypatch.setattr(SqliteStore, "release", failing_release)

    async def _unless(self, kind: Kind, row: Row, write: Any, store: SqliteStore) -> int:
        if row.kind is kind:
            raise AuditUnavailable("the disk is full")
        written: int = await write(store, row)
        return written


@pytest.mark.parametrize("kind", [Kind.INTENT, Kind.RELEASE])
async def test_a_record_stays_inside(stack: Stack, monkeypatch: pytest.MonkeyPatch, kind: Kind) -> None:
    await stack.agree(GRACE)
    Failing(monkeypatch, kind)
    before = stack.calls()
    answer = await stack.everything(GRACE)
    assert answer.status_code == 503
    assert "audit journal" in told(answer)
    assert answer.headers["Retry-After"]
    assert "CANARY" not in answer.text
    assert GRACE not in answer.text
    assert (stack.calls() == before) == (kind is Kind.INTENT)


async def test_a_refusal_that_cannot_be_written_is_not_given(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    Failing(monkeypatch, Kind.REFUSAL)
    assert (await stack.everything(GRACE)).status_code == 503
    assert (await stack.get("/fhir/R4/Observation?nonsense=1")).status_code == 503
    assert (await stack.get("/nothing")).status_code == 503


async def test_readiness_says_that_the_journal_cannot_be_written(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    async def unready(store: SqliteStore) -> bool:
        return False

    monkeypatch.setattr(SqliteStore, "ready", unready)
    answer = await stack.client.get("/readyz")
    assert answer.status_code == 503
    assert "can't write its audit journal" in told(answer)


async def test_a_fault_of_ours_is_a_row_and_no_traceback(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    await stack.agree(GRACE)

    def fault(*_: object, **__: object) -> None:
        raise ZeroDivisionError("CANARY-in-our-own-error")

    monkeypatch.setattr("gateway.view.apply", fault)
    answer = await stack.everything(GRACE)
    assert answer.status_code == 500
    assert told(answer)
    assert "CANARY" not in answer.text
    assert "ZeroDivision" not in answer.text
    rows = await stack.rows(GRACE)
    assert [(row["rule"], row["detail"]) for row in rows if row["kind"] == "refusal"] == [
        ("fault", "ZeroDivisionError")
    ]
