"""A resource in a line: what it is, when it was, where it stands. Values and doses are for the whole record."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from connectors.sdk.model import Resource

_NAMED_BY: Final[Mapping[str, tuple[str, ...]]] = {
    "AllergyIntolerance": ("code",),
    "MedicationStatement": ("medicationCodeableConcept", "medicationReference"),
    "MedicationRequest": ("medicationCodeableConcept", "medicationReference"),
    "Encounter": ("type", "serviceType", "class"),
    "Appointment": ("description", "appointmentType", "serviceType"),
    "Observation": ("code",),
    "DiagnosticReport": ("code",),
    "Condition": ("code",),
    "Immunization": ("vaccineCode",),
    "CareTeam": ("name", "category"),
}
_DATED_BY: Final = (
    "effectiveDateTime", "occurrenceDateTime", "onsetDateTime", "recordedDate", "authoredOn", "dateAsserted", "start",
    "issued",
)  # fmt: skip
_PERIODS: Final = ("period", "effectivePeriod", "onsetPeriod")
_STANDINGS: Final = ("status", "clinicalStatus", "verificationStatus")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_LOCAL: Final = ZoneInfo("Europe/London")
_DAY: Final = len("2024-05-17")
_ONE_DAY: Final = re.compile(r"from (\S+) (\S+) to \1 (\S+)")
NO_NAME: Final = "No name is given by its source"


def name_of(resource: Resource) -> str:
    """What the resource is, in its source's own words."""
    for element in _NAMED_BY.get(str(resource.get("resourceType")), ()):
        for text in _texts(resource.get(element)):
            return text
    return NO_NAME


def when_of(resource: Resource) -> str:
    """When it was, as the Common User Interface writes dates; "" where nothing says."""
    for element in _DATED_BY:
        if isinstance(resource.get(element), str):
            return day(resource[element])
    for element in _PERIODS:
        period = resource.get(element)
        if isinstance(period, dict) and isinstance(period.get("start"), str):
            return day(period["start"])
    return ""


def standing_of(resource: Resource) -> str:
    """`refuted`, `active, confirmed`, `not-taken`: what would be dangerous to leave out."""
    said = []
    for element in _STANDINGS:
        value = resource.get(element)
        codes = [value] if isinstance(value, str) else _codes(value)
        said += [code for code in codes if code not in said]
    return ", ".join(said)


def line_of(resource: Resource) -> str:
    """The whole line, without where it comes from."""
    parts = [name_of(resource), when_of(resource), standing_of(resource)]
    return " · ".join(part for part in parts if part)


def day(moment: str) -> str:
    """`1961-03-12` as 12-Mar-1961; a year or a month alone as far as it goes (NHS Common User Interface)."""
    year, _, rest = moment[:_DAY].partition("-")
    month, _, of_month = rest.partition("-")
    if not month.isdigit() or not 1 <= int(month) <= 12:
        return year
    named = f"{_MONTHS[int(month) - 1]}-{year}"
    return f"{of_month}-{named}" if of_month else named


def moment(text: str) -> str:
    """A date as `day` writes it; a time with its zone as the clock in this country showed it, to the minute. What is no
    date stays as it is."""
    if len(text) <= _DAY:
        return day(text) if text[:4].isdigit() else text
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return text
    local = when if when.tzinfo is None else when.astimezone(_LOCAL)
    return f"{day(local.date().isoformat())} {local:%H:%M}"


def of_one_day(period: str) -> str:
    """`11-Jan-2027 11:00 to 11:30` for a period that begins and ends on one day."""
    return _ONE_DAY.sub(r"\1 \2 to \3", period)


def grouped(nhs_number: str) -> str:
    """`999 000 0018`"""
    return f"{nhs_number[:3]} {nhs_number[3:6]} {nhs_number[6:]}"


def identity_of(patient: Resource, today: date | None = None) -> list[str]:
    """`SURNAME, Given (Title)`, `Born 12-Mar-1961 (65y)`, gender: the parts of the banner that are known. Without
    `today` no age is told."""
    parts = [_named(patient)]
    born = patient.get("birthDate")
    if isinstance(born, str):
        parts.append(f"Born {day(born)}{_age(patient, born, today)}")
    if isinstance(patient.get("gender"), str):
        parts.append(str(patient["gender"]).capitalize())
    return [part for part in parts if part]


def has_died(patient: Resource) -> str:
    """`Died 3-Apr-2024`, `Died`, or nothing."""
    if isinstance(patient.get("deceasedDateTime"), str):
        return f"Died {day(patient['deceasedDateTime'])}"
    return "Died" if patient.get("deceasedBoolean") is True else ""


def _age(patient: Resource, born: str, today: date | None) -> str:
    if today is None:
        return ""
    try:
        birth = date.fromisoformat(born)
    except ValueError:
        return ""
    if has_died(patient):
        return ""
    years = today.year - birth.year - ((today.month, today.day) < (birth.month, birth.day))
    return f" ({years}y)" if years >= 2 else ""


def _named(patient: Resource) -> str:
    names = [name for name in patient.get("name", ()) if isinstance(name, dict)]
    name = next((one for one in names if one.get("use") in ("official", "usual")), names[0] if names else {})
    family, given = str(name.get("family", "")).upper(), " ".join(map(str, name.get("given", ())))
    titles = " ".join(map(str, name.get("prefix", ())))
    written = ", ".join(part for part in (family, given) if part) or str(name.get("text", ""))
    return f"{written} ({titles})" if written and titles else written


def _texts(value: Any) -> Iterator[str]:
    """A text, a CodeableConcept's, a Coding's, a Reference's, or the first of a list of them."""
    if isinstance(value, str) and value.strip():
        yield value.strip()
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)
    elif isinstance(value, dict):
        for member in ("text", "display"):
            yield from _texts(value.get(member))
        yield from _texts(value.get("coding"))


def _codes(value: Any) -> list[str]:
    codings = value.get("coding") if isinstance(value, dict) else None
    return [str(coding["code"]) for coding in codings or () if isinstance(coding, dict) and coding.get("code")]
