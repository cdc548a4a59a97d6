"""docs/connector-kit.md defines each case, by the number and the title under which it is reported."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from connectors.kit.cases import ALL
from connectors.kit.registry import GUIDE
from tests.connectors.mutants.planted import MUTANTS

TEXT = (Path(__file__).parents[2] / GUIDE).read_text(encoding="utf-8")
PARAGRAPHS = dict(re.findall(r"^### (K\d\d)\n\n(.+?)(?=\n#|\Z)", TEXT, re.DOTALL | re.MULTILINE))


def test_each_case_has_its_paragraph_and_each_paragraph_its_case() -> None:
    assert list(PARAGRAPHS) == list(ALL)
    assert f"plays {len(ALL)} numbered cases" in TEXT
    assert f"and {len(MUTANTS)} with one each" in TEXT


@pytest.mark.parametrize("number", ALL)
def test_a_paragraph_has_its_cases_title_and_says_whether_it_may_be_skipped(number: str) -> None:
    said = " ".join(PARAGRAPHS[number].split())
    assert said.lower().startswith(f"**{ALL[number].title.lower()}.**")
    assert ("*May be skipped*" in said) is ALL[number].skippable
    assert ALL[number].paragraph == f"{GUIDE}#{number.lower()}"
