"""A mutant before its judges: the tests, in a process that is forked from one where everything is imported already.

Only the changed function's code is exchanged, in the function that everybody holds already, so nothing is imported
anew. A mutant is killed where any test fails, where it runs out of processor time, or where the process ends.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import resource
import sys
from collections.abc import Sequence
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
SECONDS: Final = 240
"""Of processor time: several times what all the tests take."""


def survives(
    module: ModuleType, function: str, code: CodeType | None, tests: Sequence[str], *, slow: bool = False
) -> bool:
    """Whether these tests, the quick ones of them or the `slow` ones, pass with the changed code (None: as it is)."""
    child = os.fork()
    if child == 0:
        _judge(module, function, code, tests, "slow" if slow else "not slow")
    _, status = os.waitpid(child, 0)
    return os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0


def _judge(module: ModuleType, function: str, code: CodeType | None, tests: Sequence[str], marked: str) -> None:
    passed = 1
    with contextlib.suppress(BaseException):
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        if code is not None:
            function_of(module, function).__code__ = code
        os.chdir(ROOT)
        options = [
            "-x",
            "-q",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:xdist",
            "-p",
            "no:cov",
            "--assert=plain",
            "-m",
            marked,
        ]
        passed = int(pytest.main([*options, *tests]))
    os._exit(passed)


def function_of(module: ModuleType, name: str) -> FunctionType:
    """The function of that qualified name, whatever wraps it. Raises LookupError."""
    found: Any = module
    for part in name.split("."):
        found = vars(found)[part] if isinstance(found, type) else getattr(found, part)
    found = found.fget if isinstance(found, property) else getattr(found, "__func__", found)
    if not isinstance(found, FunctionType):
        raise LookupError(name)
    return found


def import_all(tests: Sequence[str]) -> None:
    """Import the test files, and with them whatever they use."""
    sys.path.insert(0, str(ROOT))
    for test in tests:
        importlib.import_module(test.removesuffix(".py").replace("/", "."))
