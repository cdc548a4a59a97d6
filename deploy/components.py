"""What a gateway consists of: the packages of the runtime lock, the crates of the native kernel, the pages' frontend.

Nothing is asked of the machine or of a registry: the locks pin every version, and `licences.yaml` says what a person
read of each licence.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Final, Literal

from packaging.requirements import Requirement
from ruamel.yaml import YAML

ROOT: Final = Path(__file__).resolve().parents[1]
LICENCES: Final = ROOT / "deploy" / "licences.yaml"
_PINNED: Final = re.compile(r"^([a-z0-9][^ =]*)==([^ ;\\]+)(?: *;([^\\]*))?", re.MULTILINE)
_OURS: Final = "connect_care_kernel"
_MACHINES: Final = [
    {"python_version": version, "python_full_version": f"{version}.0", "sys_platform": system}
    for version, system in product(("3.11", "3.12", "3.13", "3.14"), ("linux", "darwin", "win32"))
]
"""Where a gateway may run; a package that is for none of them is part of none."""


@dataclass(frozen=True, slots=True)
class Component:
    """A package at the version that a lock pins. `sha256` is a crate's; a Python package has one for each of its files,
    in the lock."""

    kind: Literal["pypi", "cargo", "npm"]
    name: str
    version: str
    licence: str
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Reviewed:
    """What a person read: the licence as an SPDX expression, and what the package's own metadata declare ("" where
    they declare nothing): other words than these have not been read yet."""

    licence: str
    declared: str | None = None


@dataclass(frozen=True, slots=True)
class Licences:
    """`licences.yaml`."""

    allowed: frozenset[str]
    packages: dict[str, Reviewed]
    crates: dict[str, Reviewed]
    vendored: tuple[Component, ...]


def read_licences(file: Path = LICENCES) -> Licences:
    """The review, as it stands."""
    said = YAML(typ="safe").load(file.read_text(encoding="utf-8"))
    found = {kind: {name: Reviewed(**each) for name, each in said[kind].items()} for kind in ("packages", "crates")}
    vendored = tuple(Component("npm", name, **each) for name, each in said["vendored"].items())
    return Licences(frozenset(said["allowed"]), found["packages"], found["crates"], vendored)


def locked_packages(lock: str) -> dict[str, str]:
    """Name and version of what is installed somewhere where a gateway may run; of two versions the newer Python's."""
    pinned = _PINNED.findall(lock)
    return {
        name: version for name, version, marker in pinned if _is_for_a_gateway(f"{name}=={version}", marker.strip())
    }


def _is_for_a_gateway(pinned: str, marker: str) -> bool:
    needed = Requirement(f"{pinned} ; {marker}").marker if marker else None
    return needed is None or any(needed.evaluate({**machine}) for machine in _MACHINES)


def locked_crates(lock: str) -> Iterator[tuple[str, str, str]]:
    """(name, version, checksum) of every crate but our own."""
    for crate in tomllib.loads(lock)["package"]:
        if crate["name"] != _OURS:
            yield crate["name"], crate["version"], crate["checksum"]


def components(licences: Licences, root: Path = ROOT) -> list[Component]:
    """All of them. Raises KeyError with the name of one whose licence nobody reviewed."""
    packages = locked_packages((root / "requirements.lock").read_text(encoding="utf-8"))
    crates = locked_crates((root / "kernel" / "crates.lock").read_text(encoding="utf-8"))
    return [
        *(Component("pypi", name, version, licences.packages[name].licence) for name, version in packages.items()),
        *(Component("cargo", name, version, licences.crates[name].licence, digest) for name, version, digest in crates),
        *licences.vendored,
    ]


def refused(found: Iterable[Component], allowed: frozenset[str]) -> list[str]:
    """The components whose licence isn't one that a gateway may be made with."""
    return [f"{one.name}: {one.licence}" for one in found if one.licence not in allowed]
