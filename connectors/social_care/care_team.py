"""A case (EpisodeOfCare: who is allocated, in which team, since when) as a CareTeam. A closed case is a closed team."""

from __future__ import annotations

from typing import Final

import msgspec

from connectors.sdk import shape
from connectors.sdk.bundle import Entry
from connectors.sdk.model import Resource
from connectors.sdk.number import as_it_is
from connectors.social_care.codes import Codes
from connectors.social_care.kept import HeldBack, Mapped, Tree, keep, leads_to, tree, with_labels
from connectors.social_care.supporting import Teams
from connectors.social_care.times import check_period

CASE: Final[Tree] = tree(
    *("status", "type:concept", "patient:reference", "period:period"),
    *("careManager:reference", "managingOrganization:reference"),
)
_STATUS: Final = {
    "planned": "proposed",
    "waitlist": "proposed",
    "active": "active",
    "onhold": "suspended",
    "finished": "inactive",
    "cancelled": "inactive",
    "entered-in-error": "entered-in-error",
}
"""R4 EpisodeOfCare.status to CareTeam.status. What isn't one of these has no CareTeam.status: R4 doesn't demand one."""


def care_team(entry: Entry, teams: Teams, codes: Codes) -> Mapped:
    """The CareTeam of one case, under the case's own id. Raises HeldBack."""
    _check_shape(entry.resource)
    mapped = keep(entry, CASE)
    case = mapped.resource
    check_period(case.get("period"))
    status = _STATUS.get(case.get("status", ""))
    if status is None:
        mapped.left_out["a status that R4 doesn't know"] += 1
    team = _of_type(mapped, "managingOrganization", "Organization")
    labels = [*codes.labels(case.get("type", ())), *teams.labels(team)]
    made = {
        "resourceType": "CareTeam",
        "id": case["id"],
        "meta": with_labels(case["meta"], labels),
        "status": status,
        "category": [codes.worded(concept) for concept in case.get("type", ())],
        "name": teams.name(team),
        "subject": case.get("patient"),
        "period": case.get("period"),
        "participant": _participants(mapped, team, status),
        "managingOrganization": [team] if team else [],
    }
    mapped.resource = {name: value for name, value in made.items() if value}
    return mapped


def _participants(mapped: Mapped, team: Resource | None, status: str | None) -> list[Resource]:
    """The allocated worker and team. Each is a reference object of its own: one is rewritten without the other."""
    when = " when the case was closed" if status == "inactive" else ""
    worker = _of_type(mapped, "careManager", "Practitioner")
    members = [("Allocated worker", worker), ("Allocated team", team)]
    return [{"role": [{"text": role + when}], "member": dict(member)} for role, member in members if member]


def _of_type(mapped: Mapped, element: str, kind: str) -> Resource | None:
    """The reference, where it leads to what the contract says; a relative must not pass for a worker."""
    reference: Resource | None = mapped.resource.get(element)
    if reference is None or leads_to(reference, kind):
        return reference
    mapped.left_out[f"{element} that leads to no {kind}"] += 1
    return None


def _check_shape(case: Resource) -> None:
    """R4's shape, which the bundle's reader checks for types with a section alone. Raises HeldBack."""
    try:
        msgspec.convert(case, shape.type_for("EpisodeOfCare"), dec_hook=as_it_is)
    except msgspec.ValidationError as error:
        raise HeldBack("its shape isn't R4's") from error
