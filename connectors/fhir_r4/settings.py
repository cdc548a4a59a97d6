"""What an organisation's `settings` may say when its connector is `fhir_r4`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from connectors.sdk.auth import AuthSettings, NoAuth, TlsSettings
from connectors.sdk.model import NHS_NUMBER_SYSTEM, SECTION_OF_TYPE, Section

_SET_BY_CONNECTOR: Final = frozenset({"patient", "subject", "identifier", "_count", "_include", "_format"})
HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]+$")]
HeaderValue = Annotated[str, StringConstraints(pattern=r"^[!-~]([ -~]*[!-~])?$")]


class Search(BaseModel):
    """One search that serves a section: `GET {type}?{patient}={id}&{params}`.

    `patient` is the search parameter by which this source finds a patient's resources of this type. `include` asks for
    supporting resources (`MedicationRequest:medication`); what comes with them passes the same checks.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: str
    patient: Literal["patient", "subject"] = "patient"
    params: Mapping[str, str] = Field(default_factory=dict)
    include: tuple[str, ...] = ()

    @field_validator("type")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in SECTION_OF_TYPE or value == "Patient":
            offered = ", ".join(sorted(set(SECTION_OF_TYPE) - {"Patient"}))
            raise ValueError(f"{value} serves no section; use one of {offered}")
        return value

    @field_validator("params")
    @classmethod
    def _free(cls, value: Mapping[str, str]) -> Mapping[str, str]:
        for name in value:
            if name.partition(":")[0].partition(".")[0] in _SET_BY_CONNECTOR:
                raise ValueError(f"{name} is set by the connector itself; take it out")
        return value


def _with(kind: str, *parameters: str) -> Search:
    return Search(type=kind, include=tuple(f"{kind}:{parameter}" for parameter in parameters))


DEFAULT_SEARCHES: Final[Mapping[Section, tuple[Search, ...]]] = {
    Section.ALLERGIES: (_with("AllergyIntolerance", "recorder", "asserter"),),
    Section.MEDICINES: (
        _with("MedicationStatement", "medication", "source"),
        _with("MedicationRequest", "medication", "requester"),
    ),
    Section.CONTACTS: (
        _with("Encounter", "location", "service-provider", "participant"),
        _with("Appointment", "location", "practitioner"),
    ),
    Section.RESULTS: (_with("Observation", "performer"), _with("DiagnosticReport", "performer")),
    Section.PROBLEMS: (_with("Condition", "asserter"),),
    Section.IMMUNISATIONS: (_with("Immunization", "location", "performer"),),
    Section.CARE_TEAM: (_with("CareTeam", "participant"),),
}
"""Each with where it was and who did it (R4's search parameters): a place's label must reach what happened there."""

DEFAULT_INCLUDES: Final = frozenset(
    include for searches in DEFAULT_SEARCHES.values() for search in searches for include in search.include
)


class Settings(BaseModel):
    """How this source is asked.

    `patient_by`: `identifier` searches every section at once by the NHS number (`patient.identifier=…`), one round
    trip; `logical-id` first finds the Patient, then searches by its id, two round trips, for sources that don't chain;
    `nhs-number` is for sources whose Patients have the NHS number as their id: one round trip, nothing to chain.
    `everything`: this source offers `Patient/{id}/$everything` with `_type`: one call a record where `patient_by` is
    `nhs-number`, two otherwise. Sections that have `searches` of their own are still searched.
    `batch`: this source takes several searches in one call (R4, "batch"): two calls a record, or one where `patient_by`
    is `identifier`, instead of a dozen.
    `include`: those of the default searches' includes that this source takes; None for all, empty for none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    auth: AuthSettings = NoAuth()
    tls: TlsSettings = TlsSettings()
    headers: Mapping[HeaderName, HeaderValue] = Field(default_factory=dict)
    patient_by: Literal["identifier", "logical-id", "nhs-number"] = "logical-id"
    identifier_system: str = NHS_NUMBER_SYSTEM
    batch: bool = False
    everything: bool = False
    page_size: int = Field(default=200, ge=1, le=1000)
    max_pages: int = Field(default=50, ge=1, le=500)
    include: tuple[str, ...] | None = None
    searches: Mapping[Section, tuple[Search, ...]] = Field(default_factory=dict)

    @field_validator("include")
    @classmethod
    def _of_the_defaults(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for name in value or ():
            if name not in DEFAULT_INCLUDES:
                offered = ", ".join(sorted(DEFAULT_INCLUDES))
                raise ValueError(f"{name} is no include of a default search; use some of {offered}")
        return value

    @field_validator("headers")
    @classmethod
    def _no_secrets(cls, value: Mapping[str, str]) -> Mapping[str, str]:
        if {name.lower() for name in value} & {"authorization", "proxy-authorization", "cookie"}:
            raise ValueError("a header that proves who we are belongs under auth, with its value in a file")
        return value

    @field_validator("searches")
    @classmethod
    def _fitting(cls, value: Mapping[Section, tuple[Search, ...]]) -> Mapping[Section, tuple[Search, ...]]:
        for section, searches in value.items():
            if not searches:
                raise ValueError(f"{section} has no search and would look empty; take it out of the sections instead")
            for search in searches:
                if SECTION_OF_TYPE[search.type] is not section:
                    raise ValueError(
                        f"{search.type} belongs to the section {SECTION_OF_TYPE[search.type]}, not {section}"
                    )
        return value

    @model_validator(mode="after")
    def _one_way_to_ask_together(self) -> Settings:
        if self.batch and self.everything:
            raise ValueError("batch and everything are two ways of asking for all at once. Give one of them")
        return self

    def searches_for(self, section: Section) -> tuple[Search, ...]:
        """The searches that serve a section; demographics needs none, the Patient is always asked for."""
        if section in self.searches:
            return self.searches[section]
        return tuple(self._included(search) for search in DEFAULT_SEARCHES.get(section, ()))

    def _included(self, search: Search) -> Search:
        """A default search with those of its includes that this source takes."""
        if self.include is None:
            return search
        return search.model_copy(update={"include": tuple(name for name in search.include if name in self.include)})
