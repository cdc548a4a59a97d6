"""The patient banner (NHS Common User Interface): who it is, and the state of the allergies in the mandated words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from connectors.sdk.model import Resource, Section
from gateway.allergies import is_no_known_allergy, stands
from gateway.manifest import AllergyState
from gateway.shown import Part
from gateway.web.words import has_died, identity_of

ALLERGIES: Final[Mapping[AllergyState, str]] = {
    AllergyState.KNOWN: "Known allergies",
    AllergyState.NONE_KNOWN: "No known allergies",
    AllergyState.NOT_RECORDED: "Allergies not recorded",
    AllergyState.UNAVAILABLE: "Allergies unavailable",
}
"""PAB-0064."""
_LIMITED: Final = "among what may be shown to you"


@dataclass(frozen=True, slots=True)
class Banner:
    """`name` and `rest` are of the Patient that carries the record, as far as it is shown. `sensitive` says why the
    patient's whereabouts are held back. `allergies` are the mandated words, `limit` what they must own up to."""

    name: str
    rest: tuple[str, ...]
    died: str
    sensitive: str
    allergies: str
    limit: str
    waiting: tuple[str, ...]
    has_allergy: bool

    @property
    def warns(self) -> bool:
        """Whether the state of the allergies is one that nobody may take for "none"."""
        return self.allergies != ALLERGIES[AllergyState.NONE_KNOWN]


def banner_of(part: Part, today: date, *, has_allergy: bool = False) -> Banner:
    """Before everybody has answered allergies are known or unavailable: there is no third."""
    shown, manifest = part.shown, part.shown.manifest
    has_allergy = has_allergy or any(
        item.section is Section.ALLERGIES and stands(item) and not is_no_known_allergy(item) for item in shown.items
    )
    state = manifest.allergies if part.closes else AllergyState.KNOWN if has_allergy else AllergyState.UNAVAILABLE
    absent = state in (AllergyState.NONE_KNOWN, AllergyState.NOT_RECORDED)
    patient = _patient(part)
    name, *rest = (identity_of(patient, today) if patient else []) or [""]
    return Banner(
        name=name,
        rest=tuple(rest),
        died=has_died(patient) if patient else "",
        sensitive=manifest.whereabouts,
        allergies=ALLERGIES[state or AllergyState.UNAVAILABLE],
        limit=_LIMITED if absent and manifest.allergies_limited else "",
        waiting=part.waiting,
        has_allergy=has_allergy,
    )


def _patient(part: Part) -> Resource | None:
    patients = (item.resource for item in part.shown.items if item.sealed_id == part.shown.look.nhs_number)
    return next(patients, None)
