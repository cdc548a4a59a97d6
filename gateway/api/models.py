"""The bodies of Connect Care's own API. NHS numbers stand in bodies here, never in addresses."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from connectors.sdk.model import Section
from gateway.audit.report.formats import Format
from gateway.choice.model import Basis, Channel, Choice, IdentifiedBy, Scope, StatedBy
from gateway.choice.reasons import ReasonCode
from gateway.desk.model import CaseKind, CaseStatus
from gateway.disclosure.model import LawfulBasis


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


NhsNumber = Annotated[str, Field(min_length=10, max_length=20, examples=["9990000018"])]
Position = Annotated[int, Field(ge=0, le=2**53)]
"""The number of a row or an entry. At most what every JSON reader keeps whole (RFC 8259, section 6):
neither store could look for one of more than 64 bits."""


class SharingChoiceRequest(_Body):
    """Record that a patient opts out of Connect Care, or back in. `proxy`: who spoke for them, where somebody did;
    `identifiedBy`: how it was made sure who was speaking."""

    nhsNumber: NhsNumber  # noqa: N815
    choice: Choice
    statedBy: StatedBy  # noqa: N815
    channel: Channel
    reason: str = Field(default="", max_length=500)
    proxy: str = Field(default="", max_length=200)
    identifiedBy: IdentifiedBy = IdentifiedBy.NOT_SAID  # noqa: N815


class SharingChoiceAnswer(_Body):
    """One recorded choice."""

    id: str
    nhsNumber: str  # noqa: N815
    choice: Choice
    statedBy: StatedBy  # noqa: N815
    channel: Channel
    recordedBy: str  # noqa: N815
    organisation: str
    recordedAt: datetime  # noqa: N815
    reason: str = ""
    proxy: str = ""
    identifiedBy: IdentifiedBy = IdentifiedBy.NOT_SAID  # noqa: N815


class PatientRequest(_Body):
    """A question about one patient."""

    nhsNumber: NhsNumber  # noqa: N815


class PermissionRequest(_Body):
    """The patient's answer at the point of care, or why they could not be asked."""

    nhsNumber: NhsNumber  # noqa: N815
    basis: Basis
    reason: str = Field(default="", max_length=500)
    reasonCode: ReasonCode | None = None  # noqa: N815
    scope: Scope = Scope.STANDARD


class ExtensionRequest(_Body):
    """The patient was asked again; or, in their best interests, why they still can't be."""

    patientAsked: Literal[True, False] = False  # noqa: N815 - and not every word that might mean yes
    reason: str = Field(default="", max_length=500)
    reasonCode: ReasonCode | None = None  # noqa: N815


class WithdrawalRequest(_Body):
    """The patient takes back every permission about them."""

    nhsNumber: NhsNumber  # noqa: N815
    statedBy: StatedBy  # noqa: N815
    channel: Channel


class WithdrawalAnswer(_Body):
    """How many permissions ended; which ones, for those who may read them."""

    ended: int
    permissions: tuple[str, ...] | None = None


class PermissionAnswer(_Body):
    """A permission: time-boxed, and bound to its caller and patient."""

    id: str
    nhsNumber: str  # noqa: N815
    basis: Basis
    scope: Scope
    reason: str
    organisation: str
    grantedAt: datetime  # noqa: N815
    expiresAt: datetime  # noqa: N815
    withdrawnAt: datetime | None = None  # noqa: N815
    reasonCode: ReasonCode | None = None  # noqa: N815
    extends: str | None = None


class RecordRequest(_Body):
    """Ask for a record without an NHS number in an address."""

    nhsNumber: NhsNumber  # noqa: N815
    birthDate: str | None = Field(default=None, pattern=r"^\d{4}-\d{2}-\d{2}$")  # noqa: N815
    sections: tuple[Section, ...] = ()


