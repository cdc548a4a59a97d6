"""A visit or assessment (the council's Encounter) as an Encounter, or, where it is yet to come, as an Appointment."""

from __future__ import annotations

from typing import Any, Final

from connectors.sdk.bundle import Entry
from connectors.sdk.model import Resource
from connectors.social_care.codes import Codes
from connectors.social_care.kept import Mapped, Tree, keep, leads_to, tree, with_labels
from connectors.social_care.supporting import Teams
from connectors.social_care.times import check_period, is_moment

CONTACT: Final[Tree] = tree(
    *(
        "status",
        "class:coding",
        "class.extension.url",
        "class.extension.valueCode",
        "type:concept",
        "reasonCode.coding.system",
        "reasonCode.coding.code",
    ),
    *("reasonCode.coding.display", "subject:reference", "participant.individual:reference", "period:period"),
    *("location.location:reference", "serviceProvider:reference"),
)
"""Of a reason only what was chosen from a list: its `text` is where people write what others must not read."""

_STATUSES: Final = frozenset(
    {"planned", "arrived", "triaged", "in-progress", "onleave", "finished", "cancelled", "entered-in-error", "unknown"}
)
_DATA_ABSENT: Final = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"


def contact(entry: Entry, teams: Teams, codes: Codes) -> Mapped:
    """The Encounter or Appointment of one contact, under its own id. Raises HeldBack."""
    mapped = keep(entry, CONTACT)
    visit = mapped.resource
    check_period(visit.get("period"))
    _settle_status(mapped)
    _only(mapped, "participant", "individual", "Practitioner")
    _only(mapped, "location", "location", "Location")
    team = _team(mapped)
    labels = [*codes.labels([*visit.get("type", ()), *visit.get("reasonCode", ())]), *teams.labels(team)]
    visit["meta"] = with_labels(visit["meta"], labels)
    visit["class"] = _place(mapped, codes)
    for name in ("type", "reasonCode"):
        if name in visit:
            visit[name] = [codes.worded(concept) for concept in visit[name]]
    if _is_appointment(visit):
        mapped.resource = _appointment(visit)
    return mapped


def _absent() -> Resource:
    """R4 demands the element, and the council doesn't hold it."""
    return {"extension": [{"url": _DATA_ABSENT, "valueCode": "unknown"}]}


def _place(mapped: Mapped, codes: Codes) -> Resource:
    """Where the contact was: as the council says, or as its kind means, or absent. An extension says only the last."""
    stated: Resource = mapped.resource.get("class", {})
    extensions = stated.pop("extension", [])
    if any(one.get("url") != _DATA_ABSENT for one in extensions):
        mapped.left_out["parts of class"] += 1
    return stated or codes.place(mapped.resource.get("type", ())) or _absent()


def _settle_status(mapped: Mapped) -> None:
    """R4's own `unknown` where the council says nothing that R4 knows: whether it took place must not be guessed."""
    if mapped.resource.get("status") not in _STATUSES:
        if "status" in mapped.resource:
            mapped.left_out["a status that R4 doesn't know"] += 1
        mapped.resource["status"] = "unknown"


def _only(mapped: Mapped, element: str, inside: str, kind: str) -> None:
    """Keep what leads to a worker or a place. A relative, a carer or another service user who was there stays out."""
    came = mapped.resource.get(element, [])
    mapped.leave_out(element, [one for one in came if leads_to(one.get(inside), kind)], came)


def _team(mapped: Mapped) -> Resource | None:
    """The team that met the person. Nobody's relative or private carer may stand in its place."""
    team: Resource | None = mapped.resource.get("serviceProvider")
    if team is not None and not leads_to(team, "Organization"):
        mapped.left_out["serviceProvider that leads to no Organization"] += 1
        del mapped.resource["serviceProvider"]
        return None
    return team


def _is_appointment(visit: Resource) -> bool:
    """True for what is planned for a moment. What is planned for a day only stays an Encounter: R4's Appointment has no
    place for such a date, and a time of day would be invented."""
    period = visit.get("period", {})
    return (
        visit["status"] == "planned"
        and is_moment(period.get("start"))
        and (is_moment(period.get("end", period["start"])))
    )


def _appointment(visit: Resource) -> Resource:
    period = visit["period"]
    made: dict[str, Any] = {
        "resourceType": "Appointment",
        "id": visit["id"],
        "meta": visit["meta"],
        "status": "booked",
        "serviceType": visit.get("type"),
        "reasonCode": visit.get("reasonCode"),
        # Appointment has no organisation of its own.
        "supportingInformation": [visit["serviceProvider"]] if "serviceProvider" in visit else None,
        "start": period["start"],
        **({"end": period["end"]} if "end" in period else {"_end": _absent()}),
        "participant": [{"actor": actor, "_status": _absent()} for actor in _actors(visit)],
    }
    return {name: value for name, value in made.items() if value}


def _actors(visit: Resource) -> list[Resource]:
    """Whether each of them agreed to come isn't known: the status of each is absent, with that reason."""
    subject = [visit["subject"]] if "subject" in visit else []
    workers = [one["individual"] for one in visit.get("participant", ())]
    return [*subject, *workers, *(one["location"] for one in visit.get("location", ()))]
