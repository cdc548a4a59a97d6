"""Forms that may be sent once, so that a double click does nothing twice."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Final, Protocol

from gateway.errors import BadRequest
from gateway.parts import Parts

FIELD: Final = "once"
_MADE: Final = re.compile(r"[A-Za-z0-9_-]{22}", re.ASCII)
_BYTES: Final = 16


class InSession(Protocol):
    """A session that holds."""

    @property
    def id(self) -> str:
        """Its own."""
        ...

    @property
    def ends_at(self) -> datetime:
        """When it ends whatever happens."""
        ...


def new() -> str:
    """For the hidden field of a form."""
    return secrets.token_urlsafe(_BYTES)


async def is_first(parts: Parts, session: InSession, fields: Mapping[str, str]) -> bool:
    """True for the first who sends this very form in this session, in whichever worker. Raises BadRequest for a form
    without the field."""
    made = fields.get(FIELD, "")
    if not _MADE.fullmatch(made):
        raise BadRequest("This form is not whole. Go back, load the page again, and send it again.", rule="form.once")
    return await parts.store.burn("page form", f"{session.id} {made}", session.ends_at)
