"""Documents that name tests, held to them: `python -m tests.documents`.

A document names a test as `tests/flow/test_record.py::test_one_bad_source_never_costs_the_others` in backticks. Such a
test must exist, be one that pytest collects, and run: none that is skipped whatever happens, none that needs data which
are no part of the project, and none of those that no `make` target of CI runs. What is decided is read from the files
with `ast`; `tests/contract/test_documents.py` has pytest itself collect them too.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
COLUMN: Final = "Test"
NOT_IN_CI: Final = ("tests/real/",)
"""What `make test-all` leaves out: nothing may rest on it."""
TOOLS: Final = ("CHROMIUM", "kernel", "shutil.which")
"""What a test may need of a machine: a browser, the native kernel, a command. CI has them."""
OUTSIDE: Final = "shared_data"
"""The fixture of payloads that are no part of the project."""

_NAMED: Final = re.compile(r"`(tests/[\w/.]+\.py)::(\w+)`")
_NAMED_SOMEHOW: Final = re.compile(r"tests/[\w/.]+\.py::")
_CELLS: Final = re.compile(r"(?<!\\)\|")
_RULE: Final = re.compile(r"[\s:|-]+")


@dataclass(frozen=True, slots=True, order=True)
class Named:
    """A test, as a document names it."""

    file: str
    test: str

    def __str__(self) -> str:
        return f"{self.file}::{self.test}"


def documents(root: Path = ROOT) -> list[Path]:
    """Every document that people read."""
    return [root / "README.md", root / "SECURITY.md", *sorted(root.glob("docs/**/*.md"))]


def named(text: str) -> list[Named]:
    """Every test that a text names, in its order."""
    return [Named(*found) for found in _NAMED.findall(text)]


def rows(text: str) -> Iterator[dict[str, str]]:
    """The rows of every table that has a column `Test`, by column. Raises ValueError for a row that is too short or
    too long: a bar within a cell is written `\\|`."""
    head: list[str] | None = None
    for line in text.splitlines():
        cells = [cell.strip() for cell in _CELLS.split(line.strip())[1:-1]]
        if not line.startswith("|"):
            head = None
        elif head is None:
            head = cells
        elif COLUMN in head and not _RULE.fullmatch(line):
            if len(cells) != len(head):
                raise ValueError(f"a row has {len(cells)} cells where the head has {len(head)}: {line[:60]}")
            yield dict(zip(head, cells, strict=True))


def fault(test: Named, root: Path = ROOT) -> str:
    """Why a named test proves nothing; "" where it runs."""
    if test.file.startswith(NOT_IN_CI):
        return f"{test} is run by no target of CI"
    if not (root / test.file).is_file():
        return f"{test}: there is no such file"
    if not Path(test.file).name.startswith("test_"):
        return f"{test}: pytest collects nothing from this file"
    module = _parsed(root / test.file)
    marks = _marks_of_all(module)
    if any(map(_is_skip, marks)):
        return f"{test}: the whole file is skipped"
    found = [each for _, each in _tests(module) if each.name == test.test]
    if not found:
        return f"{test}: there is no such test"
    if any(map(_is_skipped, found)):
        return f"{test} is skipped, whatever happens"
    needs = [
        mark
        for each in found
        for mark in (*marks, *each.decorator_list)
        if _needs_something_else(_meant(mark, module, root))
    ]
    asks = any(argument.arg == OUTSIDE for each in found for argument in each.args.args)
    return f"{test} needs what is no part of the project" if needs or asks else ""


def nodes(test: Named, root: Path = ROOT) -> list[str]:
    """What pytest calls a named test: with its class, where it is in one."""
    return [
        "::".join([test.file, *within, test.test])
        for within, each in _tests(_parsed(root / test.file))
        if each.name == test.test
    ]


def faults(root: Path = ROOT) -> list[str]:
    """What is wrong with all documents together."""
    found = []
    for document in documents(root):
        text = document.read_text(encoding="utf-8")
        where = document.relative_to(root)
        found += [f"{where}: {said}" for said in dict.fromkeys(fault(test, root) for test in named(text)) if said]
        if odd := len(_NAMED_SOMEHOW.findall(text)) - len(named(text)):
            found.append(f"{where}: {odd} tests are named in another way than `file::test`")
        try:
            bare = [row for row in rows(text) if not named(row[COLUMN]) and not row[COLUMN].startswith("none: ")]
        except ValueError as error:
            found.append(f"{where}: {error}")
            continue
        found += [f"{where}: no test, and no reason why there is none, in: {next(iter(row.values()))}" for row in bare]
    return found


_Test = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def _parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def _tests(module: ast.Module) -> Iterator[tuple[list[str], _Test]]:
    """As pytest collects them, with their class: functions of the module, and methods of classes called Test…"""
    for node in module.body:
        is_class = isinstance(node, ast.ClassDef) and node.name.startswith("Test")
        within, inside = ([node.name], node.body) if is_class else ([], [node])
        yield from ((within, each) for each in inside if isinstance(each, _Test) and each.name.startswith("test_"))


def _marks_of_all(module: ast.Module) -> list[ast.expr]:
    """What stands in `pytestmark`, by itself or in a list."""
    values = [
        node.value
        for node in module.body
        if isinstance(node, ast.Assign) and any(ast.unparse(target) == "pytestmark" for target in node.targets)
    ]
    return [mark for value in values for mark in (value.elts if isinstance(value, ast.List) else [value])]


def _meant(mark: ast.expr, module: ast.Module, root: Path) -> ast.expr:
    """What a mark's name stands for, in its own module or in the one of ours that it is imported from."""
    if not isinstance(mark, ast.Name):
        return mark
    for node in module.body:
        if isinstance(node, ast.Assign) and any(ast.unparse(target) == mark.id for target in node.targets):
            return node.value
        if isinstance(node, ast.ImportFrom) and any(name.name == mark.id for name in node.names):
            file = root / f"{(node.module or '').replace('.', '/')}.py"
            return _meant(mark, _parsed(file), root) if file.is_file() else mark
    return mark


def _needs_something_else(mark: ast.expr) -> bool:
    """A condition, or a name that can't be told to be none, which isn't about a tool."""
    text = ast.unparse(mark)
    is_condition = text.startswith("pytest.mark.skipif") or isinstance(mark, ast.Name)
    return is_condition and not any(tool in text for tool in TOOLS)


def _is_skipped(test: _Test) -> bool:
    """By a decorator, or by its first statement."""
    first = next((node for node in test.body if not _is_docstring(node)), None)
    calls = first.value if isinstance(first, ast.Expr) else None
    return any(map(_is_skip, test.decorator_list)) or (calls is not None and _is_skip(calls))


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_skip(node: ast.expr) -> bool:
    """`pytest.mark.skip`, called or not, or `pytest.skip(…)`."""
    called = node.func if isinstance(node, ast.Call) else node
    return ast.unparse(called) in ("pytest.mark.skip", "pytest.skip")


def main() -> int:
    """0 where every named test runs; else what is wrong, a line each."""
    wrong = faults()
    print("\n".join(wrong) or f"Every test that {len(documents())} documents name exists and runs.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
