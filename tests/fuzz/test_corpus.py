"""What fuzzing has tried and found, tried again in each run; and that a target would notice."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any, Final

import pytest

from tests.fuzz import targets
from tests.fuzz.targets import JOURNAL, ROWS, TARGETS

CORPUS: Final = Path(__file__).with_name("corpus")
MOST_BYTES: Final = 70_000


@pytest.mark.parametrize("name", TARGETS)
def test_each_input_of_the_corpus_is_taken_or_refused_as_it_should(name: str) -> None:
    inputs = sorted((CORPUS / name).iterdir())
    assert len(inputs) >= 3
    for path in inputs:
        data = path.read_bytes()
        assert len(data) <= MOST_BYTES, path.name
        TARGETS[name](data)


def test_there_is_a_corpus_of_each_target_and_no_other() -> None:
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)


def test_the_journal_as_it_is_holds_and_the_target_would_notice_one_that_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = (JOURNAL / ROWS).read_bytes()
    folder, order = targets._copied()
    assert targets.verify(order).holds, targets.verify(order).told()
    monkeypatch.setattr(targets, "verify", lambda _: type("Report", (), {"holds": True}))
    targets.journal(b"\0" + rows)
    with pytest.raises(AssertionError, match="altered"):
        targets.journal(b"\0" + rows.replace(b'"seq":1,', b'"seq":2,'))
    assert (folder / ROWS).read_bytes() == rows


def test_the_search_target_would_notice_a_query_that_changes_when_it_is_repeated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    query = b"\x01patient=9990000018&_sort=-date"
    targets.search(query)
    first = targets._parsed
    calls: list[Any] = []

    def forgetful(kind: str, door: int, pairs: Any) -> Any:
        calls.append(pairs)
        return first(kind, door, pairs if len(calls) == 1 else pairs[:1])

    monkeypatch.setattr(targets, "_parsed", forgetful)
    with pytest.raises(AssertionError):
        targets.search(query)


def test_the_token_target_reads_one_that_is_good_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    seen: list[Any] = []
    monkeypatch.setattr(targets, "_check_claims", lambda *given: seen.append(given))
    claims = {"iss": "https://issuer.example", "exp": targets._NOW + 60}
    targets.token(f"{part({'typ': 'at+jwt', 'alg': 'ES256', 'kid': 'k'})}.{part(claims)}.AAAA".encode())
    assert len(seen) == 1
