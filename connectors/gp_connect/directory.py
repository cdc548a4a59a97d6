"""Where a practice's system is, and under which ASIDs it is asked: the Spine Directory Service, or a table in settings.

An ASID belongs to one system in one organisation. `Ssp-To` is the practice's; `Ssp-From` is that of *the user's*
organisation (GP Connect, "System topologies": a portal never asks under its own). Both the endpoint and the practice's
ASID are looked up for one interaction at a time, as SDS holds them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol
from urllib.parse import urlencode, urlsplit

from connectors.gp_connect.errors import NoRoute, NoSender
from connectors.gp_connect.kept import Kept
from connectors.gp_connect.settings import Sds
from connectors.sdk.address import address_fault
from connectors.sdk.auth import authorizer, tls_context
from connectors.sdk.bundle import read_object
from connectors.sdk.http import AiohttpTransport, Limits, SourceClient, Transport
from connectors.sdk.model import ODS_SYSTEM, Resource

STRUCTURED_RECORD: Final = "urn:nhs:names:services:gpconnect:fhir:operation:gpc.getstructuredrecord-1"
FIND_PATIENT: Final = "urn:nhs:names:services:gpconnect:fhir:rest:search:patient-1"
APPOINTMENTS: Final = "urn:nhs:names:services:gpconnect:fhir:rest:search:patient_appointments-1"

_INTERACTION: Final = "https://fhir.nhs.uk/Id/nhsServiceInteractionId"
_PARTY_KEY: Final = "https://fhir.nhs.uk/Id/nhsMhsPartyKey"
_ASID: Final = "https://fhir.nhs.uk/Id/nhsSpineASID"
_ASID_VALUE: Final = re.compile(r"[0-9]{1,20}", re.ASCII)
_LARGEST_ANSWER: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Route:
    """A practice's service root URL as the directory gives it, and its ASID."""

    address: str
    asid: str


class Directory(Protocol):
    """Answers two questions about routing. It holds nothing of any patient."""

    async def route(self, ods: str, interaction: str, deadline: float) -> Route:
        """Where a practice serves an interaction. Raises NoRoute, or another `SourceError`."""
        ...

    async def sender(self, ods: str, deadline: float) -> str:
        """The ASID of the organisation whose staff ask. Raises NoSender, or another `SourceError`."""
        ...

    async def aclose(self) -> None:
        """Close connections."""
        ...


def stand_in(ods: str) -> str:
    """The ASID of an organisation in a sandbox: twelve digits that follow from its ODS code."""
    return f"9{int.from_bytes(hashlib.blake2b(ods.encode(), digest_size=8).digest()) % 10**11:011}"


class Table:
    """The directory of a site without SDS: every interaction at one address, every ASID written down.

    `default` makes the ASID of an organisation that isn't in the table: `stand_in`, in a sandbox alone.
    """

    def __init__(self, address: str, asids: Mapping[str, str], default: Callable[[str], str] | None = None) -> None:
        self._address = address
        self._asids = asids
        self._default = default

    async def route(self, ods: str, interaction: str, deadline: float) -> Route:
        """See Directory."""
        return Route(self._address, self._asid(ods) or _raise(NoRoute("no ASID for the practice in the settings")))

    async def sender(self, ods: str, deadline: float) -> str:
        """See Directory."""
        return self._asid(ods) or _raise(NoSender("no ASID for the caller's organisation in the settings"))

    def _asid(self, ods: str) -> str | None:
        return self._asids.get(ods) or (self._default(ods) if self._default else None)

    async def aclose(self) -> None:
        """Nothing is open."""


