"""The measurement of workers beside each other: it runs, and its tables stand where the document has room for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench import scale
from tests.stores import Server

ROW = {"workers": 2, "records/s": 1234.5}


def test_tables_go_to_their_places_and_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    copy = tmp_path / "scale.md"
    copy.write_text(scale.DOCUMENT.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(scale, "DOCUMENT", copy)
    for _ in range(2):
        scale.write_document({"records": [ROW], "journals": [ROW | {"workers": 4}]})
    text = copy.read_text(encoding="utf-8")
    assert text.count("| workers | records/s |") == 2
    assert "| 2 | 1,234.5 |" in text.partition("begin (journals)")[0]
    assert "| 4 | 1,234.5 |" in text.partition("begin (journals)")[2]
    assert "| cores |" in text


@pytest.mark.slow
def test_two_workers_share_two_journals(postgres: Server) -> None:
    names = [postgres.new(), postgres.new()]
    try:
        found = scale.journals(names, postgres, workers=2, seconds=0.5)
    finally:
        for name in names:
            postgres.drop(name)
    assert (found["workers"], found["journals"]) == (2, 2)
    assert found["rows/s"] > 0
    assert found["worker, ms of processor a row"] > 0