class DisclosureRequest(_Body):
    """Disclose a record because the law requires it. `policy` names what may go out (policies/disclosures.yaml)."""

    nhsNumber: NhsNumber  # noqa: N815
    birthDate: str = Field(pattern=r"^\d{4}-\d{2}-\d{2}$")  # noqa: N815
    basis: LawfulBasis
    reference: str = Field(max_length=500, examples=["Police and Criminal Evidence Act 1984, section 9"])
    recipient: str = Field(max_length=500, examples=["Metropolitan Police, DC A. Name, Lewisham"])
    policy: str = Field(max_length=64, examples=["record-without-sensitive"])
    reason: str = Field(max_length=2000)


class AuditSearchRequest(_Body):
    """Which rows a privacy officer wants to read; every condition given must hold."""

    nhsNumber: NhsNumber | None = None  # noqa: N815
    userId: str | None = Field(default=None, min_length=1, max_length=100)  # noqa: N815
    organisation: str | None = Field(default=None, min_length=2, max_length=6)
    kinds: tuple[str, ...] = ()
    requestId: str | None = Field(default=None, min_length=1, max_length=100)  # noqa: N815
    after: Position = 0
    before: Position | None = None
    limit: int = Field(default=100, ge=1, le=500)


class DeskSearchRequest(_Body):
    """Which cases a privacy officer wants to see; every condition given must hold."""

    status: tuple[CaseStatus, ...] = ()
    kinds: tuple[CaseKind, ...] = ()
    overdue: bool | None = None
    nhsNumber: NhsNumber | None = None  # noqa: N815
    organisation: str | None = Field(default=None, min_length=2, max_length=6)
    after: Position = 0
    limit: int = Field(default=50, ge=1, le=200)


class CaseNoteRequest(_Body):
    """A note on a case. `seen` is the number of the newest entry that was read: a later one refuses the note."""

    note: str = Field(max_length=2000)
    seen: Position | None = None


class CaseMoveRequest(CaseNoteRequest):
    """What a case becomes, and why."""

    to: CaseStatus


class CaseAnswer(_Body):
    """A case. `nhsNumber` is absent where it is about how much somebody looked. `entries` counts its history."""

    id: str
    kind: CaseKind
    means: str
    status: CaseStatus
    openedAt: datetime  # noqa: N815
    dueAt: datetime  # noqa: N815
    overdue: bool
    nhsNumber: str | None = None  # noqa: N815
    userId: str  # noqa: N815
    name: str
    role: str
    organisation: str
    requestId: str  # noqa: N815
    entries: int


class CasePageAnswer(_Body):
    """Cases, oldest due first. `after` is where the next page begins; null on the last."""

    cases: list[CaseAnswer]
    after: int | None


class CaseEntryAnswer(_Body):
    """One step of a case's history."""

    number: int
    at: datetime
    by: str
    byName: str  # noqa: N815
    status: CaseStatus
    note: str


class CasePermissionAnswer(_Body):
    """On what the caller looked, and the reason that they gave."""

    id: str
    basis: Basis
    scope: Scope
    reason: str
    reasonCode: str  # noqa: N815
    grantedAt: datetime  # noqa: N815
    expiresAt: datetime  # noqa: N815
    withdrawnAt: datetime | None = None  # noqa: N815


class CaseLookAnswer(_Body):
    """A row of the journal that a case is about."""

    row: int
    kind: str
    at: datetime
    requestId: str  # noqa: N815
    relationship: str


class CaseDetailAnswer(CaseAnswer):
    """A case with its history, the permission that was used, and the rows that it is about."""

    history: list[CaseEntryAnswer]
    permission: CasePermissionAnswer | None
    looks: list[CaseLookAnswer]
    moreLooks: bool  # noqa: N815


class AccessReportRequest(_Body):
    """Whose access report, in which form, and of which time: `since` is inclusive, `until` exclusive."""

    nhsNumber: NhsNumber  # noqa: N815
    format: Format = Format.JSON
    since: datetime | None = None
    until: datetime | None = None


REQUESTS: Final = (
    SharingChoiceRequest,
    PatientRequest,
    PermissionRequest,
    ExtensionRequest,
    WithdrawalRequest,
    RecordRequest,
    DisclosureRequest,
    AuditSearchRequest,
    AccessReportRequest,
    DeskSearchRequest,
    CaseMoveRequest,
    CaseNoteRequest,
)
"""The bodies that routes read themselves, for the contract."""
