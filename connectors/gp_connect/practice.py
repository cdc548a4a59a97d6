"""One practice's system, as one Ask reaches it: the route, the Ssp headers, a new token for each call, the errors."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import quote
from uuid import uuid4

from connectors.gp_connect.directory import Directory
from connectors.gp_connect.errors import instead, meant
from connectors.gp_connect.jwt import Consumer, token
from connectors.sdk.bundle import MAX_ENTRIES, read_object
from connectors.sdk.errors import SourceError, TooMuch, WrongContent
from connectors.sdk.http import Limits, SourceClient, Transport
from connectors.sdk.model import Ask, Resource

_FHIR: Final = "application/fhir+json"
_MOST_CLIENTS: Final = 8

Clock = Callable[[], float]
"""Unix time, in seconds."""


class Practice:
    """Calls of one practice. It keeps one client for each address that the directory named."""

    def __init__(
        self,
        ods: str,
        directory: Directory,
        consumer: Consumer,
        transport: Transport,
        limits: Limits,
        *,
        spine_proxy: str | None = None,
        clock: Clock = time.time,
    ) -> None:
        self._ods = ods
        self._directory = directory
        self._consumer = consumer
        self._transport = transport
        self._limits = limits
        self._proxy = spine_proxy
        self._clock = clock
        self._clients: dict[str, SourceClient] = {}

    def for_ask(self, ask: Ask) -> Calls:
        """The calls of one Ask, with a count of their own."""
        return Calls(self, ask)

    async def prepare(self, ask: Ask, interaction: str) -> tuple[SourceClient, dict[str, str]]:
        """The client and headers of one call. Raises NoRoute, NoSender or another `SourceError`."""
        route = await self._directory.route(self._ods, interaction, ask.deadline)
        sender = await self._directory.sender(ask.asked_by.organisation, ask.deadline)
        bearer = token(ask.asked_by, self._consumer, route.address, int(self._clock()))
        headers = {
            "Accept": _FHIR,
            "Authorization": f"Bearer {bearer}",
            "Cache-Control": "no-store",
            "Ssp-TraceID": str(uuid4()),
            "Ssp-From": sender,
            "Ssp-To": route.asid,
            "Ssp-InteractionID": interaction,
        }
        return self._client(route.address), headers

    def _client(self, address: str) -> SourceClient:
        base = address.rstrip("/")
        if self._proxy is not None:
            base = f"{self._proxy.rstrip('/')}/{base}"
        if base not in self._clients:
            if len(self._clients) >= _MOST_CLIENTS:
                self._clients.clear()
            self._clients[base] = SourceClient(base, self._transport, limits=self._limits)
        return self._clients[base]

    async def aclose(self) -> None:
        """Close what is open. The clients share one pool."""
        await self._transport.aclose()
        await self._directory.aclose()


class Calls:
    """The calls of one Ask. Every error is one that GP Connect's code, or else the HTTP status, means."""

    def __init__(self, practice: Practice, ask: Ask) -> None:
        self._practice = practice
        self._ask = ask
        self._made: list[SourceClient] = []

    @property
    def count(self) -> int:
        """How many requests went out for this Ask, look-ups in the directory aside."""
        return sum(client.calls for client in self._made)

    async def post(self, path: str, interaction: str, body: bytes) -> list[Resource]:
        """The resources of the Bundle that an operation answers. Never retried."""
        client, headers = await self._start(interaction)
        sent = client.post(
            _absolute(client, path),
            body,
            deadline=self._ask.deadline,
            headers={**headers, "Content-Type": _FHIR},
            read_errors=True,
        )
        return resources_of(await _understood(sent))

    async def get(self, path: str, interaction: str) -> list[Resource]:
        """The resources of the Bundle that a search answers."""
        client, headers = await self._start(interaction)
        sent = client.get(_absolute(client, path), deadline=self._ask.deadline, headers=headers, read_errors=True)
        return resources_of(await _understood(sent), searched=True)

    async def _start(self, interaction: str) -> tuple[SourceClient, dict[str, str]]:
        client, headers = await self._practice.prepare(self._ask, interaction)
        self._made.append(client.counted())
        return self._made[-1], headers


def _absolute(client: SourceClient, path: str) -> str:
    """The whole URL: resolving a relative one would fold the `//` of the address behind the proxy's."""
    return f"{client.base_url}/{path}"


async def _understood(sent: Awaitable[bytes]) -> bytes:
    """The body. Raises what GP Connect means by an error; the words that came with it go no further."""
    try:
        return await sent
    except SourceError as error:
        told = meant(error)
        error.said = b""
        if told is error:
            raise
        raise told from error


def resources_of(body: bytes, *, searched: bool = False) -> list[Resource]:
    """The resources of a Bundle, of whatever version; an entry without one counts as a resource without a type.

    Raises WrongContent, TooMuch, or what an OperationOutcome in the Bundle's place says. A search that has more to say
    (a next page, a higher total) is refused: GP Connect has no pages, and what was left out could not be told.
    """
    bundle = read_object(body)
    if bundle.get("resourceType") != "Bundle":
        raise instead(body)
    entries = bundle.get("entry", [])
    if not isinstance(entries, list):
        raise WrongContent("the Bundle's entries are no list")
    if len(entries) > MAX_ENTRIES:
        raise TooMuch("entries over the cap")
    if searched and _has_more(bundle, len(entries)):
        raise WrongContent("the search has more than one page")
    found = [entry.get("resource") if isinstance(entry, dict) else None for entry in entries]
    return [resource if isinstance(resource, dict) else {} for resource in found]


def _has_more(bundle: dict[str, Any], entries: int) -> bool:
    links = bundle.get("link")
    following = isinstance(links, list) and any(
        isinstance(link, dict) and link.get("relation") == "next" for link in links
    )
    total = bundle.get("total", 0)
    return following or (isinstance(total, int) and total > entries)


def path_of(patient_id: str) -> str:
    """`Patient/{id}`. What an id must not hold makes the call one that isn't made (`connectors.sdk.address`)."""
    return f"Patient/{quote(patient_id, safe='')}"
