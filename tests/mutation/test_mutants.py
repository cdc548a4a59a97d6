"""The mutants are what they are called, and a trial tells a test that notices from one that doesn't."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path
from typing import Final

import pytest

from tests import readability
from tests.mutation import trial
from tests.mutation.__main__ import FIRST, THEN, chosen, equivalents, key_of
from tests.mutation.mutants import mutants

SOURCE: Final = '''
"""A module."""

class Judge:
    """It judges."""

    def judge(self, value: int | None, known: set[int]) -> bool:
        """Whether it may."""
        for one in sorted(known):
            if value == one and not self.closed:
                return True
            if one > 9:
                raise ValueError("too much: 9")
            known.discard(one)
            continue
        return any(each for each in known if each)
'''


def changed() -> dict[str, str]:
    """What each mutant is called, and its source."""
    return {mutant.what: ast.unparse(mutant.tree) for mutant in mutants(SOURCE)}


def test_each_usual_change_is_made_once_at_each_place() -> None:
    found = changed()
    assert "value != one and (not self.closed)" in found["Eq is NotEq"]
    assert "value == one or not self.closed" in found["And is Or"]
    assert "one >= 9" in found["Gt is GtE"]
    assert "one > 10" in found["9 is 10"]
    assert "return False" in found["True is False"]
    assert "break" in found["continue is break"]
    assert "all(" in found["any is all"]
    assert "if True" in found["the filter lets everything by"]
    assert "known.discard" not in found["left out: known.discard(one)"]
    assert len(set(found.values())) == len(found)


def test_a_no_is_turned_into_a_yes_and_not_into_nothing() -> None:
    found = [ast.unparse(mutant.tree) for mutant in mutants("def may() -> bool:\n    return False\n")]
    assert found == ["def may() -> bool:\n    return True"]


def test_docstrings_annotations_and_what_is_said_to_people_stay() -> None:
    for source in changed().values():
        assert "A module." in source
        assert "It judges." in source
        assert "Whether it may." in source
        assert "value: int | None, known: set[int]" in source
        assert "too much: 9" in source or "raise" not in source


def test_only_the_changed_functions_code_differs() -> None:
    namespace: dict[str, type] = {}
    exec(SOURCE, namespace)
    judge = namespace["Judge"]
    judge.closed = False  # type: ignore[attr-defined]
    (mutant,) = [one for one in mutants(SOURCE) if one.what == "Eq is NotEq"]
    assert mutant.function == "Judge.judge"
    assert judge().judge(3, {3})
    judge.judge.__code__ = mutant.code("x")  # type: ignore[attr-defined]
    assert not judge().judge(3, {3})


@pytest.mark.slow
def test_a_mutant_is_killed_by_a_test_that_notices_it_and_survives_without(tmp_path: Path) -> None:
    blind, seeing = tmp_path / "test_blind.py", tmp_path / "test_seeing.py"
    blind.write_text("def test_it() -> None:\n    assert True\n")
    seeing.write_text(
        "from tests.readability import sentences_of\n\n"
        "def test_it() -> None:\n    assert sentences_of('<main>One. Two.</main>') != 'changed'\n"
    )
    other = (lambda page: "changed").__code__
    assert trial.survives(readability, "sentences_of", other, [str(blind)])
    assert not trial.survives(readability, "sentences_of", other, [str(seeing)])
    assert trial.survives(readability, "sentences_of", None, [str(seeing)])


def test_every_function_that_is_judged_is_found() -> None:
    for module, mutant in chosen(list(FIRST), None, 1):
        trial.function_of(importlib.import_module(module), mutant.function)
    assert {test for tests in FIRST.values() for test in tests} - set(THEN) <= {"filter", "filter_scopes", "narrative"}


def test_what_is_called_equivalent_is_there() -> None:
    keys = set()
    for module in FIRST:
        source = Path(importlib.import_module(module).__file__ or "").read_text()
        keys |= {key_of(module, mutant) for mutant in mutants(source)}
    assert equivalents().keys() <= keys
