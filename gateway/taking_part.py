"""Who takes part, and the connection to each: production asks no stand-in, and shows nothing without a grade."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

from connectors.sdk.connector import Connector
from connectors.sdk.errors import ConfigurationError
from connectors.sdk.grades import Grade, grade_of
from connectors.sdk.manifest import folder_of, load_manifest
from connectors.sdk.organisations import (
    Entry,
    Organisation,
    Organisations,
    PracticeGroup,
    Stage,
    load_organisations,
)
from connectors.sdk.practices import PracticesEntry
from gateway.fan_out import FanOut
from gateway.production import Lack
from gateway.settings import Settings, SettingsError
from gateway.sources import NotAsked, SourceState

LONGEST_ACCEPTANCE: Final = timedelta(days=92)
"""How far ahead of today somebody can answer for a connection below silver: then it is looked at again."""

Running = Callable[[str, Entry], bool]
"""(what an entry is known by, the entry) -> whether it is asked already, on the same word of the same person."""


def nothing_runs(_who: str, _entry: Entry) -> bool:
    """At a start."""
    return False


def running_in(organisations: Organisations) -> Running:
    """At a reload of these: what ended meanwhile goes on as it would without the reload, or somebody who wants to
    suspend one organisation at once would be told to see to another first."""
    entries = dict(organisations.entries())

    def runs(who: str, entry: Entry) -> bool:
        now = entries.get(who)
        return (
            now is not None
            and is_asked(organisations, now, who)
            and (now.connector, now.accepted_below_silver) == (entry.connector, entry.accepted_below_silver)
        )

    return runs


def load_register(settings: Settings, today: date | None = None, running: Running = nothing_runs) -> Organisations:
    """Who takes part. Raises ConfigurationError, and SettingsError for what production doesn't allow. `today` is the
    day in UTC on which acceptances are judged: none that has ended is taken up, but one that is `running` goes on."""
    organisations = load_organisations(settings.organisations_file, addresses=settings.addresses)
    lacks = [] if settings.is_demo else list(lacks_of_register(settings, organisations, today, running))
    if lacks:
        raise SettingsError("\n".join(f"{lack.where}: {lack}" for lack in lacks))
    return organisations


def lacks_of_register(
    settings: Settings, organisations: Organisations, today: date | None = None, running: Running = nothing_runs
) -> Iterator[Lack]:
    """What production would refuse of the organisations, whatever the profile is. Raises ConfigurationError where a
    grade can't be told."""
    day = today or datetime.now(UTC).date()
    for who, entry in organisations.entries():
        where = f"{settings.organisations_file}:{organisations.line_of(who)}"
        yield from _open_ways(where, entry, _name_of(entry))
        if is_asked(organisations, entry, who):
            yield from _below_silver(where, organisations, entry, who, day, goes_on=running(who, entry))


def accepted(organisations: Organisations) -> list[str]:
    """What is asked below silver and who answers for it, a line each, for the audit."""
    return [
        f"{entry.connector} at {who} until {accepted.until}, by {accepted.by}: {accepted.reason}"
        for who, entry in organisations.entries()
        if (accepted := entry.accepted_below_silver) and is_asked(organisations, entry, who)
    ]


def grade_at(organisations: Organisations, entry: Entry, who: str) -> Grade:
    """The best grade that an entry's connector has earned: at it, or at one practice of its list. Raises
    ConfigurationError."""
    connector = entry.connector or ""
    group = _group(organisations, who)
    proven_at: list[str] = [who] if group is None else _with_evidence(group)
    return max(_grade(connector, ods) for ods in (None, *proven_at))


def is_asked(organisations: Organisations, entry: Entry, who: str) -> bool:
    """True where at least one system behind the entry is asked and shown."""
    group = _group(organisations, who)
    return entry.holds_records and (entry.stage is Stage.LIVE if group is None else Stage.LIVE in group.stages)


def _group(organisations: Organisations, who: str) -> PracticeGroup | None:
    return next((group for group in organisations.groups() if group.entry.practices == who), None)


def _name_of(entry: Entry) -> str:
    """As it is told: an organisation by its code, a list of practices by its name."""
    if isinstance(entry, PracticesEntry):
        return entry.name or entry.practices
    return entry.ods if isinstance(entry, Organisation) else "an entry"


def _open_ways(where: str, entry: Entry, name: str) -> Iterator[Lack]:
    if entry.address and urlsplit(entry.address).scheme != "https":
        yield Lack(where, f"{name} is a sandbox or has a plain HTTP address", "Give the https address of its system.")
    auth = entry.settings.get("auth")
    token_url = auth.get("token_url") if isinstance(auth, Mapping) else None
    if isinstance(token_url, str) and urlsplit(token_url).scheme != "https":
        yield Lack(where, f"the token_url of {name} is plain HTTP", "Give its https address.")


def _below_silver(
    where: str, organisations: Organisations, entry: Entry, who: str, day: date, *, goes_on: bool
) -> Iterator[Lack]:
    """A connector that was never run against the organisation's own test endpoint shows nothing to anybody, unless
    somebody answers for that: by name, with a reason, and until a day. One that `goes_on` needs no day ahead."""
    grade, name = grade_at(organisations, entry, who), _name_of(entry)
    if grade >= Grade.SILVER:
        return
    what = f"{name} is live, but its connector {entry.connector} has not earned silver there"
    remedy = (
        f"Run connectcare connector try {entry.connector} --record against its test endpoint, or set stage: shadow."
    )
    given = entry.accepted_below_silver
    if given is None:
        yield Lack(where, what, remedy)
    elif grade < Grade.BRONZE:
        yield Lack(where, f"{what}, nor bronze, without which nobody can answer for it", remedy)
    elif given.until < day and not goes_on:
        yield Lack(where, f"{what}, and what {given.by} accepted ended on {given.until}", remedy)
    elif given.until > day + LONGEST_ACCEPTANCE:
        yield Lack(
            where,
            f"{name}: accepted_below_silver reaches further than {LONGEST_ACCEPTANCE.days} days ahead",
            f"Accept it until {day + LONGEST_ACCEPTANCE} at most, and look at it again then.",
        )


def _grade(connector: str, ods: str | None) -> Grade:
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
    organisations: Organisations,
    settings: Settings,
    connect: Callable[[Organisation], Connector],
    known: Mapping[str, SourceState] | None = None,
) -> FanOut:
    """What asks the sources: those with an entry of their own are connected now, a practice when it's first asked.

    `known` is what was known of sources until now (`Sources`). Raises ConfigurationError, with nothing left connected;
    for a group of practices too, of which one is connected and let go again.
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
        await _all_connected(organisations.sources() + organisations.shadows(), connect),
        connect_practice,
        known=known,
        per_source=settings.asks_per_source,
        failures=settings.breaker_failures,
        rest=settings.breaker_rest,
    )


async def _all_connected(
    entries: Iterable[Organisation], connect: Callable[[Organisation], Connector]
) -> dict[str, Connector]:
    """All of them, or none."""
    made: dict[str, Connector] = {}
    try:
        for entry in entries:
            made[entry.ods] = connect(entry)
    except BaseException:
        await asyncio.gather(*(connector.aclose() for connector in made.values()), return_exceptions=True)
        raise
    return made
