"""What it was about: the patient, the question, the resource, the consent, the request, and the row itself."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Final

from connectors.sdk.model import NHS_NUMBER_SYSTEM
from gateway.audit.events import codes
from gateway.audit.events.agents import token_urn
from gateway.audit.events.codes import Json
from gateway.audit.row import Configured, Kind, Row

_READ_ONE: Final = "/{resource_id}"


def patient(nhs_number: str) -> Json:
    """The patient, named by NHS number in an identifier, never in an address."""
    return {
        "what": {"type": "Patient", "identifier": {"system": NHS_NUMBER_SYSTEM, "value": nhs_number}},
        "type": codes.PERSON,
        "role": codes.AS_PATIENT,
    }


def query(row: Row) -> Json:
    """The question: the route's template and the sections, all that the journal keeps of it."""
    asked = f"{row.door} sections={','.join(row.sections)}" if row.sections else row.door
    return {
        "type": codes.SYSTEM_OBJECT,
        "role": codes.AS_QUERY,
        "description": asked,
        "query": base64.b64encode(asked.encode()).decode(),
    }


def resource(row: Row, fhir_base: str, nhs_number: str | None) -> Json:
    """The one resource that was read. A Patient's id is the NHS number, so it is named as the patient is."""
    type_ = type_read(row.door) or "Resource"
    sealed = [f"{prefix}.{digest}" for prefix, digests in row.seen_ids.items() for digest in digests]
    what: Json
    if type_ == "Patient" and nhs_number is not None:
        what = patient(nhs_number)["what"]
    elif len(sealed) == 1:
        identifier = {"system": codes.SEALED_ID, "value": sealed[0]}
        what = {"type": type_, "reference": f"{fhir_base}/{type_}/{sealed[0]}", "identifier": identifier}
    else:
        what = {"type": type_, "display": f"{len(sealed)} resources" if sealed else "not shown"}
    return {"what": what, "type": codes.SYSTEM_OBJECT, "role": codes.AS_RESOURCE}


def disclosed(row: Row) -> Json:
    """What left, as a whole: counts by section."""
    counts = ", ".join(f"{section} {count}" for section, count in sorted(row.seen.items()))
    what = {"display": f"Parts of the record: {counts}" if counts else "That nothing was found"}
    return {"what": what, "type": codes.SYSTEM_OBJECT, "role": codes.AS_REPORT}


def consent(row: Row, origin: str, seq: int) -> Json:
    """The patient's say on which it was decided, with the details that have no other place in such an event: BALP
    closes the list of its entities."""
    place = {"type": "journal row", "valueString": f"{origin}/{seq}"}
    return {"what": _consent(row), "type": codes.CONSENT, "detail": [place, *details(row)]}


def token(token_id: str) -> Json:
    """The token that was decided on."""
    return {"what": {"identifier": {"value": token_urn(token_id)}}, "type": codes.OAUTH_USER}


def request(request_id: str) -> Json:
    """`X-Request-Id`."""
    return {"what": {"identifier": {"value": request_id}}, "type": codes.REQUEST_ID}


def journal_row(row: Row, origin: str, seq: int) -> Json:
    """The row that the event was made of."""
    identifier = {"system": codes.ROW, "value": f"{origin}/{seq}"}
    return {"what": {"identifier": identifier}, "type": codes.JOURNAL_ROW, "detail": details(row)}


def details(row: Row) -> list[Json]:
    """The row in words and counts, without what the policy kept back: that stays in the journal."""
    return [{"type": name, "valueString": value} for name, value in _said(row) if value]


def type_read(door: str) -> str | None:
    """`Observation` of `GET /fhir/R4/Observation/{resource_id}`; None for a door that reads no single resource."""
    before, found, after = door.rpartition(_READ_ONE)
    name = before.rpartition("/")[2]
    return name if found and not after and name.isalpha() else None


def is_read(row: Row) -> bool:
    """True for a look at one resource by its id."""
    return row.door.startswith("GET ") and type_read(row.door) is not None


def _consent(row: Row) -> Json:
    if row.permission:
        return {"type": "Consent", "identifier": {"system": codes.PERMISSION, "value": row.permission}}
    if row.kind is Kind.SHARING_CHOICE and row.subject:
        return {"type": "Consent", "identifier": {"system": codes.SHARING_CHOICE, "value": row.subject}}
    return {"type": "Consent", "display": f"The patient's say: {row.rule or row.kind.value}"}


def _said(row: Row) -> Iterator[tuple[str, str]]:
    yield "X-Request-Id", row.request_id
    yield "door", row.door
    yield "sections", " ".join(row.sections)
    yield from ((f"seen {section}", str(count)) for section, count in sorted(row.seen.items()))
    yield "total", "" if row.total is None else str(row.total)
    yield from ((f"source {ods}", line.outcome) for ods, line in sorted(row.sources.items()))
    yield "permission", row.permission or ""
    yield "basis", row.basis or ""
    yield "scope", row.scope or ""
    yield "reason", row.reason_code
    yield "relationship", row.relationship
    yield "status", str(row.status) if row.status else ""
    yield "rule", row.rule
    yield "cases", " ".join(row.cases)
    yield "opted out", "yes" if row.lawful and row.lawful.opted_out else ""
    yield "erased rows", row.erased.rows if row.erased else ""
    yield "legal reference", row.lawful.reference if row.lawful else ""
    yield "disclosure policy", row.lawful.policy if row.lawful else ""
    yield from _configured(row.configured) if row.configured else ()
    yield "policy hash", row.policy_hash


def _configured(configured: Configured) -> Iterator[tuple[str, str]]:
    yield "policy hash before", configured.policy_before
    yield "organisations hash", configured.organisations
    yield "organisations hash before", configured.organisations_before
    yield "accepted below silver", "; ".join(configured.accepted)
