"""One organisation that takes part: its type, its stage, and the system behind it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from connectors.sdk.model import Section

SANDBOX_ADDRESS: Final = "sandbox"
"""The address of an organisation that `connectcare demo` gives its connector's own sandbox."""
ODS_PATTERN: Final = r"[A-Z0-9]{2,6}"
ODS_IN_ADDRESS: Final = "{ods}"
"""Stands in the address of a practice group for the code of the practice that is asked."""


class OrganisationType(StrEnum):
    """What kind of organisation it is; with the job-role code it decides a caller's role.

    A `national-service` is nobody's employer here: the register that says who a patient is and which practice holds
    the GP record (the Personal Demographics Service).
    """

    GP_PRACTICE = "gp-practice"
    ACUTE_TRUST = "acute-trust"
    MENTAL_HEALTH_TRUST = "mental-health-trust"
    COMMUNITY_TRUST = "community-trust"
    MENTAL_HEALTH_AND_COMMUNITY_TRUST = "mental-health-and-community-trust"
    COUNCIL = "council"
    COMMISSIONER = "commissioner"
    NATIONAL_SERVICE = "national-service"


class Stage(StrEnum):
    """How far an organisation has joined.

    `planned`: it stands in the file and nothing more. `shadow`: its staff take part; its system is asked in the
    background and compared, and nothing of it is ever released. `live`: asked and shown. `suspended`: its staff are
    refused, its system is not asked, and what it would have held is told as a gap.
    """

    PLANNED = "planned"
    SHADOW = "shadow"
    LIVE = "live"
    SUSPENDED = "suspended"


class Acceptance(BaseModel):
    """Somebody answers for asking a system behind a connector that has not earned silver there: who (`by`), why, and
    until when, that day included. It covers a connector that passed the conformance kit, and nothing less."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: str = Field(min_length=20, max_length=300)
    by: str = Field(min_length=3, max_length=100)
    until: date


class Entry(BaseModel):
    """What one entry of `organisations.yaml` says, whether it stands for one organisation or for a list of practices.

    `budget` is the seconds its system may take for one record; the record's own deadline cuts it too. `settings` are
    the connector's own, checked by the connector's own model. `accepted_below_silver` lets production ask it although
    its connector has not earned silver there.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: Stage
    joined: date | None = None
    connector: str | None = Field(default=None, pattern=r"^[a-z][a-z0-9_]*$")
    address: str | None = Field(default=None, min_length=1)
    sections: frozenset[Section] = frozenset()
    budget: float = Field(default=2.5, gt=0, le=30)
    settings: Mapping[str, Any] = Field(default_factory=dict)
    accepted_below_silver: Acceptance | None = None

    @property
    def holds_records(self) -> bool:
        """True where there is a system to ask."""
        return self.connector is not None


class Organisation(Entry):
    """One organisation that takes part. Without a connector its staff may call, but it holds nothing to show."""

    ods: str = Field(pattern=rf"^{ODS_PATTERN}$")
    name: str = Field(min_length=1)
    type: OrganisationType

    @property
    def takes_part(self) -> bool:
        """True where its staff may use Connect Care."""
        return self.stage in (Stage.LIVE, Stage.SHADOW)

    @property
    def is_shown(self) -> bool:
        """True where its system is asked and what it holds is shown."""
        return self.stage is Stage.LIVE and self.holds_records

    @property
    def is_shadowed(self) -> bool:
        """True where its system is asked in the background and nothing of it is shown."""
        return self.stage is Stage.SHADOW and self.holds_records
