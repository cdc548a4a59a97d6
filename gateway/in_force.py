"""What is in force in this process, told to the journal: the hashes before and after a reload, and whatever production
accepted below its own bar, stand where privacy officers read."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

import msgspec

from connectors.sdk.organisations import Organisations
from gateway.audit.journal import Journal
from gateway.audit.row import Configured, Kind, Row
from gateway.caller.roles import JobRoles
from gateway.policy.decide import Policy
from gateway.taking_part import accepted

STARTED: Final = "started with connections below silver"
RELOADED: Final = "policies and organisations were read anew"


@dataclass(frozen=True, slots=True)
class InForce:
    """The policies, the job roles that stand among their files, and who takes part."""

    policy: Policy
    roles: JobRoles
    organisations: Organisations

    def is_as(self, other: InForce) -> bool:
        """True where both were read from the same bytes."""
        return (self.policy.hash, self.organisations.digest) == (other.policy.hash, other.organisations.digest)


def row_of(journal: Journal, now: InForce, subject: str, before: InForce | None = None) -> Row:
    """The row, not yet written. `before` is what was in force until now."""
    row = journal.row(Kind.CONFIGURED, None, str(uuid4()), "(configuration)", subject=subject)
    configured = Configured(
        process=os.getpid(),
        policy=now.policy.hash,
        organisations=now.organisations.digest,
        policy_before=before.policy.hash if before else "",
        organisations_before=before.organisations.digest if before else "",
        accepted=accepted(now.organisations),
    )
    return msgspec.structs.replace(row, configured=configured)


async def tell_start(journal: Journal, now: InForce, *, is_demo: bool) -> None:
    """A row where production asks somebody below silver; a start without that is no event of the audit. Raises
    AuditUnavailable."""
    if not is_demo and accepted(now.organisations):
        await journal.append(row_of(journal, now, STARTED))
