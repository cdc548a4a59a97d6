"""Rows of every kind, for whoever renders, copies or reads them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from gateway.audit.row import Alarm, Configured, Kind, Lawful, Row, SourceLine, Who
from gateway.sealed import Sealer

NOON: Final = datetime(2026, 3, 2, 12, 0, 0, 123456, tzinfo=UTC)
PATIENT: Final = "9990000018"
SEALER: Final = Sealer(bytes(32))
PREFIX: Final = SEALER.prefix(PATIENT, "RJ2")
DIGEST: Final = SEALER.digest("Observation", "1")
EVERYTHING: Final = "GET /fhir/R4/Patient/{patient}/$everything"
PERMISSION_ID: Final = "5f0c3a3e-6a53-4c8f-9a57-0f2f5e0f7f11"
GP: Final = Who(
    issuer="https://issuer.example",
    user_id="555021935107",
    name="Asha Rahman",
    role_profile_id="555254242106",
    job_role_code="R0260",
    role="gp",
    organisation="G85005",
    organisation_name="South Lewisham Group Practice",
    organisation_type="gp-practice",
    client_id="viewer",
    purpose="TREAT",
    acr="AAL3",
    token_id="9f3b 1|x",
)
HALF_KNOWN: Final = msgspec.structs.replace(GP, user_id="", name="", role="", job_role_code="", organisation="", acr="")
LAWFUL: Final = Lawful(basis="court-order", reference="KB-2026-001", recipient="Coroner", policy="court-order")


def a_row(kind: Kind = Kind.RELEASE, **changed: Any) -> Row:
    """A row about one patient."""
    given: dict[str, Any] = {
        "kind": kind,
        "request_id": "req-1",
        "at": NOON,
        "door": EVERYTHING,
        "who": GP,
        "patient": SEALER.patient_tag(PATIENT),
        "sealed_patient": SEALER.seal_patient(PATIENT),
        "sections": ["medicines", "results"],
        "policy_hash": "ab12",
        **changed,
    }
    return Row(**given)


def released(**changed: Any) -> Row:
    """A release that shows something."""
    given: dict[str, Any] = {
        "permission": PERMISSION_ID,
        "basis": "patient-agreed",
        "scope": "standard",
        "status": 200,
        "sources": {"RJ2": SourceLine(outcome="answered"), "G85005": SourceLine(outcome="timed-out")},
        "seen": {"medicines": 2, "results": 1},
        "seen_ids": {PREFIX: [DIGEST, SEALER.digest("Observation", "2")]},
        "total": 3,
        "withheld": {"label.sensitive": 4},
        "outlined": {"label.mental-health": 1},
        "alarms": [Alarm(source="RJ2", kind="wrong-patient", count=1)],
        "relationship": "registered",
        **changed,
    }
    return a_row(Kind.RELEASE, **given)


def refused(status: int, rule: str, **changed: Any) -> Row:
    """A refusal."""
    return a_row(Kind.REFUSAL, status=status, rule=rule, detail="policy refused", **changed)


CONFIGURED: Final = Configured(
    process=7, policy="b" * 64, organisations="d" * 64, policy_before="a" * 64, organisations_before="c" * 64
)
NOBODY: Final[dict[str, Any]] = {"patient": None, "sealed_patient": None}
READ: Final = "GET /fhir/R4/Observation/{resource_id}"

EVERY: Final[dict[str, Row]] = {
    "intent": a_row(Kind.INTENT),
    "everything": released(),
    "search": released(door="POST /fhir/R4/Observation/_search"),
    "own door": released(door="POST /records"),
    "read": released(door=READ, seen_ids={PREFIX: [DIGEST]}, total=None),
    "read of two": released(door=READ, total=None),
    "read patient": released(door="GET /fhir/R4/Patient/{resource_id}", seen_ids={}),
    "best interests": released(basis="best-interests", reason_code="unconscious", cases=["c-1"]),
    "best interests read": released(basis="best-interests", door=READ, seen={}),
    "best interests without purpose": released(
        basis="best-interests", who=msgspec.structs.replace(GP, purpose="", token_id="")
    ),
    "disclosure": a_row(Kind.DISCLOSURE, door="POST /disclosures", status=200, lawful=LAWFUL, seen={"results": 1}),
    "disclosure of nobody": a_row(Kind.DISCLOSURE, door="POST /disclosures", lawful=LAWFUL, **NOBODY),
    "opted out": refused(403, "choice.opted-out"),
    "no permission": refused(403, "permission.none"),
    "permission ended": refused(403, "permission.ended", permission=PERMISSION_ID),
    "consent of somebody half known": refused(403, "permission.none", who=HALF_KNOWN),
    "by role": refused(403, "door.open-record"),
    "token": refused(401, "token.expired", who=HALF_KNOWN, **NOBODY),
    "nobody knows who": refused(401, "token.expired", who=None, **NOBODY),
    "bad request": refused(400, "search.unknown-parameter", **NOBODY),
    "not found": refused(404, "read.unknown", door=READ),
    "fault": refused(500, "fault"),
    "silent": refused(503, ""),
    "sought": a_row(Kind.PERSON_SOUGHT, subject="question abc", **NOBODY),
    "found": a_row(Kind.PERSON_ANSWERED, door="GET /fhir/R4/Patient", status=200, total=1),
    "found nobody": a_row(Kind.PERSON_ANSWERED, door="GET /fhir/R4/Patient", status=200, total=0, **NOBODY),
    "opts out": a_row(Kind.SHARING_CHOICE, detail="opted-out, stated by patient, by phone", subject="choice-1"),
    "opts in": a_row(Kind.SHARING_CHOICE, detail="opted-in, stated by patient, by phone", subject="choice-2"),
    "granted": a_row(Kind.PERMISSION_GRANTED, permission=PERMISSION_ID, basis="patient-agreed", scope="standard"),
    "extended": a_row(Kind.PERMISSION_EXTENDED, permission=PERMISSION_ID),
    "withdrawn": a_row(Kind.PERMISSION_WITHDRAWN, permission=PERMISSION_ID),
    "the patient said no": a_row(Kind.PERMISSION_REFUSED),
    "withdrawn by the patient": a_row(Kind.PERMISSION_WITHDRAWN),
    "granted by the command line": a_row(Kind.SHARING_CHOICE, who=HALF_KNOWN, detail="opted-in"),
    "case": a_row(Kind.CASE_OPENED, cases=["c-1"]),
    "case moved": a_row(Kind.CASE_MOVED, cases=["c-1"]),
    "erased": a_row(Kind.ERASED, who=None, **NOBODY),
    "audit read": a_row(Kind.AUDIT_READ, door="POST /audit/_search", subject="user=1"),
    "tried": a_row(Kind.SOURCE_TRIED, door="connector try", status=200, detail="what was typed"),
    "configured": a_row(Kind.CONFIGURED, who=None, configured=CONFIGURED, **NOBODY),
    "no request id": released(request_id="", sections=[]),
}
"""A row of every kind, and of every turn that its event may take."""