class SpineDirectory:
    """SDS over FHIR (R4): `Endpoint` for the address and party key, `Device` for the ASID.

    Answers are kept for `ttl` seconds. However many ask at once, one look-up is under way for each of them to wait for,
    each until its own deadline; where it fails, it fails for all who waited, and the next one asks anew.
    """

    def __init__(self, sds: Sds, asids: Mapping[str, str], transport: Transport | None = None) -> None:
        tls, limits = tls_context(sds.tls, sds.auth), Limits(max_bytes=_LARGEST_ANSWER, connections=8)
        self._sds = sds
        self._asids = asids
        self._client = SourceClient(
            sds.address,
            transport or AiohttpTransport(limits, tls),
            limits=limits,
            authorize=authorizer(sds.auth, transport=transport, tls=tls),
        )
        self._kept = Kept(sds.ttl)

    async def route(self, ods: str, interaction: str, deadline: float) -> Route:
        """See Directory."""
        found: Route = await self._kept.get((ods, interaction), deadline, lambda by: self._route(ods, interaction, by))
        return found

    async def sender(self, ods: str, deadline: float) -> str:
        """See Directory. An entry in the settings goes before a look-up."""
        if ods in self._asids:
            return self._asids[ods]
        found: str = await self._kept.get((ods, ""), deadline, lambda by: self._sender(ods, by))
        return found

    async def aclose(self) -> None:
        """See Directory. What is being looked up is given up."""
        await self._kept.aclose()
        await self._client.aclose()

    async def _route(self, ods: str, interaction: str, deadline: float) -> Route:
        listed = await self._search("Endpoint", ods, deadline, (_INTERACTION, interaction))
        endpoints = [one for one in listed if one.get("status", "active") == "active"]
        for one in endpoints:
            _check_owner(one, ods, "managingOrganization")
        address = _only({str(one.get("address", "")) for one in endpoints}, "endpoint")
        if (fault := address_fault(address)) or not self._may_lead_to(address):
            raise NoRoute(f"the address in the directory {fault or 'is not https'}")
        if ods in self._asids:
            return Route(address, self._asids[ods])
        keys = {value for one in endpoints for value in _values(one, _PARTY_KEY)}
        devices = await self._search(
            "Device", ods, deadline, (_INTERACTION, interaction), *((_PARTY_KEY, key) for key in sorted(keys)[:1])
        )
        return Route(address, _asid_of(devices, ods))

    async def _sender(self, ods: str, deadline: float) -> str:
        maker = self._sds.manufacturer
        more = {"manufacturing-organization": f"{ODS_SYSTEM}|{maker}"} if maker else {}
        try:
            return _asid_of(await self._search("Device", ods, deadline, (_INTERACTION, STRUCTURED_RECORD), **more), ods)
        except NoRoute as error:
            raise NoSender(f"the caller's organisation: {error}") from error

    async def _search(
        self, kind: str, ods: str, deadline: float, *identifiers: tuple[str, str], **more: str
    ) -> list[Resource]:
        query = [("organization", f"{ODS_SYSTEM}|{ods}")]
        query += [("identifier", f"{system}|{value}") for system, value in identifiers]
        body = await self._client.get(f"{kind}?{urlencode([*query, *more.items()])}", deadline=deadline)
        bundle = read_object(body)
        entries = bundle.get("entry", [])
        if bundle.get("resourceType") != "Bundle" or not isinstance(entries, list):
            raise NoRoute("the directory's answer is not a Bundle")
        found = [entry.get("resource") for entry in entries if isinstance(entry, dict)]
        return [one for one in found if isinstance(one, dict) and one.get("resourceType") == kind]

    def _may_lead_to(self, address: str) -> bool:
        """Plain HTTP only where the directory itself is reached by it: in a sandbox."""
        return urlsplit(address).scheme == "https" or urlsplit(self._sds.address).scheme == "http"


def _asid_of(devices: list[Resource], ods: str) -> str:
    for one in devices:
        _check_owner(one, ods, "owner")
    asid = _only({value for one in devices for value in _values(one, _ASID)}, "ASID")
    if not _ASID_VALUE.fullmatch(asid):
        raise NoRoute("the ASID in the directory is not a number")
    return asid


def _check_owner(resource: Resource, ods: str, element: str) -> None:
    """Raises NoRoute where the directory doesn't say that it speaks of this organisation: what is there might be
    another practice's."""
    identifier = (resource.get(element) or {}).get("identifier") or {}
    if identifier.get("system") != ODS_SYSTEM or identifier.get("value") != ods:
        raise NoRoute("the directory answered about another organisation, or doesn't say about which")


def _values(resource: Resource, system: str) -> list[str]:
    identifiers = [one for one in resource.get("identifier") or () if isinstance(one, dict)]
    return [str(one["value"]) for one in identifiers if one.get("system") == system and "value" in one]


def _only(values: set[str], what: str) -> str:
    """The one value. Raises NoRoute for none, and for several: any choice between them would be a guess."""
    if len(values) != 1:
        raise NoRoute(f"the directory has {'more than one' if values else 'no'} {what}")
    return values.pop()


def _raise(error: Exception) -> str:
    raise error
