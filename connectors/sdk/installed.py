"""Which connectors are installed: the folders under `connectors/` whose package exposes `connect` and `Settings`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol, cast

from pydantic import BaseModel

import connectors
from connectors.sdk.code_faults import cannot_import

_NOT_CONNECTORS: Final = frozenset({"sdk", "kit", "template"})


class ConnectorPackage(Protocol):
    """What the package of a connector exposes: the model of its `settings`, and `connect(Setup) -> Connector`."""

    Settings: type[BaseModel]
    connect: Callable[[Any], Any]


def available() -> list[str]:
    """The names of the connectors that are installed."""
    folders = {entry for root in connectors.__path__ for entry in Path(root).iterdir() if entry.is_dir()}
    return sorted(
        folder.name
        for folder in folders
        if folder.name not in _NOT_CONNECTORS and (folder / "__init__.py").exists() and folder.name[0].isalpha()
    )


def package(name: str) -> ConnectorPackage:
    """The package of a connector. Raises LookupError, with a sentence, for one that isn't installed, and
    ConfigurationError, with file and line, for one whose code can't be imported.

    One that is imported already is found without a look at the folders: practices are connected while somebody waits.
    """
    module = f"connectors.{name}"
    if name not in _NOT_CONNECTORS and hasattr(sys.modules.get(module), "connect"):
        return cast(ConnectorPackage, sys.modules[module])
    if name not in available():
        raise LookupError(f"the connector {name} does not exist; use one of: {', '.join(available())}")
    try:
        found: ConnectorPackage = importlib.import_module(module)
    except Exception as error:  # whatever a module does when it's imported
        raise cannot_import(f"connectors/{name}", error) from error
    return found
