"""What an issuer says of a person: Care Identity's claims, read from a verified token.

Source of names and meanings: NHS Care Identity Service 2 (OpenID Connect), `nhsid_useruid`, `nhsid_nrbac_roles` and
`selected_roleid`. Wrong types are refused rather than repaired: a claim is the issuer's word, and half a word is none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from gateway.caller.model import KnownCaller
from gateway.caller.refusals import CallerRefused, not_signed_in
from gateway.caller.themselves import Themselves, read_themselves
from gateway.caller.tokens import VerifiedToken
from gateway.errors import NotSignedIn

_IDENTIFIER: Final = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
"""No `|`: identifiers are joined with it where a permission is bound to a caller."""
_CLIENT: Final = re.compile(r"[!-{}~]{1,256}", re.ASCII)
_ODS: Final = re.compile(r"[A-Z0-9]{2,6}", re.ASCII)
_ROLE_CODE: Final = re.compile(r"(?:S[0-9]{4}:G[0-9]{4}:)?(R[0-9]{4})", re.ASCII)
_SCOPES: Final = re.compile(r"[!#-\[\]-~ ]{0,4096}", re.ASCII)
_LONGEST_NAME: Final = 200
PURPOSES: Final = frozenset({"TREAT", "ETREAT"})
"""Treatment, and treatment in an emergency (v3-ActReason): Connect Care is for direct care alone."""


@dataclass(frozen=True, slots=True)
class RoleProfile:
    """One of a person's roles, in one organisation. `job_role_code` is the R part of Care Identity's S:G:R code."""

    id: str
    organisation: str
    job_role_code: str
    activities: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Person:
    """A person as their issuer describes them, with every role profile they hold. `known` is for the audit."""

    known: KnownCaller
    profiles: tuple[RoleProfile, ...]
    selected: str | None
    scopes: frozenset[str]
    auth_time: int | None
    themselves: Themselves


def read_person(token: VerifiedToken) -> Person:
    """The person of a verified token, by the claims mapping of its issuer.

    Raises CallerRefused where it is a system without a person, or asks for a purpose other than care; NotSignedIn
    where a claim isn't of its type.
    """
    return _MAPPINGS[token.settings.claims](token)


def choose_profile(person: Person) -> RoleProfile:
    """The one role profile that the person acts in. Activities of several are never added together.

    Raises CallerRefused where it isn't plain which one that is.
    """
    if not person.profiles:
        told = "Your sign-in holds no role. Ask your registration authority for one in your organisation."
        raise CallerRefused(told, rule="caller.no-role", known=person.known)
    if person.selected is None:
        if len(person.profiles) > 1:
            told = "You hold several roles. Sign in again and choose one: Connect Care shows what that one allows."
            raise CallerRefused(told, rule="caller.choose-one-role", known=person.known)
        return person.profiles[0]
    chosen = [profile for profile in person.profiles if profile.id == person.selected]
    if len(chosen) != 1:
        told = "The role chosen at sign-in is not one of yours. Sign in again and choose one of your roles."
        raise CallerRefused(told, rule="caller.role-not-held", known=person.known)
    return chosen[0]


def _care_identity(token: VerifiedToken) -> Person:
    claims = token.claims
    known = KnownCaller(
        issuer=token.issuer,
        token_id=token.token_id,
        client_id=_client(claims),
        purpose=_text(claims, "purpose_of_use", default="TREAT"),
        acr=_text(claims, "acr", default=""),
    )
    if _is_bare_system(claims, known.client_id):
        told = "Connect Care answers people, not systems on their own: send the access token of a signed-in person."
        raise CallerRefused(told, rule="caller.not-a-person", known=known)
    known = replace(known, user_id=_matching(claims, "nhsid_useruid", _IDENTIFIER), name=_text(claims, "name"))
    if known.purpose not in PURPOSES:
        told = "Connect Care is for direct care: the purpose of use must be TREAT, or ETREAT in an emergency."
        raise CallerRefused(told, rule="caller.purpose", known=known)
    return Person(
        known=known,
        profiles=_profiles(claims),
        selected=_matching(claims, "selected_roleid", _IDENTIFIER) if "selected_roleid" in claims else None,
        scopes=frozenset(_matching(claims, "scope", _SCOPES, default="").split(" ")) - {""},
        auth_time=_auth_time(claims),
        themselves=read_themselves(claims),
    )


_MAPPINGS: Final[Mapping[str, Callable[[VerifiedToken], Person]]] = {"care-identity": _care_identity}


def _is_bare_system(claims: Mapping[str, Any], client_id: str) -> bool:
    """In a token of the client credentials grant the subject is the client (RFC 9068, section 2.2)."""
    user = claims.get("nhsid_useruid")
    return not user or client_id in (claims["sub"], user) or claims.get("gty") == "client-credentials"


def _client(claims: Mapping[str, Any]) -> str:
    named = {_matching(claims, name, _CLIENT) for name in ("client_id", "azp") if name in claims}
    if len(named) != 1:
        raise _wrong("client_id")
    return named.pop()


def _profiles(claims: Mapping[str, Any]) -> tuple[RoleProfile, ...]:
    roles = claims.get("nhsid_nrbac_roles", [])
    if not isinstance(roles, list):
        raise _wrong("nhsid_nrbac_roles")
    return tuple(_profile(role) for role in roles)


def _profile(role: Any) -> RoleProfile:
    if not isinstance(role, dict):
        raise _wrong("nhsid_nrbac_roles")
    code = _ROLE_CODE.fullmatch(_text(role, "role_code"))
    activities = role.get("activity_codes", [])
    if code is None or not isinstance(activities, list) or not all(isinstance(each, str) for each in activities):
        raise _wrong("nhsid_nrbac_roles")
    return RoleProfile(
        id=_matching(role, "person_roleid", _IDENTIFIER),
        organisation=_matching(role, "org_code", _ODS),
        job_role_code=code[1],
        activities=frozenset(activities),
    )


def _auth_time(claims: Mapping[str, Any]) -> int | None:
    value = claims.get("auth_time")
    if isinstance(value, bool) or not isinstance(value, int | None):
        raise _wrong("auth_time")
    return value


def _text(claims: Mapping[str, Any], name: str, default: str | None = None) -> str:
    value = claims.get(name, default)
    if not isinstance(value, str) or len(value) > _LONGEST_NAME or not value.isprintable():
        raise _wrong(name)
    if default is None and not value.strip():
        raise _wrong(name)
    return value


def _matching(claims: Mapping[str, Any], name: str, pattern: re.Pattern[str], default: str | None = None) -> str:
    value = claims.get(name, default)
    if not isinstance(value, str) or pattern.fullmatch(value) is None:
        raise _wrong(name)
    return value


def _wrong(name: str) -> NotSignedIn:
    return not_signed_in("token.claims", f"the claim {name} is missing or not as Care Identity writes it")
