"""A connector's own code that is wrong is named to the line, and nothing that a source sent is quoted."""

from __future__ import annotations

from pathlib import Path

import pytest

import connectors
from connectors.kit.strange import strange_element
from connectors.sdk import installed
from connectors.sdk.code_faults import place_of
from connectors.sdk.errors import ConfigurationError
from connectors.sdk.json_api import ListOf

ALLERGY = {"resourceType": "AllergyIntolerance", "id": "1", "patient": {"reference": "Patient/1"}}


def raised_by(code: str, file: str) -> Exception:
    """What code says that stands in this file."""
    try:
        exec(compile(code, file, "exec"), {"ListOf": ListOf})
    except Exception as error:
        return error
    raise AssertionError("it raised nothing")


@pytest.mark.parametrize(
    ("code", "file", "place"),
    [
        ("\n{}['x']", "/src/connectors/jotter/mapping.py", " at connectors/jotter/mapping.py:2"),
        ("\n{}['x']", "/connectors/of/ours/connectors/jotter/mapping.py", " at connectors/jotter/mapping.py:2"),
        ("ListOf('{x}', dict)", "/src/connectors/jotter/connector.py", " at connectors/jotter/connector.py:1"),
        ("def f(:", "/src/connectors/jotter/mapping.py", " at connectors/jotter/mapping.py:1"),
        ("{}['x']", "/src/connectors/kit/stand.py", ""),
        ("{}['x']", "/src/elsewhere.py", ""),
    ],
)
def test_the_place_is_the_innermost_line_of_the_connector(code: str, file: str, place: str) -> None:
    assert place_of(raised_by(code, file)) == place


def test_without_a_line_of_a_connector_it_is_that_of_the_sdk() -> None:
    assert place_of(raised_by("ListOf('{x}', dict)", "/elsewhere.py")).startswith(" at connectors/sdk/json_api.py:")


def test_a_connector_that_cannot_be_imported_is_named_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "connectors" / "half_written"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("from connectors.sdk.model import Nothing\n")
    monkeypatch.setattr(connectors, "__path__", [*connectors.__path__, str(folder.parent)])
    with pytest.raises(
        ConfigurationError, match=r"ImportError at connectors/half_written/__init__\.py:1: cannot import"
    ):
        installed.package("half_written")


@pytest.mark.parametrize(
    ("more", "strange"),
    [
        ({}, None),
        ({"recordedDatetime": "2026"}, "AllergyIntolerance.recordedDatetime"),
        (
            {"reaction": [{"manifestation": [{"text": "x", "texts": "y"}]}]},
            "AllergyIntolerance.reaction.manifestation.texts",
        ),
        ({"extension": [{"url": "urn:x", "valueDecimal": 1}]}, None),
        ({"_recordedDate": {"extension": [{"url": "urn:x", "valueCode": "unknown"}]}}, None),
        ({"resourceType": "Basic", "odd": 1}, None),
    ],
)
def test_an_element_that_r4_does_not_know_is_found_at_any_depth(more: dict[str, object], strange: str | None) -> None:
    assert strange_element({**ALLERGY, **more}) == strange
