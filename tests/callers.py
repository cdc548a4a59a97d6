"""A register of organisations, for tests of who is asking."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from connectors.sdk.organisations import OrganisationType

JOB_ROLES: Final = Path(__file__).resolve().parents[1] / "policies" / "job-roles.yaml"


@dataclass(frozen=True)
class Org:
    """An entry of the register."""

    name: str
    type: OrganisationType
    takes_part: bool | None = True


REGISTER: Final = {
    "G85005": Org("South Lewisham Group Practice", OrganisationType.GP_PRACTICE),
    "G85004": Org("Jenner Practice", OrganisationType.GP_PRACTICE),
    "RJ2": Org("Lewisham and Greenwich NHS Trust", OrganisationType.ACUTE_TRUST),
    "RPG": Org("Oxleas NHS Foundation Trust", OrganisationType.MENTAL_HEALTH_AND_COMMUNITY_TRUST),
    "709": Org("London Borough of Lewisham", OrganisationType.COUNCIL),
    "08L": Org("NHS Lewisham CCG", OrganisationType.COMMISSIONER),
    "RV5": Org("South London and Maudsley", OrganisationType.MENTAL_HEALTH_TRUST, takes_part=False),
    "703": Org("Royal Borough of Greenwich", OrganisationType.COUNCIL, takes_part=None),
}
