"""The longest record of the demo: Elsie Thompson, about 300 resources in three organisations, made from a seed.

Written by a rule because nobody reads them one by one: they are there for paging, for the bench and for long lists. The
same code always makes the same bytes. Values are `Decimal`, so that `4.50` keeps its nought.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import msgspec

from connectors.fhir_r4.sandbox.elsie import CONDITIONS, MEDICINES, NHS_NUMBER, PLACES, REASONS, TESTS, Coded, Place
from connectors.sdk.model import NHS_NUMBER_SYSTEM, ODS_SYSTEM

_SNOMED: Final = "http://snomed.info/sct"
_LOINC: Final = "http://loinc.org"
_UCUM: Final = "http://unitsofmeasure.org"
_HL7: Final = "http://terminology.hl7.org/CodeSystem"
_UK_CORE: Final = "https://fhir.hl7.org.uk/StructureDefinition"
_NAMES: Final = uuid.UUID("0f6bb3f0-4cf7-4d0c-9d9b-2f5f0a3f8a11")
_NEWEST: Final = datetime(2026, 10, 2, 8, 15, 30, tzinfo=UTC)

Resource = dict[str, Any]


def resources(ods: str) -> Iterator[bytes]:
    """Elsie's resources at one organisation as JSON; none where she isn't known."""
    encode = msgspec.json.Encoder(decimal_format="number").encode
    if place := PLACES.get(ods):
        yield from (encode(resource) for resource in _Writer(ods, place).record())


class _Writer:
    """Writes one organisation's part of the record; ids, dates and values come from a generator seeded by ODS code."""

    def __init__(self, ods: str, place: Place) -> None:
        self._ods = ods
        self._place = place
        self._random = random.Random(f"elsie-thompson/{ods}")  # noqa: S311 (invented values, not secrets)
        self._patient = self._id("Patient", 0)

    def record(self) -> Iterator[Resource]:
        place = self._place
        yield self._patient_resource()
        yield self._allergy()
        for row in MEDICINES[place.medicines]:
            yield self._medicine(row)
        for index, condition in enumerate(CONDITIONS[place.conditions]):
            yield self._condition(index, condition)
        observations = [self._observation(index) for index in range(place.observations)]
        yield from observations
        for index in range(place.reports):
            yield self._report(index, observations[index * 3 : index * 3 + 3])
        yield from (self._encounter(index) for index in range(place.encounters))
        yield from (self._appointment(index) for index in range(place.appointments))
        yield self._care_team()

    def _id(self, kind: str, index: int) -> str:
        name = uuid.uuid5(_NAMES, f"{self._ods}/{kind}/{index}")
        return str(name.int % 9_000_000 + 10_000_000) if self._ods.startswith("G") else str(name)

    def _start(self, kind: str, index: int, when: datetime) -> Resource:
        meta = {"versionId": "1", "lastUpdated": _instant(when), "profile": [f"{_UK_CORE}/UKCore-{kind}"]}
        number = {
            "system": f"https://{self._ods.lower()}.sandbox.example/Id/record",
            "value": self._id("record", index),
        }
        return {"resourceType": kind, "id": self._id(kind, index), "meta": meta, "identifier": [number]}

    def _before(self, weeks: int) -> datetime:
        """A moment of the last `weeks` weeks, with milliseconds."""
        return _NEWEST - timedelta(weeks=self._random.randrange(weeks), milliseconds=self._random.randrange(86_400_000))

    @property
    def _subject(self) -> Resource:
        return {"reference": f"Patient/{self._patient}"}

    @property
    def _by(self) -> Resource:
        return {"reference": f"Practitioner/{self._place.practitioner}"}

    @property
    def _at(self) -> Resource:
        return {"reference": f"Location/{self._place.location}"}

    @property
    def _organisation(self) -> Resource:
        return {"reference": f"Organization/{self._place.organisation}", "display": self._place.name}

    def _patient_resource(self) -> Resource:
        number = {"extension": [_VERIFIED], "use": "official", "system": NHS_NUMBER_SYSTEM, "value": NHS_NUMBER}
        practice = {"identifier": {"system": ODS_SYSTEM, "value": "G85005"}, "display": PLACES["G85005"].name}
        return {
            **self._start("Patient", 0, self._before(4)),
            "identifier": [number],
            "active": True,
            "name": [{"use": "official", "family": "Thompson", "given": ["Elsie"], "prefix": ["Mrs"]}],
            "telecom": [{"system": "phone", "value": "020 7946 0432", "use": "home"}],
            "gender": "female",
            "birthDate": "1937-02-14",
            "address": [{"use": "home", "line": ["8 Inchmery Road"], "city": "London", "postalCode": "SE6 2NA"}],
            "generalPractitioner": [practice],
            "managingOrganization": self._organisation,
        }

    def _allergy(self) -> Resource:
        when = self._before(300)
        return {
            **self._start("AllergyIntolerance", 0, when),
            "clinicalStatus": _hl7("allergyintolerance-clinical", "active"),
            "verificationStatus": _hl7("allergyintolerance-verification", "confirmed"),
            "category": ["medication"],
            "code": _concept("91931000", "Allergy to erythromycin"),
            "patient": self._subject,
            "recordedDate": _instant(when),
            "recorder": self._by,
            "reaction": [{"manifestation": [_concept("422587007", "Nausea")], "severity": "mild"}],
        }

    def _medicine(self, row: tuple[str, str, str, str, str]) -> Resource:
        code, display, dose, unit, often = row
        start = self._before(400)
        system = "https://dmd.nhs.uk" if self._place.dmd else _SNOMED
        amount = {"value": Decimal(dose), "unit": unit, "system": _UCUM, "code": unit}
        return {
            **self._start("MedicationStatement", int(code), start),
            "status": self._random.choice(("active", "active", "active", "stopped", "completed")),
            "medicationCodeableConcept": _concept(code, display, system),
            "subject": self._subject,
            "effectivePeriod": {"start": start.date().isoformat()},
            "dateAsserted": start.date().isoformat(),
            "informationSource": self._by,
            "dosage": [{"text": f"{dose} {unit} {often}", "doseAndRate": [{"doseQuantity": amount}]}],
        }

    def _condition(self, index: int, coded: Coded) -> Resource:
        when = self._before(900)
        return {
            **self._start("Condition", index, when),
            "clinicalStatus": _hl7("condition-clinical", "active"),
            "verificationStatus": _hl7("condition-ver-status", "confirmed"),
            "category": [_hl7("condition-category", "problem-list-item")],
            "code": _concept(*coded),
            "subject": self._subject,
            "onsetDateTime": when.date().isoformat(),
            "recordedDate": when.date().isoformat(),
            "recorder": self._by,
        }

    def _observation(self, index: int) -> Resource:
        snomed, loinc, unit, low, high = TESTS[index % len(TESTS)]
        value = self._value(Decimal(low), Decimal(high))
        when = _NEWEST - timedelta(days=23 * (index // len(TESTS)), milliseconds=self._random.randrange(10_000_000))

        def quantity(number: Decimal) -> Resource:
            return {"value": number, "unit": unit, "system": _UCUM, "code": unit}

        return {
            **self._start("Observation", index, when),
            "text": _narrative(f"{snomed[1]}: {value} {unit}"),
            "status": "final",
            "category": [_hl7("observation-category", "laboratory")],
            "code": {"coding": [_coding(*snomed), _coding(*loinc, _LOINC)], "text": snomed[1]},
            "subject": self._subject,
            "effectiveDateTime": _instant(when),
            "issued": _instant(when + timedelta(hours=6)),
            "performer": [self._by],
            "valueQuantity": quantity(value),
            "interpretation": [_hl7("v3-ObservationInterpretation", _interpret(value, Decimal(low), Decimal(high)))],
            "referenceRange": [{"low": quantity(Decimal(low)), "high": quantity(Decimal(high))}],
        }

    def _value(self, low: Decimal, high: Decimal) -> Decimal:
        """A value somewhere in or about the range, with as many digits as the range is given with."""
        steps = Decimal(self._random.randrange(5, 115)) / 100
        return (low + (high - low) * steps).quantize(high)

    def _report(self, index: int, results: Sequence[Resource]) -> Resource:
        when = datetime.fromisoformat(results[0]["effectiveDateTime"])
        return {
            **self._start("DiagnosticReport", index, when),
            "status": "final",
            "category": [_hl7("v2-0074", "LAB")],
            "code": _concept("721981007", "Diagnostic studies report"),
            "subject": self._subject,
            "effectiveDateTime": _instant(when),
            "issued": _instant(when + timedelta(hours=7)),
            "performer": [self._by],
            "result": [{"reference": f"Observation/{result['id']}"} for result in results],
            "conclusion": "Much as before. No action is needed before the next routine test.",
        }

    def _encounter(self, index: int) -> Resource:
        start = self._before(250)
        reason = self._random.choice(REASONS)
        end = start + timedelta(minutes=self._random.randrange(10, 55))
        return {
            **self._start("Encounter", index, end),
            "text": _narrative(f"Consultation at {self._place.name}: {reason[1]}"),
            "status": "finished",
            "class": {"system": f"{_HL7}/v3-ActCode", "code": self._random.choice(("AMB", "HH", "VR"))},
            "type": [_concept("11429006", "Consultation")],
            "subject": self._subject,
            "participant": [{"individual": self._by}],
            "period": {"start": _instant(start), "end": _instant(end)},
            "reasonCode": [_concept(*reason)],
            "location": [{"location": self._at}],
            "serviceProvider": self._organisation,
        }

    def _appointment(self, index: int) -> Resource:
        start = datetime(2027, 1, 12, 10, 30, tzinfo=UTC) + timedelta(weeks=5 * index)
        who = [self._subject, self._by, self._at]
        return {
            **self._start("Appointment", index, _NEWEST),
            "status": "booked",
            "description": "Routine review",
            "start": _instant(start),
            "end": _instant(start + timedelta(minutes=20)),
            "participant": [{"actor": actor, "status": "accepted"} for actor in who],
        }

    def _care_team(self) -> Resource:
        return {
            **self._start("CareTeam", 0, _NEWEST),
            "status": "active",
            "name": f"Team for long-term conditions, {self._place.name}",
            "subject": self._subject,
            "participant": [{"role": [{"text": "Lead"}], "member": self._by}],
            "managingOrganization": [self._organisation],
        }


_VERIFIED: Final = {
    "url": f"{_UK_CORE}/Extension-UKCore-NHSNumberVerificationStatus",
    "valueCodeableConcept": {
        "coding": [
            {
                "system": "https://fhir.hl7.org.uk/CodeSystem/UKCore-NHSNumberVerificationStatusEngland",
                "code": "01",
                "display": "Number present and verified",
            }
        ]
    },
}


def _narrative(sentence: str) -> Resource:
    return {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml"><p>{sentence}</p></div>'}


def _interpret(value: Decimal, low: Decimal, high: Decimal) -> str:
    return "L" if value < low else "H" if value > high else "N"


def _instant(when: datetime) -> str:
    return when.isoformat(timespec="milliseconds")


def _coding(code: str, display: str, system: str = _SNOMED) -> Resource:
    return {"system": system, "code": code, "display": display}


def _concept(code: str, display: str, system: str = _SNOMED) -> Resource:
    return {"coding": [_coding(code, display, system)]}


def _hl7(system: str, code: str) -> Resource:
    return {"coding": [{"system": f"{_HL7}/{system}", "code": code}]}
