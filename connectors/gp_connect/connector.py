"""Asks a GP practice: one structured record for all sections at once, and the appointments beside it."""

from __future__ import annotations

import asyncio
import ssl
import time
from datetime import datetime
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from connectors.gp_connect.answering import answer, of_patient
from connectors.gp_connect.appointments import Booked, booked, find_patient
from connectors.gp_connect.directory import STRUCTURED_RECORD, Directory, SpineDirectory, Table, stand_in
from connectors.gp_connect.errors import ForCareOnly
from connectors.gp_connect.jwt import Consumer
from connectors.gp_connect.parameters import areas, request
from connectors.gp_connect.practice import Calls, Clock, Practice
from connectors.gp_connect.settings import Device, Settings
from connectors.sdk.auth import NoAuth, TlsSettings, tls_context
from connectors.sdk.connector import Connector, Setup
from connectors.sdk.errors import ConfigurationError
from connectors.sdk.http import AiohttpTransport, Limits
from connectors.sdk.model import Answer, Ask, Section

OPERATION: Final = "Patient/$gpc.getstructuredrecord"
DIRECT_CARE: Final = frozenset({"TREAT", "ETREAT"})
"""The purposes of use for which GP Connect may be used (v3-ActReason)."""

_LONDON: Final = ZoneInfo("Europe/London")
_IN_SANDBOX: Final = Consumer(
    "https://connect-care.sandbox.example",
    Device(system="https://connect-care.sandbox.example/Id/device", value="demo"),
)


def connect(setup: Setup) -> Connector:
    """The connector of one practice. Raises ConfigurationError where a setting or a secret is missing.

    What practices share is made once (the TLS context); no connection is opened before somebody asks.
    """
    settings: Settings = setup.settings
    ods, address = setup.organisation.ods, setup.organisation.address or ""
    # Plain HTTP is for sandboxes alone, and production refuses it: there, stand-ins do for what nobody issued.
    sandbox = urlsplit(address).scheme == "http"
    if not sandbox:
        _require_https(settings, ods)
    limits = Limits()
    practice = Practice(
        ods,
        _directory(setup, settings, ods, address, sandbox=sandbox),
        _consumer(settings, ods, sandbox=sandbox),
        setup.transport or AiohttpTransport(limits, _tls(settings.tls)),
        limits,
        spine_proxy=settings.spine_proxy,
    )
    return GpConnect(ods, settings, practice)


def _require_https(settings: Settings, ods: str) -> None:
    """A directory reached by plain HTTP could be made to lead a patient's data anywhere, and so could a proxy."""
    addresses = {"sds.address": settings.sds and settings.sds.address, "spine_proxy": settings.spine_proxy}
    for name, address in addresses.items():
        if address and urlsplit(address).scheme != "https":
            raise ConfigurationError(
                f"{ods}: {name} is plain HTTP, which is for sandboxes alone. Give an https address."
            )


@lru_cache(maxsize=16)
def _tls(tls: TlsSettings) -> ssl.SSLContext | None:
    """One context for all practices with the same settings: loading certificates is what takes time."""
    return tls_context(tls, NoAuth())


def _directory(setup: Setup, settings: Settings, ods: str, address: str, *, sandbox: bool) -> Directory:
    if settings.sds is not None:
        return SpineDirectory(settings.sds, settings.asids, setup.transport)
    if not sandbox and ods not in settings.asids:
        raise ConfigurationError(f"{ods} has no ASID. Add sds, or write its ASID under asids.")
    return Table(address, settings.asids, stand_in if sandbox else None)


def _consumer(settings: Settings, ods: str, *, sandbox: bool) -> Consumer:
    if settings.issuer is not None and settings.device is not None:
        return Consumer(settings.issuer, settings.device)
    if not sandbox:
        raise ConfigurationError(f"{ods}: GP Connect asks who we are. Add issuer and device.")
    return Consumer(settings.issuer or _IN_SANDBOX.issuer, settings.device or _IN_SANDBOX.device)


class GpConnect:
    """One GP practice."""

    def __init__(self, source: str, settings: Settings, practice: Practice, clock: Clock = time.time) -> None:
        self._source = source
        self._settings = settings
        self._practice = practice
        self._clock = clock

    async def ask(self, ask: Ask) -> Answer:
        """See Connector. Where the record itself is refused or withheld, so is everything else of it."""
        if ask.asked_by.purpose not in DIRECT_CARE:
            raise ForCareOnly("asked for another purpose than care")
        calls = self._practice.for_ask(ask)
        asked = areas(ask.sections, uncategorised=self._settings.uncategorised)
        if asked:
            appointments = asyncio.ensure_future(self._appointments(calls, ask))
            try:
                record = await calls.post(OPERATION, STRUCTURED_RECORD, request(ask.nhs_number, asked))
                made = answer(self._source, ask, record, await appointments, uncategorised=self._settings.uncategorised)
            finally:
                appointments.cancel()
                await asyncio.gather(appointments, return_exceptions=True)
        else:
            # The operation refuses a question for no clinical area.
            made = of_patient(self._source, ask, await find_patient(calls, ask.nhs_number))
        made.calls = calls.count
        return made

    async def _appointments(self, calls: Calls, ask: Ask) -> Booked | None:
        if Section.CONTACTS not in ask.sections or not self._settings.appointments:
            return None
        today = datetime.fromtimestamp(self._clock(), _LONDON).date()
        return await booked(calls, ask.nhs_number, today, self._settings.appointment_days)

    async def aclose(self) -> None:
        """See Connector."""
        await self._practice.aclose()
