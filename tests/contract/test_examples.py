"""The examples are what the gateway answers today, and FHIR where they say they are."""

from __future__ import annotations

import importlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.contracts.examples import EXAMPLES, Example, read_examples
from tests.examples.make import make
from tests.examples.settled import MORNING, Settled
from tests.examples.wanted import WANTED

FOUND = read_examples()
FHIR = [one for one in FOUND if (one.answer.body or {}).get("resourceType")]


async def test_they_are_what_the_gateway_answers(tmp_path: Path) -> None:
    made = await make(tmp_path)
    kept = {str(file.relative_to(EXAMPLES)): file.read_text(encoding="utf-8") for file in EXAMPLES.glob("*/*.json")}
    assert sorted(kept) == sorted(made), "run: python -m tests.examples"
    changed = [name for name, text in made.items() if kept[name] != text]
    assert changed == [], "run: python -m tests.examples"


@pytest.mark.parametrize("example", FHIR, ids=lambda one: one.name)
def test_a_resource_is_valid_r4(example: Example) -> None:
    kind = example.answer.body["resourceType"]
    model = getattr(importlib.import_module(f"fhir.resources.R4B.{kind.lower()}"), kind)
    model.model_validate(example.answer.body)


def test_there_is_an_example_of_every_refusal_that_a_client_must_handle() -> None:
    assert {400, 401, 403, 404, 406, 429, 503} <= {one.answer.status for one in FOUND}
    assert {one.name for one in FOUND} == {one.name for one in WANTED}


def test_no_example_holds_a_token() -> None:
    for file in EXAMPLES.glob("*/*.json"):
        text = file.read_text(encoding="utf-8")
        assert "eyJ" not in text
        assert "Bearer ey" not in text


def test_a_folder_without_examples_has_none(tmp_path: Path) -> None:
    assert read_examples(tmp_path / "none") == ()


def test_only_the_runs_own_times_are_settled() -> None:
    begun = datetime(2027, 3, 4, 5, 6, 7, tzinfo=UTC)
    settled = Settled(begun)
    own = begun + timedelta(seconds=3)
    assert settled.of([own.isoformat(), "2020-01-01T00:00:00Z"]) == [
        f"{MORNING:%Y-%m-%dT%H:%M:%S}+00:00",
        "2020-01-01T00:00:00Z",
    ]
    assert settled.of((own + timedelta(hours=8)).isoformat()) == "2026-11-02T17:30:00+00:00"
    first = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
    assert settled.of([first, first])[0] == "00000000-0000-4000-8000-000000000001"
    assert settled.of({"took_ms": 5.0, "total": 3}) == {"took_ms": 12.3, "total": 3}
