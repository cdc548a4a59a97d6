"""Somebody's role profiles, as their issuer's mapping finds them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.caller.mapping import OfRole
from gateway.caller.pointer import found_at
from gateway.caller.said import IDENTIFIER, matching, text, wrong

_ODS: Final = re.compile(r"[A-Z0-9]{2,6}", re.ASCII)
_ROLE_CODE: Final = re.compile(r"(?:S[0-9]{4}:G[0-9]{4}:)?(R[0-9]{4})", re.ASCII)
_ROLE_NAME: Final = re.compile(r"([A-Z0-9]{2,6})\.(R[0-9]{4})", re.ASCII)
IN_ROLE: Final[Mapping[OfRole, str]] = {
    "role_id": "/person_roleid",
    "organisation": "/org_code",
    "role_code": "/role_code",
    "activities": "/activity_codes",
}
"""As Care Identity writes them in `nhsid_nrbac_roles`."""


@dataclass(frozen=True, slots=True)
class RoleProfile:
    """One of a person's roles, in one organisation. `job_role_code` is the R part of Care Identity's S:G:R code."""

    id: str
    organisation: str
    job_role_code: str
    activities: frozenset[str] = frozenset()


def read_profiles(roles: Any, places: Mapping[OfRole, str], *, names: bool) -> tuple[RoleProfile, ...]:
    """A list of objects, one object, or with `names` a list of texts such as `RJ2.R8000`.

    Names of another form are no role here (a realm has roles for other applications too); an object always is one:
    NotSignedIn is raised where it is malformed.
    """
    if isinstance(roles, dict):
        return (_of_object(roles, places),)
    if not isinstance(roles, list):
        raise wrong("roles")
    if names and all(isinstance(role, str) for role in roles):
        return tuple(_of_name(match) for role in dict.fromkeys(roles) if (match := _ROLE_NAME.fullmatch(role)))
    return tuple(_of_object(role, places) for role in roles)


def _of_name(match: re.Match[str]) -> RoleProfile:
    return RoleProfile(id=match[0], organisation=match[1], job_role_code=match[2])


def _of_object(role: Any, places: Mapping[OfRole, str]) -> RoleProfile:
    if not isinstance(role, dict):
        raise wrong("roles")
    said: dict[str, Any] = {}
    for name, default in IN_ROLE.items():
        try:
            said[name] = found_at(role, places.get(name, default))
        except LookupError:
            continue
    code = _ROLE_CODE.fullmatch(text(said, "role_code"))
    activities = said.get("activities", [])
    if code is None or not isinstance(activities, list) or not all(isinstance(each, str) for each in activities):
        raise wrong("roles")
    return RoleProfile(
        id=matching(said, "role_id", IDENTIFIER),
        organisation=matching(said, "organisation", _ODS),
        job_role_code=code[1],
        activities=frozenset(activities),
    )
