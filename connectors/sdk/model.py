"""The words of Connect Care that a connector speaks: Section, Ask, Item, Answer.

A resource travels as a plain `dict` of FHIR R4 JSON from the source to the answer. Decimals in it are
`decimal.Decimal`, so that `0.10` leaves as `0.10`; nothing between source and answer may turn one into a float.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from connectors.sdk.errors import SourceError

Resource = dict[str, Any]
"""One FHIR R4 resource as JSON: `str`, `int`, `Decimal`, `bool`, `None`, `list`, `dict`."""

NHS_NUMBER_SYSTEM: Final = "https://fhir.nhs.uk/Id/nhs-number"
ODS_SYSTEM: Final = "https://fhir.nhs.uk/Id/ods-organization-code"


class Section(StrEnum):
    """A part of the record. Order is the order in which a reader needs them."""

    DEMOGRAPHICS = "demographics"
    ALLERGIES = "allergies"
    MEDICINES = "medicines"
    CONTACTS = "contacts"
    RESULTS = "results"
    PROBLEMS = "problems"
    IMMUNISATIONS = "immunisations"
    CARE_TEAM = "care-team"


SECTION_OF_TYPE: Final[Mapping[str, Section]] = {
    "Patient": Section.DEMOGRAPHICS,
    "AllergyIntolerance": Section.ALLERGIES,
    "MedicationStatement": Section.MEDICINES,
    "MedicationRequest": Section.MEDICINES,
    "Encounter": Section.CONTACTS,
    "Appointment": Section.CONTACTS,
    "Observation": Section.RESULTS,
    "DiagnosticReport": Section.RESULTS,
    "Condition": Section.PROBLEMS,
    "Immunization": Section.IMMUNISATIONS,
    "CareTeam": Section.CARE_TEAM,
}
"""Resource types that carry a section of the record, each in exactly one section."""

SUPPORTING_TYPES: Final = frozenset(
    {"Medication", "Practitioner", "PractitionerRole", "Organization", "Location", "Device", "Specimen"}
)
"""Types that only ever explain another item. They are shown when an item that is shown refers to them."""


INCLUDED_BY: Final[Mapping[str, str]] = {
    "AllergyIntolerance:asserter": "asserter",
    "AllergyIntolerance:recorder": "recorder",
    "Appointment:actor": "participant.actor",
    "Appointment:location": "participant.actor",
    "Appointment:practitioner": "participant.actor",
    "CareTeam:participant": "participant.member",
    "Condition:asserter": "asserter",
    "DiagnosticReport:performer": "performer",
    "Encounter:location": "location.location",
    "Encounter:participant": "participant.individual",
    "Encounter:service-provider": "serviceProvider",
    "Immunization:location": "location",
    "Immunization:performer": "performer.actor",
    "MedicationRequest:medication": "medicationReference",
    "MedicationRequest:requester": "requester",
    "MedicationStatement:medication": "medicationReference",
    "MedicationStatement:source": "informationSource",
    "Observation:performer": "performer",
}
"""R4's include parameters, and the element of the type that each follows to a supporting resource."""


class Outcome(StrEnum):
    """What became of one Ask. Every source of every record has exactly one."""

    ANSWERED = "answered"
    PARTIAL = "partial"
    NO_RECORD = "no-record"
    WITHHELD_BY_SOURCE = "withheld-by-source"
    REFUSED = "refused"
    TIMED_OUT = "timed-out"
    FAILED = "failed"
    NOT_ASKED = "not-asked"

    @property
    def leaves_gap(self) -> bool:
        """True where the source may hold something that this record doesn't show."""
        return self not in (Outcome.ANSWERED, Outcome.NO_RECORD, Outcome.NOT_ASKED)


class Gap(StrEnum):
    """Why a section of one source can't be read as complete."""

    TIMED_OUT = "timed-out"
    FAILED = "failed"
    REFUSED = "refused"
    WITHHELD_BY_SOURCE = "withheld-by-source"
    TOO_MUCH = "too-much"
    HELD_BACK = "held-back"
    IDENTITY_ALARM = "identity-alarm"
    NOT_ASKED = "not-asked"


@dataclass(frozen=True, slots=True)
class AskedBy:
    """The person on whose behalf a source is asked; some sources require it (GP Connect), all may log it."""

    user_id: str
    name: str
    role_profile_id: str
    job_role_code: str
    role: str
    organisation: str
    organisation_name: str
    purpose: str


