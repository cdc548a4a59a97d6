"""Who takes part: `organisations.yaml`, read strictly.

Everything wrong with the file (unknown key, duplicate ODS code, unknown connector, wrong setting) stops start-up with
the file, the line and what to do about it: an organisation that is half configured would be a silent gap in a record.
"""

from __future__ import annotations

from enum import StrEnum


class OrganisationType(StrEnum):
    """What kind of organisation it is; with the job-role code it decides a caller's role."""

    GP_PRACTICE = "gp-practice"
    ACUTE_TRUST = "acute-trust"
    MENTAL_HEALTH_TRUST = "mental-health-trust"
    COMMUNITY_TRUST = "community-trust"
    MENTAL_HEALTH_AND_COMMUNITY_TRUST = "mental-health-and-community-trust"
    COUNCIL = "council"
    COMMISSIONER = "commissioner"


class Stage(StrEnum):
    """How far an organisation has joined. Only `live` and `sandbox` are asked; `sandbox` never in production."""

    PLANNED = "planned"
    SANDBOX = "sandbox"
    LIVE = "live"
    SUSPENDED = "suspended"
