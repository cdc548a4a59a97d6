"""Reading the policy folder: strictly, and with one digest over everything that was read.

Policies are data. A file that can't be understood stops start-up with its name and what to do about it, since a rule
that is skipped would open what it was written to close.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import msgspec
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError

from connectors.sdk.errors import ConfigurationError
from connectors.sdk.file_faults import NOT_YAML


class PolicyProblem(ConfigurationError):
    """The policies can't be used. The text names the file and the remedy; the gateway doesn't start."""


def refuse(where: Path, what: str, remedy: str) -> NoReturn:
    """Raise PolicyProblem: file, what is wrong, what to do."""
    raise PolicyProblem(f"{where}: {what}. {remedy}")


def read_text(path: Path) -> str:
    """The text of a policy file. Raises PolicyProblem where it can't be read or isn't UTF-8."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyProblem(f"{path}: can't be read ({error}). Put the file back, readable, in UTF-8.") from error


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML mapping; doubled keys are refused. Raises PolicyProblem with the line."""
    text = read_text(path)
    try:
        document = YAML(typ="safe", pure=True).load(text)
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise PolicyProblem(f"{path}:{line}: not YAML: {error.problem}. Mend the line.") from error
    except NOT_YAML as error:
        what = "not YAML: it holds a character, a number or a date that there isn't, or is nested too deep"
        raise PolicyProblem(f"{path}: {what}. Correct it.") from error
    if not isinstance(document, dict):
        refuse(path, "it must hold keys and values", "Compare it with the file that the project ships.")
    return document


def check_keys(where: Path, node: object, needed: Iterable[str], inside: str = "the file") -> Mapping[str, Any]:
    """`node`, if it is a mapping with exactly these keys. Raises PolicyProblem."""
    wanted = set(needed)
    if not isinstance(node, dict) or set(node) != wanted:
        found = ", ".join(sorted(map(str, node))) if isinstance(node, dict) else "no mapping"
        refuse(where, f"{inside} must hold {', '.join(sorted(wanted))}; found {found}", "Add or remove keys.")
    return node


def files_in(folder: Path, pattern: str, what: str) -> list[Path]:
    """The files below `folder`, sorted. An empty or absent folder raises PolicyProblem: no rules is no policy."""
    found = sorted(path for path in folder.rglob(pattern) if path.is_file())
    if not found:
        refuse(folder, f"no {what} in it ({pattern})", "Point the policy folder setting at a folder that has them.")
    return found


class ArchivedFile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One file of an archive. `name` is its path below the folder; for a file that the settings name besides (`extra`),
    its own name. `text` is None where it isn't UTF-8; then `base64` holds it."""

    name: str
    text: str | None = None
    base64: str = ""
    extra: bool = False

    @property
    def content(self) -> bytes:
        """The file's bytes. Raises ValueError where `base64` isn't any."""
        return self.text.encode() if self.text is not None else b64decode(self.base64, validate=True)


def archived(folder: Path, inside: Iterable[Path], extra: Iterable[Path]) -> bytes:
    """Every file that makes a policy, as JSON in one canonical order: the same policy is always the same bytes."""
    files = [_archived(path.relative_to(folder).as_posix(), path.read_bytes(), extra=False) for path in inside]
    files += [_archived(path.name, path.read_bytes(), extra=True) for path in extra]
    return msgspec.json.encode(sorted(files, key=lambda file: (file.name, file.content, file.extra)))


def _archived(name: str, content: bytes, *, extra: bool) -> ArchivedFile:
    try:
        return ArchivedFile(name=name, text=content.decode(), extra=extra)
    except UnicodeDecodeError:
        return ArchivedFile(name=name, base64=b64encode(content).decode(), extra=extra)


def digest(archive: bytes) -> str:
    """SHA-256 over names and contents, in order of name: the hash by which the audit knows the policies in force."""
    hashed = hashlib.sha256()
    for file in msgspec.json.decode(archive, type=list[ArchivedFile]):
        content = file.content
        hashed.update(f"{file.name}\0{len(content)}\0".encode())
        hashed.update(content)
    return hashed.hexdigest()
