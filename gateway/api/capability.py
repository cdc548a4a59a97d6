"""The CapabilityStatement, generated: the search table says what can be asked, policy and connectors what is there.

What it lists is what the doors accept, no more and no less: both ask `gateway.api.usable`. A test walks it for every
role, the listed and the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

from fhir.resources.R4B.capabilitystatement import CapabilityStatement

from gateway.api.authored import Authored
from gateway.api.capability_resources import EVERYTHING, Operation, listed, own_definition, own_params
from gateway.api.usable import Usable
from gateway.caller.model import Caller

_OAUTH_URIS: Final = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"
_PATIENT_COMPARTMENT: Final = "http://hl7.org/fhir/CompartmentDefinition/patient"
_OAUTH: Final = {
    "system": "http://terminology.hl7.org/CodeSystem/restful-security-service",
    "code": "OAuth",
    "display": "OAuth",
}
_RULES: Final = (
    "Parameters, modifiers, chains and joins that are not listed are refused; with Prefer: handling=lenient plain "
    "names that aren't known are left out, and the answer says so. Each parameter may be given once, with alternatives "
    "after a comma; _include may be repeated. Every GET is also answered as HEAD, and every address with a slash at "
    "its end. Answers are FHIR JSON, made anew each time and never to be stored (Cache-Control: no-store): there are "
    "no ETags and no conditional requests. This statement, asked for with a token, is what that caller can use."
)
_CALLERS: Final = 64
"""Statements that are kept: one for each role and set of scopes that is in use."""


def _nobody(_action: str, _caller: Caller) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class OAuthAddresses:
    """Where clients sign in; some read it from the CapabilityStatement only."""

    authorize: str
    token: str


@dataclass(frozen=True, slots=True)
class _For:
    """What one statement depends on: the same for callers who can use the same."""

    types: tuple[str, ...]
    authored: tuple[Authored, ...]
    finds_people: bool
    oauth: OAuthAddresses | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What every statement of this server has: its address, its version and that version's date; whether browsers of
    other origins are let in; whether it takes batches; the operations on a Patient."""

    public_base: str
    version: str
    released: datetime
    cors: bool = False
    batch: bool = False
    operations: tuple[Operation, ...] = (EVERYTHING,)

    @property
    def fhir(self) -> str:
        """The base of the FHIR API."""
        return self.public_base.rstrip("/") + "/fhir/R4"


@dataclass(slots=True)
class Capabilities:
    """The statement for everybody, and for each caller. Made once for all who can use the same, kept as bytes.

    `finds_people`: a register takes part that can look for a person by name. `authored` are the types that the gateway
    makes of its own records; `may` says whom a door lets in.
    """

    published: Published
    usable: Usable
    finds_people: bool = False
    authored: Sequence[Authored] = ()
    may: Callable[[str, Caller], bool] = _nobody
    _kept: Callable[[_For], bytes] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._kept = lru_cache(maxsize=_CALLERS)(self._bytes)

    def document(self, caller: Caller | None = None, oauth: OAuthAddresses | None = None) -> bytes:
        """FHIR JSON. None: all that the server offers, whoever asks. `oauth`: where clients sign in."""
        types = self.usable.types(caller)
        if caller is None:
            return self._kept(_For(types, tuple(self.authored), self.finds_people, oauth))
        authored = tuple(one for one in self.authored if self._reads(one, caller))
        finds = self.finds_people and caller.grants.lets_read("Patient") and self.may("find-person", caller)
        return self._kept(_For(types, authored, finds, oauth))

    def _reads(self, one: Authored, caller: Caller) -> bool:
        return self.may(one.action, caller) and caller.grants.lets_read(one.type)

    def _bytes(self, what: _For) -> bytes:
        published = self.published
        statement = {
            "url": f"{published.fhir}/metadata",
            "version": published.version,
            "name": "ConnectCare",
            "title": "Connect Care: existing records, live, from the organisations that hold them",
            "status": "active",
            "date": published.released.astimezone(UTC).isoformat(timespec="seconds"),
            "kind": "instance",
            "software": {"name": "Connect Care", "version": published.version},
            "implementation": {"description": "Connect Care gateway, read only", "url": published.fhir},
            "fhirVersion": "4.0.1",
            "format": ["json", "application/fhir+json"],
            "rest": [self._rest(what)],
        }
        own = [
            own_definition(f"{published.fhir}/metadata", name, param)
            for name in what.types
            for param in own_params(name)
        ]
        if own:
            statement["contained"] = own
        return CapabilityStatement.model_validate(statement).model_dump_json().encode()

    def _rest(self, what: _For) -> dict[str, Any]:
        rest: dict[str, Any] = {"mode": "server", "documentation": _RULES, "security": self._security(what.oauth)}
        resources = [
            listed(name, finds_people=what.finds_people, operations=self.published.operations) for name in what.types
        ]
        resources += [one.resource() for one in what.authored]
        if resources:
            rest["resource"] = resources
        if what.types:
            rest["compartment"] = [_PATIENT_COMPARTMENT]
        if self.published.batch and resources:
            rest["interaction"] = [{"code": "batch"}]
        return rest

    def _security(self, oauth: OAuthAddresses | None) -> dict[str, Any]:
        security: dict[str, Any] = {
            "cors": self.published.cors,
            "service": [{"coding": [_OAUTH], "text": "OAuth 2 access token of a person, never of a bare system"}],
            "description": "The patient's sharing choice and a permission for this patient are needed as well.",
        }
        if oauth:
            addresses = (("authorize", oauth.authorize), ("token", oauth.token))
            inner = [{"url": name, "valueUri": address} for name, address in addresses]
            security["extension"] = [{"url": _OAUTH_URIS, "extension": inner}]
        return security
