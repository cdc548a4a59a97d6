"""An organisation that has no connector of its own: what is checked is the one that serves it, as its entry sets it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from connectors.kit.subject import Subject, subject_of
from connectors.sdk.errors import ConfigurationError
from connectors.sdk.file_faults import plain, read_yaml, wrong
from connectors.sdk.manifest import folder_of, load_manifest

ENTRY: Final = "entry.yaml"
_OF_THE_SITE: Final = frozenset({"auth", "tls"})
"""Settings that name files of the place where a gateway runs: the kit has its own."""


def subject_in(name: str, ods: str | None = None) -> Subject:
    """As `subject_of`, for an organisation's own folder too. Raises LookupError and ConfigurationError."""
    if load_manifest(name).served_by == name:
        return subject_of(name, ods)
    subject = subject_of(name, ods)
    settings = {**_entry_settings(folder_of(name) / ENTRY), **subject.kit.settings}
    return replace(subject, kit=subject.kit.model_copy(update={"settings": settings}))


def _entry_settings(file: Path) -> dict[str, Any]:
    """The `settings` of the one entry in a file. Raises ConfigurationError."""
    entries = plain(read_yaml(file))
    if not isinstance(entries, list) or len(entries) != 1 or not isinstance(entries[0], dict):
        raise wrong(file, 1, "this is not one entry of organisations.yaml", "Start it with - ods: CODE.")
    settings = entries[0].get("settings", {})
    if not isinstance(settings, dict):
        raise ConfigurationError(f"{file}: settings is not a mapping. Write it as name: value, one a line.")
    return {name: value for name, value in settings.items() if name not in _OF_THE_SITE}
