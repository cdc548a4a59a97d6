"""One row of the audit journal. It never holds clinical content: sections, counts, sealed ids, rule ids."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec

from gateway.caller.model import Caller, KnownCaller, binding_key

PATIENT: Final = "Patient"
"""The key of `Row.sent` for Patient resources."""


class Kind(StrEnum):
    """What happened."""

    INTENT = "intent"
    RELEASE = "release"
    REFUSAL = "refusal"
    PERSON_SOUGHT = "person-sought"
    PERSON_ANSWERED = "person-answered"
    SHARING_CHOICE = "sharing-choice"
    PERMISSION_GRANTED = "permission-granted"
    PERMISSION_EXTENDED = "permission-extended"
    PERMISSION_WITHDRAWN = "permission-withdrawn"
    PERMISSION_REFUSED = "permission-refused"
    CASE_OPENED = "case-opened"
    CASE_MOVED = "case-moved"
    DISCLOSURE = "disclosure"
    ERASED = "erased"
    AUDIT_READ = "audit-read"
    SOURCE_TRIED = "source-tried"
    CONFIGURED = "configured"


class Who(msgspec.Struct, frozen=True, kw_only=True):
    """The caller with the role profile as at the event."""

    issuer: str
    user_id: str
    name: str
    role_profile_id: str
    job_role_code: str
    role: str
    organisation: str
    organisation_name: str
    organisation_type: str
    client_id: str
    purpose: str
    acr: str
    token_id: str

    @property
    def key(self) -> str:
        """What a permission is bound to: the same words as `Caller.key`."""
        return binding_key(self.issuer, self.user_id, self.role_profile_id, self.organisation)

    @classmethod
    def of(cls, caller: Caller | KnownCaller) -> Who:
        return cls(
            issuer=caller.issuer,
            user_id=caller.user_id,
            name=caller.name,
            role_profile_id=caller.role_profile_id,
            job_role_code=caller.job_role_code,
            role=caller.role,
            organisation=caller.organisation,
            organisation_name=caller.organisation_name,
            organisation_type=caller.organisation_type,
            client_id=caller.client_id,
            purpose=caller.purpose,
            acr=caller.acr,
            token_id=caller.token_id,
        )


class SourceLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one source said, as the manifest has it.

    `stage` is "shadow" where it was asked all the same, in the background, and nothing of its answer is shown.
    """

    outcome: str
    gaps: dict[str, str] = {}
    took_ms: float = 0.0
    detail: str = ""
    stage: str = ""


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a person must look into: a source sent another patient's resources, say."""

    source: str
    kind: str
    count: int


class Lawful(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """On what the law a record was disclosed, and to whom. `policy` names what may go out
    (`policies/disclosures.yaml`). `id` is the disclosure's own, `reason` what the officer wrote, sealed and bound to it
    (`Sealer.seal_text`). `opted_out`: the patient had opted out, which bars no statute and no court order."""

    basis: str
    reference: str
    recipient: str
    policy: str
    id: str = ""
    reason: str = ""
    opted_out: bool = False


class Erased(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which rows were erased, as numbers and runs of them (`3-17,20`), and a digest of what is left of them
    (`gateway.audit.erased`). `bound` is what they vouched for in other tables, whose records stay: number of the row,
    id of the record, digest."""

    rows: str
    digest: str
    bound: list[tuple[int, str, str]] = []


class Configured(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is in force from this row on, in one worker (`process` is its pid): the digest of who takes part, as its
    files say it, and of the policies. `…_before` are those until then; empty where the worker has just started.
    `accepted` are the connections that are asked below silver: where, by whom it was accepted, until when, and why."""

    process: int
    policy: str
    organisations: str
    policy_before: str = ""
    organisations_before: str = ""
    accepted: list[str] = []


class Row(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One event.

    `door` is the route's template and method (never a path with an identifier in it). `seen` counts released items
    by section, `seen_ids` lists them as {sealed prefix: [digest, …]}; `total` is the number of matches that the answer
    told, which is all that a count-only answer tells; `withheld` and `outlined` count by rule id what the policy kept
    back: they exist here and nowhere else. A search for a person is two rows, before the register is asked and before
    it is answered: `subject` is the keyed tag of the question, never a name; the second names the patient who was
    found.

    `sent` has, for each list of `seen_ids` and in its order, the keyed digest of that resource as it was sent
    ("Patient" is the key of the Patient resources, whose id no row holds). `relationship` is the evidence of a care
    relationship, in a word. `reason_code` is the national reason of a look without the patient's word. `cases` are
    those that this event opened or moved. `bound` has the digest of each record that the same transaction wrote into
    another table, by its id: so a choice or a permission that is changed behind the journal's back shows. `lawful` is
    of a disclosure, `erased` of a row that says that others were erased, `configured` of one that says what is in
    force."""

    kind: Kind
    request_id: str
    at: datetime
    door: str
    who: Who | None = None
    patient: str | None = None
    sealed_patient: str | None = None
    sections: list[str] = []
    permission: str | None = None
    basis: str | None = None
    scope: str | None = None
    status: int = 0
    rule: str = ""
    detail: str = ""
    sources: dict[str, SourceLine] = {}
    seen: dict[str, int] = {}
    seen_ids: dict[str, list[str]] = {}
    total: int | None = None
    withheld: dict[str, int] = {}
    outlined: dict[str, int] = {}
    alarms: list[Alarm] = []
    policy_hash: str = ""
    intent: int | None = None
    subject: str = ""
    sent: dict[str, list[str]] = {}
    relationship: str = ""
    reason_code: str = ""
    cases: list[str] = []
    bound: dict[str, str] = {}
    lawful: Lawful | None = None
    erased: Erased | None = None
    configured: Configured | None = None
