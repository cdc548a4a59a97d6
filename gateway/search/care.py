"""`start` and `end` of `$everything`: when an item was care of the patient.

R4: "The date range relates to care dates, not record currency dates." The date is the clinically relevant one of each
type: when an observation was true, when somebody attended, when a medicine was prescribed. What began earlier and still
stands (an allergy that nobody has resolved, a problem without an end, a medicine that isn't stopped) is care of every
later day too: a range must not hide a penicillin allergy because it was recorded long ago. What gives no date stays in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from connectors.sdk.model import Resource
from gateway.search.dates import END, Span, span_of
from gateway.search.tokens import codings


def _never(_: Resource) -> bool:
    return False


def _always(_: Resource) -> bool:
    return True


_ABATEMENT: Final = ("abatementDateTime", "abatementPeriod")
_ACTIVE: Final = frozenset({"active", "recurrence", "relapse"})
_OVER: Final = frozenset({"completed", "stopped", "cancelled", "entered-in-error", "not-taken"})


def _unended(resource: Resource) -> bool:
    """Whatever its clinical status, and also where it ended at a time that nobody can compare (an age, some words)."""
    has_ended = _first(resource, _ABATEMENT) is not None
    return not has_ended or any(code in _ACTIVE for _, code in codings(resource.get("clinicalStatus")))


def _still_given(resource: Resource) -> bool:
    return not any(code in _OVER for _, code in codings(resource.get("status")))


@dataclass(frozen=True, slots=True)
class _Dates:
    """`paths`: elements, the first that holds a date counts. `ends`: where the end is told. `stands`: whether it goes
    on from its date, for all that is known."""

    paths: tuple[str, ...]
    ends: tuple[str, ...] = ()
    stands: Callable[[Resource], bool] = _never


def _dates(paths: str, ends: str = "", stands: Callable[[Resource], bool] = _never) -> _Dates:
    return _Dates(tuple(paths.split()), tuple(ends.split()), stands)


CARE_DATES: Final[Mapping[str, _Dates]] = {
    "AllergyIntolerance": _dates("onsetDateTime onsetPeriod recordedDate", stands=_always),
    "Condition": _dates("onsetDateTime onsetPeriod recordedDate", " ".join(_ABATEMENT), stands=_unended),
    "MedicationStatement": _dates("effectiveDateTime effectivePeriod dateAsserted", stands=_still_given),
    "MedicationRequest": _dates("authoredOn", "dispenseRequest.validityPeriod", stands=_still_given),
    "Observation": _dates("effectiveDateTime effectivePeriod effectiveInstant effectiveTiming issued"),
    "DiagnosticReport": _dates("effectiveDateTime effectivePeriod issued"),
    "Encounter": _dates("period"),
    "Appointment": _dates("start", "end"),
    "Immunization": _dates("occurrenceDateTime"),
    "CareTeam": _dates("period"),
}
"""The searchable types. A Patient has no date, and is always there."""


def care_span(resource: Resource) -> Span | None:
    """From when to when the item was care of the patient; None where it gives no date."""
    dates = CARE_DATES.get(str(resource.get("resourceType")))
    began = _first(resource, dates.paths) if dates else None
    if dates is None or began is None:
        return None
    if dates.stands(resource):
        return Span(began.low, END)
    ended = _first(resource, dates.ends)
    return Span(began.low, max(began.high, ended.high)) if ended else began


def _first(resource: Resource, paths: tuple[str, ...]) -> Span | None:
    for path in paths:
        value: object = resource
        for step in path.split("."):
            value = value.get(step) if isinstance(value, dict) else None
        found = span_of(value)
        if found is not None:
            return found
    return None


def cared_within(resource: Resource, wanted: Span) -> bool:
    """True where any of it lies in the range, and where it can't be told."""
    held = care_span(resource)
    return held is None or held.overlaps(wanted)
