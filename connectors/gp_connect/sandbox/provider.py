"""One practice's GP Connect provider: structured record, "Find a patient", appointments, its entry in the directory."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Any, Final
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

import msgspec

from connectors.gp_connect.directory import APPOINTMENTS, FIND_PATIENT, STRUCTURED_RECORD, stand_in
from connectors.gp_connect.sandbox.asked import read_request
from connectors.gp_connect.sandbox.demands import Refusal, check_headers, check_token
from connectors.gp_connect.sandbox.holdings import NHS_NUMBER, Holdings, Person, Resource
from connectors.gp_connect.sandbox.record import record
from connectors.kit.asgi import Receive, Scope, Send, read, reply
from connectors.kit.faults import Mode, mode_of
from connectors.sdk.nhs_number import is_nhs_number

FHIR: Final = b"application/fhir+json;charset=utf-8"

_LONDON: Final = ZoneInfo("Europe/London")
_ODS: Final = "https://fhir.nhs.uk/Id/ods-organization-code"
_ID: Final = "https://fhir.nhs.uk/Id/"
_BOUND: Final = re.compile(r"(ge|le)([0-9]{4}-[0-9]{2}-[0-9]{2})")
_encode: Final = msgspec.json.Encoder(decimal_format="number").encode


class Provider:
    """ASGI app over what a practice holds, under `base_path`."""

    def __init__(self, held: Holdings, *, base_path: str = "/fhir") -> None:
        self._held = held
        self._base_path = base_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            status, body = 200, await self._answer(scope, receive)
        except Refusal as refusal:
            status, body = refusal.status, problem(refusal)
        await reply(send, status, _encode(body), FHIR)

    async def _answer(self, scope: Scope, receive: Receive) -> Resource:
        steps = scope["path"].removeprefix(self._base_path).strip("/").split("/")
        query = parse_qsl(scope["query_string"].decode("ascii", "replace"))
        mode = mode_of(scope)
        match scope["method"], steps:
            case "GET", ["Endpoint" | "Device" as kind]:
                return self._directory(scope, kind, query)
            case "POST", ["Patient", "$gpc.getstructuredrecord"]:
                self._check(scope, STRUCTURED_RECORD)
                return self._record(await read(receive), mode)
            case "GET", ["Patient"]:
                self._check(scope, FIND_PATIENT)
                return self._patients(query, mode)
            case "GET", ["Patient", patient, "Appointment"]:
                self._check(scope, APPOINTMENTS)
                return self._appointments(patient, query, mode)
        raise Refusal(404, "REFERENCE_NOT_FOUND", "There is nothing at this address.")

    def _check(self, scope: Scope, interaction: str) -> None:
        headers = {name.lower(): value for name, value in scope["headers"]}
        check_headers(self._held.ods, headers, interaction)
        check_token(headers, self._base_path)

    def _record(self, body: bytes, mode: Mode) -> Resource:
        number, areas = read_request(body)
        person = self._person(number, mode)
        if person is None or not person.is_active:
            raise Refusal(404, "PATIENT_NOT_FOUND", "No patient details found.")
        if person.dissent:
            raise Refusal(403, "NO_PATIENT_CONSENT", "The patient has dissented to sharing their record.")
        if mode is Mode.NO_ALLERGIES:
            areas = [area for area in areas if area != "includeAllergies"]
        other = self._held.someone_else(number) if mode is Mode.LYING_QUIETLY else None
        return record(self._held, person, areas, more=other.of("MedicationStatement", "Condition")[:2] if other else ())

    def _person(self, number: str, mode: Mode) -> Person | None:
        return self._held.someone_else(number) if mode is Mode.LYING else self._held.people.get(number)

    def _patients(self, query: list[tuple[str, str]], mode: Mode) -> Resource:
        """No patient isn't an error here, and dissent doesn't count: it is about the record."""
        if [name for name, _ in query] != ["identifier"]:
            raise Refusal(422, "INVALID_PARAMETER", "Search by identifier, and by nothing else.")
        system, _, number = query[0][1].partition("|")
        if system != NHS_NUMBER:
            raise Refusal(400, "INVALID_IDENTIFIER_SYSTEM", "Search by NHS number.")
        if not is_nhs_number(number):
            raise Refusal(400, "INVALID_IDENTIFIER_VALUE", "The NHS number is not valid.")
        person = self._person(number, mode)
        return _searchset([person.patient] if person is not None and person.is_active else [])

    def _appointments(self, patient: str, query: list[tuple[str, str]], mode: Mode) -> Resource:
        number = self._held.by_id(patient)
        if number is None:
            raise Refusal(404, "PATIENT_NOT_FOUND", "No patient has this id.")
        first, last = _dates(query)
        asked = self._held.people[number].of("Appointment")
        if mode is Mode.LYING_QUIETLY and (other := self._held.someone_else(number)):
            asked = [*asked, *other.of("Appointment")]
        return _searchset([one for one in asked if first <= one["start"][:10] <= last])

    def _directory(self, scope: Scope, kind: str, query: list[tuple[str, str]]) -> Resource:
        """The directory holds this practice's endpoint, and a Device for whichever organisation is asked for."""
        organisation = next((value.partition("|")[2] for name, value in query if name == "organization"), "")
        own = organisation == self._held.ods
        if kind == "Endpoint":
            host = next((value.decode() for name, value in scope["headers"] if name == b"host"), "localhost")
            address = f"{scope.get('scheme', 'http')}://{host}{self._base_path}/"
            return _searchset([_endpoint(organisation, address)] if own else [], "Endpoint")
        return _searchset([_device(organisation)] if organisation else [], "Device")


