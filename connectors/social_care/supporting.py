"""Workers, teams and places: what explains a case or a contact. Of a worker the name, the job and the desk's number."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from connectors.sdk.bundle import Entry
from connectors.sdk.model import Resource
from connectors.social_care.codes import Codes
from connectors.social_care.kept import Mapped, Tree, keep, led_to, meta, tells_a_way_in, tree, with_labels

_TELECOM: Final = ("telecom.system", "telecom.value", "telecom.use")

WORKER: Final[Tree] = tree(
    "active",
    *(f"name.{part}" for part in ("use", "text", "family", "given", "prefix", "suffix")),
    *_TELECOM,
    "qualification.code:concept",
)
TEAM: Final[Tree] = tree(
    *("identifier.system", "identifier.value", "active", "type:concept", "name", "partOf:reference"), *_TELECOM
)
PLACE: Final[Tree] = tree("status", "name", "mode", "type:concept", "managingOrganization:reference", *_TELECOM)
"""An office, a day centre: never an address, which could be a person's home or a refuge."""


def worker(entry: Entry, codes: Codes) -> Mapped:
    """The Practitioner. Raises HeldBack. A number that isn't said to be for work may be the worker's own."""
    mapped = keep(entry, WORKER)
    came = mapped.resource.get("telecom", [])
    mapped.leave_out("telecom", [one for one in came if one.get("use") == "work"], came)
    for qualification in mapped.resource.get("qualification", []):
        qualification["code"] = codes.worded(qualification["code"])
    return mapped


def team(entry: Entry, codes: Codes) -> Mapped:
    """The Organization: a team, or the council itself. Raises HeldBack."""
    mapped = keep(entry, TEAM)
    resource = mapped.resource
    resource["meta"] = with_labels(resource["meta"], codes.labels(resource.get("type", ())))
    if "type" in resource:
        resource["type"] = [codes.worded(concept) for concept in resource["type"]]
    return mapped


def place(entry: Entry, codes: Codes) -> Mapped:
    """The Location. Raises HeldBack."""
    mapped = keep(entry, PLACE)
    if tells_a_way_in(mapped.resource.get("name")):
        del mapped.resource["name"]
        mapped.left_out["a name that tells a way in"] += 1
    if "type" in mapped.resource:
        mapped.resource["type"] = [codes.worded(concept) for concept in mapped.resource["type"]]
    return mapped


SUPPORTING: Final[Mapping[str, Callable[[Entry, Codes], Mapped]]] = {
    "Practitioner": worker,
    "Organization": team,
    "Location": place,
}


class Teams:
    """The teams of one answer, by reference: what a case or contact must know of its team."""

    def __init__(self, entries: Iterable[Entry], codes: Codes) -> None:
        self._teams = {
            str(entry.resource["id"]): entry for entry in entries if entry.resource["resourceType"] == "Organization"
        }
        self._codes = codes

    def name(self, reference: Resource | None) -> str | None:
        """The team's name, by its own resource or else by the reference."""
        if reference is None:
            return None
        found = self._found(reference)
        return (found.resource.get("name") if found else None) or reference.get("display")

    def labels(self, reference: Resource | None) -> list[Resource]:
        """What the team's kind tells of whoever it works with; its own labels too."""
        found = self._found(reference)
        if found is None:
            return []
        labels = with_labels(meta(found), self._codes.labels(found.resource.get("type", ())))
        return list(labels.get("security", []))

    def _found(self, reference: Resource | None) -> Entry | None:
        """The team, however it is referred to: a whole URL or a version of it must not cost it its labels."""
        kind, team_id = led_to(reference)
        return self._teams.get(team_id) if kind == "Organization" else None
