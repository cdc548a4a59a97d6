"""One-time marks and revocations in memory, for tests of what stands in front of the store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from gateway.caller.admission import Guards
from gateway.caller.certificate import Proxies
from gateway.caller.dpop import Proofs
from gateway.caller.revocation import Revocations
from gateway.caller.sender import Senders
from gateway.store.parts.marks import Mark, Revoked


@dataclass
class Marks:
    """`MarkStore`. Forgets nothing; `burnt` and `revoked` are there to be looked at."""

    burnt: dict[tuple[str, str], datetime] = field(default_factory=dict)
    revoked: dict[tuple[str, str], Revoked] = field(default_factory=dict)

    async def burn(self, kind: str, value: str, expires: datetime) -> bool:
        return self.burnt.setdefault((kind, value), expires) is expires

    async def revoke(self, once: Mark, revoked: Sequence[Revoked]) -> bool:
        if not await self.burn(once.kind, once.value, once.expires):
            return False
        self.revoked |= {(each.kind, each.value): each for each in revoked}
        return True

    async def revoked_until(self, names: Sequence[tuple[str, str]]) -> datetime | None:
        return max((self.revoked[name].issued_until for name in names if name in self.revoked), default=None)


def no_guards(marks: Marks | None = None) -> Guards:
    """Bearer tokens pass, and nothing was revoked."""
    marks = marks or Marks()
    return Guards(Senders(Proofs(marks), Proxies(()), required=False), Revocations(marks))
