"""The bodies of Connect Care's own API. NHS numbers stand in bodies here, never in addresses."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from connectors.sdk.model import Section
from gateway.choice.model import Basis, Channel, Choice, Scope, StatedBy


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


NhsNumber = Annotated[str, Field(min_length=10, max_length=20, examples=["9990000018"])]


class SharingChoiceRequest(_Body):
    """Record that a patient opts out of Connect Care, or back in."""

    nhsNumber: NhsNumber  # noqa: N815
    choice: Choice
    statedBy: StatedBy  # noqa: N815
    channel: Channel


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


class PatientRequest(_Body):
    """A question about one patient."""

    nhsNumber: NhsNumber  # noqa: N815


class PermissionRequest(_Body):
    """The patient's answer at the point of care, or why they could not be asked."""

    nhsNumber: NhsNumber  # noqa: N815
    basis: Basis
    reason: str = Field(default="", max_length=500)
    scope: Scope = Scope.STANDARD


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


class RecordRequest(_Body):
    """Ask for a record without an NHS number in an address."""

    nhsNumber: NhsNumber  # noqa: N815
    birthDate: str | None = Field(default=None, pattern=r"^\d{4}-\d{2}-\d{2}$")  # noqa: N815
    sections: tuple[Section, ...] = ()


class AuditSearchRequest(_Body):
    """Which rows a privacy officer wants to read; every condition given must hold."""

    nhsNumber: NhsNumber | None = None  # noqa: N815
    userId: str | None = Field(default=None, min_length=1, max_length=100)  # noqa: N815
    organisation: str | None = Field(default=None, min_length=2, max_length=6)
    kinds: tuple[str, ...] = ()
    requestId: str | None = Field(default=None, min_length=1, max_length=100)  # noqa: N815
    after: int = Field(default=0, ge=0)
    before: int | None = Field(default=None, ge=0)
    limit: int = Field(default=100, ge=1, le=500)


REQUESTS: Final = (SharingChoiceRequest, PatientRequest, PermissionRequest, RecordRequest, AuditSearchRequest)
"""The bodies that routes read themselves, for the contract."""
