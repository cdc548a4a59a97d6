"""The whole journal, as an auditor reads it beside whoever writes it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.audit.row import Row
from gateway.store.open import open_for_reading


async def rows_of(settings: Mapping[str, Any]) -> list[Row]:
    """All rows of the store that these settings name, in order. Asserts that their numbers are dense."""
    database = settings.get("database")
    store = open_for_reading(database=database) if database else open_for_reading(Path(settings["data_dir"]))
    try:
        rows: list[Row] = []
        while page := await store.rows(after=len(rows), limit=1000):
            assert [kept.seq for kept in page] == list(range(len(rows) + 1, len(rows) + 1 + len(page)))
            rows += [kept.row for kept in page]
        return rows
    finally:
        await store.aclose()
