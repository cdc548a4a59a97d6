"""What an issuer says of a person, read from a verified token by the mapping in the issuer's settings.

`presets.py` knows what each kind of issuer calls things, the settings may say otherwise for any of them, and here each
is read strictly.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from connectors.sdk.nhs_number import parse_nhs_number
from gateway.caller.mapping import ClaimsSettings, Preset
from gateway.caller.model import KnownCaller
from gateway.caller.pointer import found_at
from gateway.caller.presets import USERINFO_SAYS, Said, said_by
from gateway.caller.refusals import CallerRefused
from gateway.caller.role_profiles import RoleProfile, read_profiles
from gateway.caller.said import IDENTIFIER, matching, text, whole_number
from gateway.caller.themselves import Themselves, read_themselves
from gateway.caller.tokens import VerifiedToken

__all__ = ["Person", "RoleProfile", "choose_profile", "lacks_person", "read_person"]

_CLIENT: Final = re.compile(r"[!-{}~]{1,256}", re.ASCII)
_SCOPES: Final = re.compile(r"[!#-\[\]-~ ]{0,4096}", re.ASCII)
_SERVICE_ACCOUNT: Final = "service-account-"
"""How Keycloak names the user of a client credentials grant."""
PURPOSES: Final = frozenset({"TREAT", "ETREAT"})
"""Treatment, and treatment in an emergency (v3-ActReason): Connect Care is for direct care alone."""


@dataclass(frozen=True, slots=True)
class Person:
    """A person as their issuer describes them, with every role profile they hold. `known` is for the audit.

    `patient` is the patient in context as the token has it: an NHS number or a sealed id, "" where it names none.
    """

    known: KnownCaller
    profiles: tuple[RoleProfile, ...]
    selected: str | None
    scopes: frozenset[str]
    auth_time: int | None
    themselves: Themselves
    patient: str = ""


def lacks_person(token: VerifiedToken) -> bool:
    """Whether the userinfo endpoint is to be asked: the token leaves out who it is, or in which role."""
    said = _said(token, token.claims)
    return token.settings.claims.preset.asks_userinfo and not said.keys() >= USERINFO_SAYS


def read_person(token: VerifiedToken) -> Person:
    """The person of a verified token, by the claims mapping of its issuer. Its userinfo fills in what it leaves out of
    who they are and which roles they hold.

    Raises CallerRefused where it is a system without a person, or asks for a purpose other than care; NotSignedIn
    where a claim isn't of its type.
    """
    said = _said(token, token.claims)
    more = {**(token.userinfo or {}), **token.claims}
    if token.userinfo:
        said |= {name: value for name, value in _said(token, more).items() if name in USERINFO_SAYS}
    known = KnownCaller(
        issuer=token.issuer,
        token_id=token.token_id,
        client_id=matching(said, "client_id", _CLIENT),
        purpose=text(said, "purpose", default="TREAT"),
        acr=text(said, "acr", default=""),
    )
    if _is_bare_system(token.claims, said, known.client_id):
        told = "Connect Care answers people, not systems on their own: send the access token of a signed-in person."
        raise CallerRefused(told, rule="caller.not-a-person", known=known)
    known = replace(known, user_id=matching(said, "user_id", IDENTIFIER), name=text(said, "name"))
    if known.purpose not in PURPOSES:
        told = "Connect Care is for direct care: the purpose of use must be TREAT, or ETREAT in an emergency."
        raise CallerRefused(told, rule="caller.purpose", known=known)
    return Person(
        known=known,
        profiles=_profiles(said, token.settings.claims),
        selected=matching(said, "selected_role", IDENTIFIER) if "selected_role" in said else None,
        scopes=frozenset(matching(said, "scope", _SCOPES, default="").split(" ")) - {""},
        auth_time=whole_number(said, "auth_time"),
        themselves=read_themselves(more),
        patient=text(said, "patient", default=""),
    )


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


def nhs_number_said(patient: str) -> str | None:
    """The patient in context where a token names them by NHS number; None for anything else."""
    try:
        return parse_nhs_number(patient)
    except ValueError:
        return None


def _said(token: VerifiedToken, claims: Mapping[str, Any]) -> Said:
    """By the issuer's preset, and where its settings give places, by those."""
    settings = token.settings.claims
    said = said_by(settings.preset, claims, token.settings.audience)
    for name, place in settings.at.items():
        said.pop(name, None)
        try:
            said[name] = found_at(claims, place)
        except LookupError:
            continue
    return said


def _profiles(said: Said, settings: ClaimsSettings) -> tuple[RoleProfile, ...]:
    names = settings.preset is Preset.KEYCLOAK
    return read_profiles(said.get("roles", []), settings.in_role, names=names)


def _is_bare_system(claims: Mapping[str, Any], said: Said, client_id: str) -> bool:
    """In a token of the client credentials grant the subject is the client (RFC 9068, section 2.2)."""
    user, account = said.get("user_id"), claims.get("preferred_username")
    if isinstance(account, str) and account.startswith(_SERVICE_ACCOUNT):
        return True
    return not user or client_id in (claims.get("sub"), user) or claims.get("gty") == "client-credentials"
