"""What may be asked about the patient's say."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from gateway.audit.row import Row
from gateway.choice.model import Permission, SharingChoice
from gateway.desk.model import Case


class ChoiceStore(Protocol):
    """The standing sharing choices."""

    async def current_choice(self, patient: str) -> SharingChoice | None:
        """The newest sharing choice of the patient, or None where none was ever recorded."""
        ...

    async def choices(self, patient: str) -> list[SharingChoice]:
        """The whole history, oldest first."""
        ...

    async def record_choice(self, choice: SharingChoice, row: Row) -> int:
        """The choice and its row, in one transaction. An opt-out ends, in that very transaction, every permission about
        the patient that still holds, and binds each in the row as it stands after (`Row.bound`): who opts back in is
        asked anew, and no permission from before holds again."""
        ...


class PermissionStore(Protocol):
    """Permissions at the point of care."""

    async def permission_for(self, caller: str, patient: str, moment: datetime) -> Permission | None:
        """The newest permission of this caller for this patient that didn't just run out, if it holds at the moment.

        An older one never stands in for one that was withdrawn, however long ago, or replaced.
        """
        ...

    async def permission(self, permission_id: str) -> Permission | None:
        """By id, ended ones too."""
        ...

    async def permissions_of(self, caller: str) -> list[Permission]:
        """All of a caller's permissions, newest first."""
        ...

    async def permissions_about(self, patient: str) -> list[Permission]:
        """All permissions about a patient, newest first."""
        ...

    async def grant(self, permission: Permission, row: Row, case: Case | None = None) -> int:
        """The permission, its row, and the case that it opens, in one transaction. Raises `OptedOut` (and commits a
        refusal row) where the patient has opted out; for a permission that extends another, `NoPermission` where that
        one doesn't hold any more."""
        ...

    async def withdraw_all(self, patient: str, moment: datetime, row: Row) -> list[str]:
        """End every permission about the patient that still holds, with one row, in one transaction; their ids. The row
        is written where there was none to end, too: it is the patient's word. Each that ended is bound in the row as it
        stands after (`Row.bound`)."""
        ...

    async def withdraw(self, permission_id: str, moment: datetime, row: Row) -> bool:
        """End a permission, with its row, in one transaction; False (and no row) where it had ended already."""
        ...
