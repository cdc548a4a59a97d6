"""What a connector is, and how one is found: a folder under `connectors/` that exposes `connect`.

Adding a connector edits no shared file: `organisations.yaml` names the folder, and the folder's package has a function
`connect(Setup) -> Connector` and a pydantic model `Settings`.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel, ValidationError

import connectors
from connectors.sdk.errors import ConfigurationError
from connectors.sdk.http import Transport
from connectors.sdk.model import Answer, Ask
from connectors.sdk.organisations import Organisation

_NOT_CONNECTORS = frozenset({"sdk", "kit", "template"})


class Connector(Protocol):
    """One organisation's system, behind one question."""

    async def ask(self, ask: Ask) -> Answer:
        """Ask the source. Returns an Answer, or raises a `SourceError` where nothing at all can be used.

        It never returns after `ask.deadline`, never returns an item that it has not parsed, and names every asked
        section that isn't complete in `Answer.gaps`.
        """
        ...

    async def aclose(self) -> None:
        """Close connections."""
        ...


@dataclass(frozen=True, slots=True)
class Setup:
    """What a connector is given: its organisation's entry, its own checked settings, and (in tests) a transport."""

    organisation: Organisation
    settings: Any
    transport: Transport | None = field(default=None)


class ConnectorPackage(Protocol):
    """What the package of a connector exposes."""

    Settings: type[BaseModel]
    connect: Callable[[Setup], Connector]


def available() -> list[str]:
    """The names of the connectors that are installed."""
    folders = {entry for root in connectors.__path__ for entry in Path(root).iterdir() if entry.is_dir()}
    return sorted(
        folder.name
        for folder in folders
        if folder.name not in _NOT_CONNECTORS and (folder / "__init__.py").exists() and folder.name[0].isalpha()
    )


def connect(
    organisation: Organisation, *, file: str = "organisations.yaml", transport: Transport | None = None
) -> Connector:
    """The connector of an organisation, with its settings checked. Raises ConfigurationError with a remedy."""
    name = organisation.connector
    if name is None or name not in available():
        raise ConfigurationError(
            f"{file}: {organisation.ods} names the connector {name!r}, which does not exist. "
            f"Use one of: {', '.join(available())}."
        )
    package: Any = importlib.import_module(f"connectors.{name}")
    try:
        settings = package.Settings.model_validate(dict(organisation.settings))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        raise ConfigurationError(
            f"{file}: {organisation.ods}: settings.{where}: {first['msg']}. "
            f"See connectors/{name}/README.md for what it accepts."
        ) from error
    built: Connector = package.connect(Setup(organisation, settings, transport))
    return built