@dataclass(frozen=True, slots=True)
class Ask:
    """One question to one source.

    `sections` is what the caller's role may see of what this source offers: the rest is never asked for.
    `deadline` is an absolute `asyncio` loop time; nothing a connector does outlives it. `hurried`: it is sooner than
    sources are usually given, so that it passed says nothing of the source's health.
    """

    nhs_number: str
    sections: frozenset[Section]
    asked_by: AskedBy
    deadline: float
    request_id: str
    hurried: bool = False


@dataclass(slots=True)
class Item:
    """One resource of one source, on its way through the pipeline.

    `original_id` is the source's own id, `full_url` its own absolute address where it gave one. `section` is None for
    a supporting resource; `type` is the resource type, `key` the source's own relative reference to it:
    `Observation/17`. The later steps fill `sealed_id` and `labels`.
    """

    source: str
    resource: Resource
    section: Section | None
    original_id: str
    full_url: str | None = None
    sealed_id: str = ""
    labels: frozenset[str] = frozenset()
    findings: Findings | None = None
    type: str = field(init=False, compare=False)
    key: str = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        self.type = str(self.resource.get("resourceType", ""))
        self.key = f"{self.type}/{self.original_id}"

    def with_resource(self, resource: Resource) -> Item:
        """Another item with all that is known of this one, and a resource of which the same was found."""
        return Item(
            self.source,
            resource,
            self.section,
            self.original_id,
            self.full_url,
            self.sealed_id,
            self.labels,
            self.findings,
        )


@dataclass(slots=True)
class Findings:
    """What one walk over a resource found, so that no later step walks it again.

    `references`: every FHIR Reference object in it (the live dicts: rewriting one rewrites the resource).
    `logical`: those that say `"type": "Patient"` and have no `reference`. `codings`: every (system, code) pair.
    `security`: the codes of `meta.security`, of contained resources too. `nhs_numbers`: the value of every identifier
    whose system seems to mean NHS numbers, as written. `states_type`: something in it has a `type` of plain text and no
    `reference`, so it may be a Reference that says by its type alone where it leads.
    """

    references: list[dict[str, Any]] = field(default_factory=list)
    logical: list[dict[str, Any]] = field(default_factory=list)
    codings: list[tuple[str, str]] = field(default_factory=list)
    security: list[tuple[str, str]] = field(default_factory=list)
    nhs_numbers: set[str] = field(default_factory=set)
    states_type: bool = False


@dataclass(frozen=True, slots=True)
class SourceWarning:
    """A source's own statement that what it sent for a section is not all it holds. Shown as its statement."""

    section: Section | None
    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Traced:
    """What became of one resource that a source sent, for sources whose resources aren't carried over one to one.

    `key` is the source's own relative reference (`MedicationRequest/17`; `List/3#a1` for a contained one). `became`
    holds the keys of the items that carry what it said; where there are none, `reason` says why, in words without an
    identifier.
    """

    key: str
    became: tuple[str, ...] = ()
    reason: str = ""


@dataclass(slots=True)
class Answer:
    """The one outcome of one Ask.

    `gaps` names each asked section that can't be read as complete, and why; a section asked for and not in it was
    answered whole. `includes` are the references (keys of INCLUDED_BY) whose targets this source always sends along:
    only these are followed to a supporting resource. One that is there because another item brought it must not be
    shown beside this one, since it would tell of that other, which may be hidden. `told` is for the reader (no
    identifier, no technical detail), `detail` for the operator only. `traced` accounts for every resource that came,
    where the connector translates; it is empty where each item is the source's own resource. `error` is what was raised
    instead of an answer; it may know more than the texts may say (the number that has replaced another).
    """

    source: str
    outcome: Outcome
    items: list[Item] = field(default_factory=list)
    gaps: dict[Section, Gap] = field(default_factory=dict)
    warnings: list[SourceWarning] = field(default_factory=list)
    told: str = ""
    detail: str = ""
    took_ms: float = 0.0
    calls: int = 0
    includes: frozenset[str] = frozenset(INCLUDED_BY)
    traced: list[Traced] = field(default_factory=list)
    error: SourceError | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class PersonSought:
    """A person whose NHS number nobody knows, as the national demographics service searches for one.

    `birth_date` is a FHIR date; `gender` a FHIR administrative gender. `deadline` is an absolute `asyncio` loop time.
    """

    family: str
    given: str
    birth_date: str
    asked_by: AskedBy
    deadline: float
    request_id: str
    gender: str | None = None
    postcode: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What a search for a person came to: one Patient, or none and whether more details could help.

    `too_many` is True where several people fit: nobody guesses, and none of them is listed. A person whose whereabouts
    are restricted (R) is never found by a search: that looks like nobody.
    """

    patient: Resource | None = None
    too_many: bool = False
