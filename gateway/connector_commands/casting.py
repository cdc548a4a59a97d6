"""Who plays whom in a replay: the organisation that a payload came from, and the person who would see what is in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from connectors.sdk.manifest import Manifest
from connectors.sdk.organisations import SANDBOX_ADDRESS, Organisation, Organisations, OrganisationType, Stage
from gateway.caller.model import STAFF, Caller, Role
from gateway.caller.roles import load_job_roles
from gateway.choice.model import Basis, Permission, Scope
from gateway.connector_commands.refusals import CannotDo
from gateway.policy.matrix import USUAL_PLACE

ADDRESS: Final = "http://replay.invalid/fhir"
NOBODYS: Final = "ZZZ99"
"""Stands for an organisation that no entry names."""
COMMAND: Final = "connectcare connector replay"
_SECRETS: Final = frozenset({"auth", "tls"})
"""Settings that prove who we are. Nobody is asked here, so no secret is read."""
_LASTS: Final = timedelta(hours=1)


def source(manifest: Manifest, organisations: Organisations, ods: str | None) -> Organisation:
    """The organisation whose payload it is, as if it were live. Raises CannotDo.

    With an ODS code it is its entry: sections, address and settings, without what proves who we are. Without one, a
    stand-in that the connector's manifest describes, with every section of the connector.
    """
    if ods is None:
        return _stand_in(manifest)
    found = organisations.get(ods)
    if found is None or found.connector != manifest.served_by:
        raise CannotDo(
            f"{ods[:20]} has no entry with connector: {manifest.served_by}. Correct --ods, or leave it out for a "
            "stand-in with every section of the connector."
        )
    address = ADDRESS if found.address in (None, SANDBOX_ADDRESS) else found.address
    settings = _without_secrets(found.settings)
    return found.model_copy(update={"stage": Stage.LIVE, "address": address, "settings": settings})


def _stand_in(manifest: Manifest) -> Organisation:
    kit = manifest.kit
    try:
        return Organisation.model_validate(
            {
                "ods": kit.get("ods", NOBODYS),
                "name": "a stand-in",
                "type": kit.get("type", OrganisationType.GP_PRACTICE),
                "stage": Stage.LIVE,
                "connector": manifest.served_by,
                "address": ADDRESS,
                "sections": manifest.sections,
                "settings": _without_secrets(kit.get("settings", {})),
            }
        )
    except ValidationError as error:
        raise CannotDo(f"The manifest of {manifest.name} describes no organisation under kit. Give --ods.") from error


def _without_secrets(settings: Any) -> Any:
    if not isinstance(settings, Mapping):
        return settings
    return {name: _without_secrets(value) for name, value in settings.items() if name not in _SECRETS}


def caller(acting_as: str, at: Organisation, organisations: Organisations, policies: Path) -> Caller:
    """Somebody in a role: `gp`, or `gp@G85004`. Raises CannotDo.

    Without an organisation it is one where the role is usual: the source itself where it is of that kind, else the
    first that takes part.
    """
    name, at_sign, ods = acting_as.partition("@")
    if name not in STAFF:
        raise CannotDo(f"--as must be a role, or ROLE@ODS: {', '.join(STAFF)}.")
    role = Role(name)
    code, type_, named = _named(ods, organisations) if at_sign else _usual(USUAL_PLACE[role], at, organisations)
    table = load_job_roles(policies / "job-roles.yaml")
    held = [job_role for job_role, kind, meant in table if (kind, meant) == (type_, role)]
    return Caller(
        issuer=COMMAND,
        user_id="replay",
        name="Replay",
        role_profile_id="replay",
        job_role_code=held[0] if held else "",
        role=role,
        organisation=code,
        organisation_name=named,
        organisation_type=type_,
        client_id=COMMAND,
    )


_Place = tuple[str, OrganisationType, str]


def _named(ods: str, organisations: Organisations) -> _Place:
    found = organisations.get(ods)
    if found is None:
        raise CannotDo(f"{ods[:20] or 'After @ there'} is no organisation that takes part. Correct --as.")
    return found.ods, found.type, found.name


def _usual(type_: OrganisationType, at: Organisation, organisations: Organisations) -> _Place:
    """Where somebody in the role usually works."""
    if at.type is type_:
        return at.ods, at.type, at.name
    for found in (*organisations.listed(), *_first_of_each_group(organisations)):
        if found.type is type_ and found.takes_part:
            return found.ods, found.type, found.name
    return NOBODYS, type_, "a stand-in"


def _first_of_each_group(organisations: Organisations) -> Iterator[Organisation]:
    for group in organisations.groups():
        first = group.get(next(iter(group), ""))
        if first is not None:
            yield first


def permission(of: Caller) -> Permission:
    """The patient said yes, as patients usually do: without what is sensitive."""
    now = datetime.now(UTC)
    return Permission(
        id="replay",
        patient="",
        sealed_patient="",
        caller=of.key,
        organisation=of.organisation,
        basis=Basis.PATIENT_AGREED,
        scope=Scope.STANDARD,
        reason="",
        granted_at=now,
        expires_at=now + _LASTS,
    )
