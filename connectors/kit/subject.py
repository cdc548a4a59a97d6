"""What the kit checks: a connector, its own sandbox, and whom to ask for. Read from `connectors/<name>/manifest.yaml`.

    kit:
      ods: G85005                 # whose data of the sandbox
      type: gp-practice           # the organisation's type, gp-practice if left out
      sections: [demographics, allergies, medicines]   # what the kit asks for
      patient: "9990000409"       # holds something in every one of those sections
      other: "9990000964"         # somebody else who is known
      empty: "9990001030"         # known, with nothing recorded in at least one of the sections
      unknown: "9990009996"       # not known
      calls: 11                   # the most requests for one question, when all is well
      settings: {}                # the connector's settings
      skip: {}                    # K07: why this case can't apply to this connector

In `settings`, `${origin}` and `${address}` stand for the sandbox; `${secret}`, `${ec_key}` and `${rsa_key}` for files
that the kit makes: one line of a secret, a P-384 key, an RSA key. A secret in use is what lets the kit look for leaks.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from connectors.kit.asgi import ASGIApp
from connectors.kit.cases import ALL
from connectors.sdk.code_faults import cannot_import, place_of
from connectors.sdk.connector import Connector, connect
from connectors.sdk.errors import ConfigurationError
from connectors.sdk.manifest import MANIFEST, folder_of, read_manifest
from connectors.sdk.model import Section
from connectors.sdk.nhs_number import is_nhs_number
from connectors.sdk.organisations import Organisation, OrganisationType

_SHORTEST_REASON: Final = 20


class KitSettings(BaseModel):
    """The `kit` of a manifest; see above. `sandbox` is the module with `create_app`, else the connector's own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ods: str = Field(pattern=r"^[A-Z0-9]{2,6}$")
    type: OrganisationType = OrganisationType.GP_PRACTICE
    sections: tuple[Section, ...] = Field(min_length=1)
    patient: str
    other: str
    empty: str | None = None
    unknown: str
    calls: int = Field(ge=1, le=100)
    settings: Mapping[str, Any] = Field(default_factory=dict)
    skip: Mapping[str, str] = Field(default_factory=dict)
    connector: str | None = None
    sandbox: str | None = None

    @field_validator("patient", "other", "empty", "unknown")
    @classmethod
    def _synthetic(cls, value: str | None) -> str | None:
        if value is not None and not (is_nhs_number(value) and value.startswith("999")):
            raise ValueError("must be a synthetic NHS number: ten digits in quotes that begin with 999")
        return value

    @field_validator("skip")
    @classmethod
    def _allowed(cls, value: Mapping[str, str]) -> Mapping[str, str]:
        for number, reason in value.items():
            if number not in ALL:
                raise ValueError(f"{number} is no case; there are {min(ALL)} to {max(ALL)}")
            if not ALL[number].skippable:
                raise ValueError(f"{number} ({ALL[number].title}) applies to every connector and can't be skipped")
            if len(reason.strip()) < _SHORTEST_REASON:
                raise ValueError(f"{number} needs a reason: a sentence on why it can't apply")
        return value


@dataclass(frozen=True, slots=True)
class Subject:
    """What is checked. `sandbox` makes a fresh sandbox, canaries planted; `build` the connector of an organisation."""

    connector: str
    kit: KitSettings
    sandbox: Callable[[], ASGIApp]
    build: Callable[[Organisation], Connector]
    base_path: str = "/fhir"

    @property
    def source(self) -> str:
        """The ODS code that every item must name."""
        return self.kit.ods

    @property
    def sections(self) -> frozenset[Section]:
        """What the kit asks for."""
        return frozenset(self.kit.sections)

    def organisation(self, address: str, settings: Mapping[str, Any]) -> Organisation:
        """The entry of an organisation whose system is at `address`."""
        return Organisation.model_validate(
            {
                "ods": self.kit.ods,
                "name": "The organisation of the conformance kit",
                "type": self.kit.type,
                "stage": "live",
                "connector": self.kit.connector or self.connector,
                "address": address,
                "sections": sorted(self.kit.sections),
                "settings": dict(settings),
            }
        )


def subject_of(connector: str, ods: str | None = None) -> Subject:
    """The subject that the connector's own folder describes; `ods` in place of the manifest's.

    Raises ConfigurationError with file and remedy.
    """
    try:
        folder = folder_of(connector)
    except LookupError as error:
        raise ConfigurationError(str(error)) from error
    settings = read_kit(folder)
    if ods is not None:
        settings = settings.model_copy(update={"ods": ods})
    return subject_from(connector, settings, folder / MANIFEST)


def subject_from(connector: str, kit: KitSettings, file: Path) -> Subject:
    """The subject of settings that were read already. Raises ConfigurationError where its sandbox doesn't fit them."""
    name = kit.sandbox or f"connectors.{kit.connector or connector}.sandbox"
    try:
        package = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and name.startswith(error.name):
            raise ConfigurationError(f"{file}: {name} isn't there. Ship a sandbox with create_app.") from error
        raise cannot_import(name, error) from error
    except Exception as error:  # whatever a module does when it's imported
        raise cannot_import(name, error) from error
    known = {person["nhsNumber"] for person in package.people()} if hasattr(package, "people") else None
    for role in ("patient", "other", "empty"):
        number = getattr(kit, role)
        if known is not None and number is not None and number not in known:
            raise ConfigurationError(f"{file}: kit.{role} is nobody whom the sandbox knows. Use one of its people().")
    if known is not None and kit.unknown in known:
        raise ConfigurationError(f"{file}: kit.unknown is known to the sandbox. Use a number of nobody.")
    try:
        base_path: str = getattr(package.create_app(kit.ods, canaries=True), "base_path", "/fhir")
    except Exception as error:
        raise _no_sandbox(package, kit.ods, file, error) from error
    return Subject(connector, kit, lambda: package.create_app(kit.ods, canaries=True), connect, base_path)


def _no_sandbox(package: ModuleType, ods: str, file: Path, error: Exception) -> ConfigurationError:
    """What to raise for a sandbox that wouldn't start: for an organisation that it hasn't, or at all."""
    offered = list(package.organisations()) if hasattr(package, "organisations") else []
    if isinstance(error, LookupError) and ods not in offered:
        remedy = f" Use one of: {', '.join(offered)}." if offered else ""
        return ConfigurationError(f"{file}: kit.ods, or --ods: {error.args[0]}{remedy}")
    kind = type(error).__name__
    return ConfigurationError(f"{file}: the sandbox doesn't start: {kind}{place_of(error)}: {error}. Mend its data.")


def read_kit(folder: Path) -> KitSettings:
    """The `kit` of the manifest in a folder. Raises ConfigurationError with file and remedy."""
    file, kit = folder / MANIFEST, read_manifest(folder).kit
    if not kit:
        raise ConfigurationError(f"{file}: kit is missing. Say whom the kit may ask for (docs/connector-kit.md).")
    try:
        return KitSettings.model_validate(dict(kit))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = ".".join(str(step) for step in ("kit", *first["loc"]))
        said = first["msg"].removeprefix("Value error, ")
        raise ConfigurationError(f"{file}: {name}: {said}. Correct it (docs/connector-kit.md).") from error
