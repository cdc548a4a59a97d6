"""Everything that the doctor looks at, in the order in which it is told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, Final

from connectors.sdk.errors import ConfigurationError
from connectors.sdk.organisations import Organisations, load_organisations
from gateway.doctor import configured, files, issuers, machine, organisations
from gateway.doctor.finding import Examined, Finding
from gateway.settings import Settings, SettingsError, load_settings

_AT_ONCE: Final[dict[str, Callable[[Examined], Iterator[Finding]]]] = {
    "settings": configured.settings,
    "keys": files.files,
    "disks": machine.disks,
    "policies": configured.policies,
    "organisations": organisations.register,
    "secrets": organisations.proofs,
}
_WAITED_FOR: Final[dict[str, Callable[[Examined], AsyncIterator[Finding]]]] = {
    "store": machine.store,
    "clock": issuers.clock,
    "issuers": issuers.issuers,
    "sources": organisations.sources,
}


def read(file: Path | None, **more: Any) -> Examined:
    """What is to be examined. Raises SettingsError for settings that are wrong whatever the profile."""
    settings = _as_they_are(file)
    found: Organisations | None
    try:
        found = load_organisations(settings.organisations_file, addresses=settings.addresses)
    except ConfigurationError:
        found = None  # told by `examine`
    return Examined(settings, found, **more)


async def examine(subject: Examined) -> list[Finding]:
    """Everything that is found, each thing once."""
    found: list[Finding] = []
    for about, look in _AT_ONCE.items():
        try:
            found += look(subject)
        except ConfigurationError as error:
            found.append(_unexamined(about, error))
    for about, waited in _WAITED_FOR.items():
        try:
            found += [finding async for finding in waited(subject)]
        except ConfigurationError as error:
            found.append(_unexamined(about, error))
    return list(dict.fromkeys(found))


def _as_they_are(file: Path | None) -> Settings:
    """The settings, also those that only production refuses: every objection is wanted, and none may stop the rest."""
    try:
        return load_settings(file)
    except SettingsError:
        return load_settings(file, profile="demo").model_copy(update={"profile": "production"})


def _unexamined(about: str, error: ConfigurationError) -> Finding:
    return Finding(about, "they can't be examined", str(error))
