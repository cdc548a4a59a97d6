"""On what a look stands: the patient's permission, or the law. Steps 3 and 4 of the record, in either way."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from gateway.audit.row import Lawful
from gateway.caller.model import Caller
from gateway.choice.may import DISCLOSE, OPEN_RECORD
from gateway.choice.model import Permission
from gateway.choice.refusals import opted_out_of_public_interest
from gateway.disclosure.model import PURPOSE, Disclosure
from gateway.errors import OptedOut

if TYPE_CHECKING:
    from gateway.choice.permission import Permissions
    from gateway.choice.sharing import SharingChoices

Authority = Permission | Disclosure


class Way(Protocol):
    """How a look comes by its authority. `action` is the door; `is_care`: the look is for the patient's care."""

    @property
    def action(self) -> str: ...

    @property
    def is_care(self) -> bool: ...

    def asking(self, caller: Caller) -> Caller:
        """The caller, with the purpose for which they ask on this way."""
        ...

    async def choice(self, nhs_number: str) -> bool:
        """Whether the patient has opted out. Raises OptedOut where that bars the look."""
        ...

    async def authority(self, caller: Caller, nhs_number: str, *, opted_out: bool) -> Authority:
        """What the look stands on. Raises NoPermission."""
        ...


@dataclass(frozen=True, slots=True)
class ByPermission:
    """The patient's permission, or their best interests."""

    sharing: SharingChoices
    permissions: Permissions
    action: str = OPEN_RECORD
    is_care: bool = True

    def asking(self, caller: Caller) -> Caller:
        """See Way."""
        return caller

    async def choice(self, nhs_number: str) -> bool:
        """See Way. An opt-out always bars."""
        await self.sharing.require_opted_in(nhs_number)
        return False

    async def authority(self, caller: Caller, nhs_number: str, *, opted_out: bool) -> Permission:
        """See Way."""
        return await self.permissions.require(caller, nhs_number)


@dataclass(frozen=True, slots=True)
class ByLaw:
    """A statute, a court's order or the public interest, as a privacy officer claims it."""

    sharing: SharingChoices
    claim: Disclosure
    action: str = DISCLOSE
    is_care: bool = False

    def asking(self, caller: Caller) -> Caller:
        """See Way. Sources are told that it isn't for care, and may refuse."""
        return replace(caller, purpose=PURPOSE)

    async def choice(self, nhs_number: str) -> bool:
        """See Way. An opt-out bars what is in the public interest, and nothing that a statute or a court requires."""
        try:
            await self.sharing.require_opted_in(nhs_number)
        except OptedOut as error:
            if not self.claim.basis.overrides_opt_out:
                raise opted_out_of_public_interest() from error
            return True
        return False

    async def authority(self, caller: Caller, nhs_number: str, *, opted_out: bool) -> Disclosure:
        """See Way."""
        return replace(self.claim, opted_out=opted_out)


def permission_of(authority: Authority) -> Permission | None:
    """The permission, where the look stands on one."""
    return authority if isinstance(authority, Permission) else None


def lawful_of(authority: Authority) -> Lawful | None:
    """The law, where the look stands on that, as the journal has it."""
    return authority.lawful if isinstance(authority, Disclosure) else None