def _dates(query: list[tuple[str, str]]) -> tuple[str, str]:
    """The two bounds. Raises Refusal for anything but one `ge` and one `le`, whole dates, from today on."""
    found = {match[1]: match[2] for name, value in query if name == "start" and (match := _BOUND.fullmatch(value))}
    if len(query) != 2 or set(found) != {"ge", "le"}:
        raise Refusal(422, "INVALID_PARAMETER", "Send start=ge… and start=le…, both as a date, and nothing else.")
    today = datetime.now(_LONDON).date()
    try:
        in_order = today <= date.fromisoformat(found["ge"]) <= date.fromisoformat(found["le"])
    except ValueError as error:
        raise Refusal(422, "INVALID_PARAMETER", "A date does not exist.") from error
    if not in_order:
        raise Refusal(422, "INVALID_PARAMETER", "The dates may not lie in the past, nor the wrong way round.")
    return found["ge"], found["le"]


def _searchset(resources: list[Resource], kind: str = "") -> Resource:
    """Only the directory counts and labels its matches; GP Connect's own searches don't."""
    if not kind:
        return {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": one} for one in resources]}
    entries = [{"fullUrl": f"{kind}/{one['id']}", "resource": one, "search": {"mode": "match"}} for one in resources]
    return {"resourceType": "Bundle", "type": "searchset", "total": len(resources), "entry": entries}


def _endpoint(ods: str, address: str) -> Resource:
    return {
        "resourceType": "Endpoint",
        "id": f"{ods}-ENDPOINT",
        "status": "active",
        "address": address,
        "managingOrganization": {"identifier": {"system": _ODS, "value": ods}},
        "identifier": [{"system": f"{_ID}nhsMhsPartyKey", "value": f"{ods}-822104"}],
    }


def _device(ods: str) -> Resource:
    return {
        "resourceType": "Device",
        "id": f"{ods}-DEVICE",
        "identifier": [
            {"system": f"{_ID}nhsSpineASID", "value": stand_in(ods)},
            {"system": f"{_ID}nhsMhsPartyKey", "value": f"{ods}-822104"},
        ],
        "owner": {"identifier": {"system": _ODS, "value": ods}},
    }


def problem(refusal: Refusal) -> Resource:
    """GP Connect's OperationOutcome; without a code it is the Spine Secure Proxy's."""
    kinds = {403: "forbidden", 404: "not-found", 400: "value"}
    issue: dict[str, Any] = {"severity": "error", "code": kinds.get(refusal.status, "invalid")}
    found: Resource = {"resourceType": "OperationOutcome"}
    if refusal.code:
        found["meta"] = {"profile": ["https://fhir.nhs.uk/STU3/StructureDefinition/GPConnect-OperationOutcome-1"]}
        system = "https://fhir.nhs.uk/STU3/CodeSystem/Spine-ErrorOrWarningCode-1"
        issue["details"] = {"coding": [{"system": system, "code": refusal.code, "display": refusal.code}]}
    return {**found, "issue": [{**issue, "diagnostics": str(refusal)}]}
