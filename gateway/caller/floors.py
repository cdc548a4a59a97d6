"""How strongly, and how lately, somebody must have signed in, by their purpose of use.

Source: RFC 9470, OAuth 2.0 Step Up Authentication Challenge Protocol; NHS Care Identity's authentication assurance
levels (`AAL2_OR_AAL3_ANY`, `AAL3_ANY`). Levels of that form are ordered, whatever follows the number; any other value
counts only where a floor lists it, or where the issuer's settings say which level it stands for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from gateway.caller.model import KnownCaller
from gateway.caller.refusals import StrongerSignInNeeded

Purpose = Literal["TREAT", "ETREAT"]
Acr = Annotated[str, Field(pattern=r"^[!#-\[\]-~]{1,128}$")]
"""One authentication context class: no space and no quote, since a list of them stands in a header."""

_LEVEL: Final = re.compile(r"AAL([1-3])(?:_[A-Z0-9_]+)?", re.ASCII)
_AHEAD_SECONDS: Final = 30.0
"""How far an issuer's clock may run ahead of ours."""


class Floor(BaseModel):
    """What a sign-in must have been. `acr`: any of these will do, or a higher level; empty: any sign-in.

    `max_age_hours`: how long ago it may have been; None: as long ago as the token's issuer lets it be.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    acr: tuple[Acr, ...] = ()
    max_age_hours: float | None = Field(default=None, gt=0, le=720)

    @property
    def max_age(self) -> int | None:
        """In seconds."""
        return None if self.max_age_hours is None else int(self.max_age_hours * 3600)


Floors = Mapping[Purpose, Floor]
IN_PRODUCTION: Final[Mapping[Purpose, Floor]] = {
    "TREAT": Floor(acr=("AAL2_OR_AAL3_ANY",)),
    "ETREAT": Floor(acr=("AAL3_ANY",), max_age_hours=12),
}
"""What a production gateway asks where its settings don't say: who looks without the patient's word signs in as
strongly as there is, on this shift."""


def require_sign_in(
    floor: Floor, known: KnownCaller, auth_time: int | None, levels: Mapping[str, str], now: float
) -> None:
    """Raises StrongerSignInNeeded where the sign-in behind a token doesn't reach the floor.

    `levels` are the issuer's own words for the levels; `now` is seconds since 1970.
    """
    if _is_strong(known.acr, floor, levels) and _is_late(auth_time, floor, now):
        return
    raise StrongerSignInNeeded(known, acr_values=asked_of(floor, levels), max_age=floor.max_age)


def asked_of(floor: Floor, levels: Mapping[str, str]) -> tuple[str, ...]:
    """The `acr_values` to ask an issuer for, in its own words where it has some."""
    own = tuple(acr for acr in levels if _is_strong(acr, floor, levels))
    return own or floor.acr


def _is_strong(acr: str, floor: Floor, levels: Mapping[str, str]) -> bool:
    if not floor.acr:
        return True
    meant = levels.get(acr, acr)
    if acr in floor.acr or meant in floor.acr:
        return True
    level, least = _level(meant), [found for each in floor.acr if (found := _level(each))]
    return bool(least) and level >= min(least)


def _level(acr: str) -> int:
    """1 to 3; 0 for a word of another vocabulary."""
    match = _LEVEL.fullmatch(acr)
    return int(match[1]) if match else 0


def _is_late(auth_time: int | None, floor: Floor, now: float) -> bool:
    if floor.max_age is None:
        return True
    return auth_time is not None and -_AHEAD_SECONDS <= now - auth_time <= floor.max_age
