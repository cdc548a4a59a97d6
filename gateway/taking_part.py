"""Who takes part, and the connection to each: production asks no stand-in, and shows nothing without a grade."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

from connectors.sdk.connector import Connector
from connectors.sdk.errors import ConfigurationError
from connectors.sdk.grades import Grade, grade_of
from connectors.sdk.manifest import folder_of, load_manifest
from connectors.sdk.organisations import Organisation, Organisations, PracticeGroup, Stage, load_organisations
from gateway.fan_out import FanOut
from gateway.settings import Settings, SettingsError
from gateway.sources import NotAsked


def load_register(settings: Settings) -> Organisations:
    """Who takes part. Raises ConfigurationError, and SettingsError for what production doesn't allow."""
    organisations = load_organisations(settings.organisations_file, addresses=settings.addresses)
    if not settings.is_demo:
        for listed in organisations.listed():
            _refuse_open_address(settings, listed.ods, listed.address)
            if listed.is_shown:
                _refuse_below_silver(settings, listed.ods, listed.connector, [listed.ods])
        for group in organisations.groups():
            _refuse_open_address(settings, group.name, group.entry.address)
            if group.entry.holds_records and Stage.LIVE in group.stages:
                _refuse_below_silver(settings, group.name, group.entry.connector, _with_evidence(group))
    return organisations


def _refuse_open_address(settings: Settings, who: str, address: str | None) -> None:
    if address and urlsplit(address).scheme != "https":
        raise SettingsError(
            f"{settings.organisations_file}: {who} is a sandbox or has a plain HTTP address. "
            "Give the https address of its system."
        )


def _refuse_below_silver(settings: Settings, who: str, connector: str | None, proven_at: Iterable[str]) -> None:
    """A connector that was never run against the organisation's own test endpoint shows nothing to anybody."""
    if connector is None:
        return
    grades = [_grade(connector, ods) for ods in proven_at]
    if max(grades, default=Grade.NONE) < Grade.SILVER:
        raise SettingsError(
            f"{settings.organisations_file}: {who} is live, but its connector {connector} has not earned silver there. "
            f"Run connectcare connector try {connector} --record against its test endpoint, or set stage: shadow."
        )


def _grade(connector: str, ods: str) -> Grade:
    try:
        return grade_of(connector, ods)
    except LookupError as error:
        raise ConfigurationError(str(error.args[0])) from error


def _with_evidence(group: PracticeGroup) -> list[str]:
    """The practices of a group that the connector was proven at: one speaks for all, which share its settings.

    Found by the folders of evidence, so that the length of the list costs nothing.
    """
    connector = group.entry.connector or ""
    try:
        evidence = folder_of(connector) / load_manifest(connector).evidence
    except LookupError as error:
        raise ConfigurationError(str(error.args[0])) from error
    if not evidence.is_dir():
        return []
    return sorted(folder.name for folder in evidence.iterdir() if folder.is_dir() and folder.name in group)


def tried_first(group: PracticeGroup) -> Organisation | None:
    """The practice that is connected at start-up, so that a secret that can't be read shows then; None for a group that
    isn't asked. In a demo it's one that has a stand-in."""
    if not (group.entry.holds_records and group.stages & {Stage.LIVE, Stage.SHADOW}):
        return None
    made = (group.get(ods) for ods in (group.addresses or group))
    return next((found for found in made if found is not None and found.takes_part), None)


async def connected(
    organisations: Organisations, settings: Settings, connect: Callable[[Organisation], Connector]
) -> FanOut:
    """What asks the sources: those with an entry of their own are connected now, a practice when it's first asked.

    Raises ConfigurationError; for a group of practices too, of which one is connected and let go again.
    """

    def connect_practice(ods: str) -> Connector:
        practice = organisations.get(ods)
        if practice is None or not (practice.is_shown or practice.is_shadowed):
            raise NotAsked(ods)
        return connect(practice)

    for group in organisations.groups():
        if (practice := tried_first(group)) is not None:
            await connect(practice).aclose()
    return FanOut(
        {entry.ods: connect(entry) for entry in organisations.sources() + organisations.shadows()},
        connect_practice,
        per_source=settings.asks_per_source,
        failures=settings.breaker_failures,
        rest=settings.breaker_rest,
    )
