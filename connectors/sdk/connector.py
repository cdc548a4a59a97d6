"""What a connector is, and how one is found: a folder under `connectors/` that exposes `connect`.

Adding a connector edits no shared file: `organisations.yaml` names the folder, and the folder's package has a function
`connect(Setup) -> Connector` and a pydantic model `Settings`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from pydantic import ValidationError

from connectors.sdk import shape
from connectors.sdk.errors import ConfigurationError
from connectors.sdk.http import Transport
from connectors.sdk.installed import available, package
from connectors.sdk.model import Answer, Ask, Found, PersonSought
from connectors.sdk.organisations import Organisation

__all__ = ["Connector", "Finder", "Setup", "available", "connect"]


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


@runtime_checkable
class Finder(Protocol):
    """A connector that can also find a person by name, birth date and postcode: the national demographics service."""

    async def find(self, sought: PersonSought) -> Found:
        """The one person who fits, or none. Raises a `SourceError` where the search couldn't be made."""
        ...


@dataclass(frozen=True, slots=True)
class Setup:
    """What a connector is given: its organisation's entry, its own checked settings, and (in tests) a transport."""

    organisation: Organisation
    settings: Any
    transport: Transport | None = field(default=None)


def connect(
    organisation: Organisation, *, file: str = "organisations.yaml", transport: Transport | None = None
) -> Connector:
    """The connector of an organisation, with its settings checked. Raises ConfigurationError with a remedy.

    `load_organisations` has checked the same with the file's own line; what remains for here is what only shows when
    the connector is built: a secret that can't be read, a certificate that doesn't fit its key.
    """
    shape.prepare()
    where = f"{file}: {organisation.ods}"
    if organisation.connector is None:
        raise ConfigurationError(f"{where} names no connector. Use one of: {', '.join(available())}.")
    try:
        found = package(organisation.connector)
        settings = found.Settings.model_validate(dict(organisation.settings))
        built: Connector = found.connect(Setup(organisation, settings, transport))
    except LookupError as error:
        raise ConfigurationError(f"{where}: {error}.") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = ".".join(str(step) for step in ("settings", *first["loc"]))
        remedy = f"See connectors/{organisation.connector}/README.md for what it accepts."
        raise ConfigurationError(f"{where}: {name}: {first['msg']}. {remedy}") from error
    except (ConfigurationError, ValueError) as error:
        raise ConfigurationError(f"{where}: {error}") from error
    return built
