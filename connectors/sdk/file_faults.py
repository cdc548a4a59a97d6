"""What is wrong with a file of the configuration, as one sentence: file, line, what, and what to do about it."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from connectors.sdk.errors import ConfigurationError

NOT_YAML: Final = (YAMLError, ValueError, ArithmeticError, RecursionError)
"""What the reader raises for a text that it can't make anything of: besides its own errors, those of a date that no
calendar has, of a number or a character that is none, and of nesting without end."""
_DATE: Final = re.compile(r"\b(\d{4})-(\d\d?)-(\d\d?)\b", re.ASCII)


def wrong(path: Path, line: int, what: str, remedy: str) -> ConfigurationError:
    """The error to raise. `what` has no full stop, `remedy` has."""
    return ConfigurationError(f"{path}:{line}: {what}. {remedy}")


def unreadable(path: Path, error: OSError) -> ConfigurationError:
    """The error to raise for a file that can't be read."""
    return ConfigurationError(f"{path}: can't be read ({error.strerror}). Name another file.")


def not_utf8(path: Path, error: UnicodeDecodeError) -> ConfigurationError:
    """The error to raise for a file of another encoding, with the line where that shows."""
    return wrong(path, path.read_bytes()[: error.start].count(b"\n") + 1, "not UTF-8", "Save the file as UTF-8.")


def read_yaml(path: Path) -> Any:
    """The document, with line numbers. Raises ConfigurationError."""
    try:
        return YAML(typ="rt").load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise unreadable(path, error) from error
    except UnicodeDecodeError as error:
        raise not_utf8(path, error) from error
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise wrong(path, line, f"not YAML: {error.problem}", "Mend the line.") from error
    except YAMLError as error:
        raise wrong(path, 1, "not YAML: it holds a character that YAML doesn't allow", "Remove it.") from error
    except (ArithmeticError, RecursionError) as error:
        raise wrong(
            path, 1, "not YAML: nested too deep, or with a character that there isn't", "Correct it."
        ) from error
    except ValueError as error:
        # The reader makes dates of what looks like one, and doesn't say where it couldn't.
        raise wrong(path, _line_of_no_date(path), f"a date that doesn't exist ({error})", "Correct it.") from error


def _line_of_no_date(path: Path) -> int:
    """The first line with a date that no calendar has; 1 where there is none."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        for year, month, day in _DATE.findall(line):
            try:
                date(int(year), int(month), int(day))
            except ValueError:
                return number
    return 1


def explain(path: Path, node: CommentedMap, line: int, error: ValidationError, inside: str = "") -> ConfigurationError:
    """What pydantic found wrong with a YAML mapping, the first of it, as file, line and remedy."""
    found = error.errors(include_url=False, include_input=False)
    # A misspelt key is unknown and leaves another one missing: the first of the two says what to mend.
    first = next((fault for fault in found if fault["type"] == "extra_forbidden"), found[0])
    where: Any = node.get(inside, node) if inside else node
    for step in first["loc"]:
        if isinstance(where, CommentedMap | CommentedSeq) and (
            step in where if isinstance(where, CommentedMap) else isinstance(step, int) and step < len(where)
        ):
            line = line_of(where, step)
            where = where[step]
    name = ".".join(str(step) for step in ((inside, *first["loc"]) if inside else first["loc"]))
    if first["type"] == "extra_forbidden":
        return wrong(path, line, f"unknown key {name}", "Remove it, or correct its spelling.")
    if first["type"] == "missing":
        return wrong(path, line, f"{name} is missing", "Add it.")
    if first["type"] == "string_type":
        return wrong(path, line, f"{name} is not text", "Put it in quotes.")
    return wrong(path, line, f"{name}: {first['msg'].removeprefix('Value error, ')}", "Correct the value.")


def line_of(node: Any, key: Any) -> int:
    """The line of a key or place of a YAML node; of the node itself where it has neither."""
    try:
        return int((node.lc.key(key) if isinstance(node, CommentedMap) else node.lc.item(key))[0]) + 1
    except (KeyError, TypeError, AttributeError):
        return int(node.lc.line) + 1


def plain(node: Any) -> Any:
    """The node as plain dicts and lists."""
    if isinstance(node, CommentedMap):
        return {key: plain(value) for key, value in node.items()}
    if isinstance(node, CommentedSeq):
        return [plain(value) for value in node]
    return node
