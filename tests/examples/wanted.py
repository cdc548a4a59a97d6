"""Which examples there are, in the order in which they are made: later ones see what earlier ones did."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from tests.flow.stack import AALIYAH, GRACE, HAROLD, SIOBHAN

OWN: Final = "connect-care"
FHIR: Final = "fhir-r4"
BASE: Final = "/fhir/R4"


@dataclass(frozen=True)
class Wanted:
    """One request. `{allergy}` in the url is the id of the first allergy that a search found; `down` are the sources
    that can't be read at that moment; `who` asks, nobody where it is ""."""

    api: str
    name: str
    summary: str
    who: str
    method: str
    path: str
    url: str = ""
    body: Any = None
    form: str = ""
    accept: str = "application/fhir+json"
    down: tuple[str, ...] = ()
    headers: dict[str, str] = field(default_factory=dict)


ALL_SOURCES: Final = ("RJ2", "G85005", "G85004", "G83021", "RPG", "709", "703")
_AGREED: Final = {"nhsNumber": GRACE, "basis": "patient-agreed"}
_UNASKED: Final = {
    "nhsNumber": HAROLD,
    "basis": "best-interests",
    "reasonCode": "emergency",
    "reason": "Unconscious on arrival by ambulance; nobody with him.",
}

WANTED: Final = (
    Wanted(
        FHIR, "no-permission", "Nobody asked the patient yet: the text says how to", "gp",
        "GET", f"{BASE}/AllergyIntolerance", f"{BASE}/AllergyIntolerance?patient={GRACE}",
    ),
    Wanted(
        FHIR, "not-signed-in", "No access token", "",
        "GET", f"{BASE}/AllergyIntolerance", f"{BASE}/AllergyIntolerance?patient={GRACE}",
    ),
    Wanted(
        OWN, "permission-agreed", "The patient agreed, just now", "gp",
        "POST", "/permissions", body=_AGREED,
    ),
    Wanted(
        OWN, "permission-without-reason", "Nobody could ask the patient, and the reason is missing", "gp",
        "POST", "/permissions", body={"nhsNumber": HAROLD, "basis": "best-interests"},
    ),
    Wanted(
        OWN, "permission-best-interests", "The patient can't be asked; it's in their best interests", "hospital-doctor",
        "POST", "/permissions", body=_UNASKED,
    ),
    Wanted(
        OWN, "record-allergies", "The allergies alone, with the number in no address", "gp",
        "POST", "/records", body={"nhsNumber": GRACE, "birthDate": "1958-03-12", "sections": ["allergies"]},
    ),
    Wanted(
        FHIR, "search-allergies", "Every allergy, from every organisation that may hold one", "gp",
        "GET", f"{BASE}/AllergyIntolerance", f"{BASE}/AllergyIntolerance?patient={GRACE}",
    ),
    Wanted(
        FHIR, "read-allergy", "One of them again", "gp",
        "GET", f"{BASE}/AllergyIntolerance/{{id}}", f"{BASE}/AllergyIntolerance/{{allergy}}",
    ),
    Wanted(
        FHIR, "read-nothing", "An id that this server never gave, or whose resource isn't for the caller", "gp",
        "GET", f"{BASE}/AllergyIntolerance/{{id}}", f"{BASE}/AllergyIntolerance/{'a' * 35}.{'b' * 18}",
    ),
    Wanted(
        FHIR, "search-observations-page", "The newest two results; the link next leads on", "gp",
        "GET", f"{BASE}/Observation", f"{BASE}/Observation?patient={GRACE}&_sort=-date&_count=2",
    ),
    Wanted(
        FHIR, "post-search-medicines", "The same by POST: nothing of it stands in an address", "gp",
        "POST", f"{BASE}/MedicationStatement/_search", form=f"patient={GRACE}&_count=1",
    ),
    Wanted(
        FHIR, "compartment-encounters", "One patient's encounters, with the patient in the address", "gp",
        "GET", f"{BASE}/Patient/{{id}}/Encounter", f"{BASE}/Patient/{GRACE}/Encounter?_count=1",
    ),
    Wanted(
        FHIR, "everything-page", "The whole record, three at a time", "gp",
        "GET", f"{BASE}/Patient/{{id}}/$everything", f"{BASE}/Patient/{GRACE}/$everything?_count=3",
    ),
    Wanted(
        FHIR, "summary", "The International Patient Summary: empty sections say why they are", "gp",
        "GET", f"{BASE}/Patient/{{id}}/$summary", f"{BASE}/Patient/{AALIYAH}/$summary",
    ),
    Wanted(
        FHIR, "batch", "Two questions at once; each has its own status", "gp",
        "POST", BASE,
        body={
            "resourceType": "Bundle", "type": "batch",
            "entry": [
                {"request": {"method": "GET", "url": f"AllergyIntolerance?patient={GRACE}&_summary=count"}},
                {"request": {"method": "GET", "url": f"Observation?patient={HAROLD}"}},
            ],
        },
    ),
    Wanted(
        OWN, "sources", "What each organisation's system said last", "gp",
        "GET", "/sources",
    ),
    Wanted(
        FHIR, "search-partial", "One source can't be read: three signals say that this isn't all", "gp",
        "GET", f"{BASE}/AllergyIntolerance", f"{BASE}/AllergyIntolerance?patient={GRACE}&_count=1", down=("RJ2",),
    ),
    Wanted(
        FHIR, "search-unavailable", "Nobody could answer. It doesn't mean that there is nothing", "gp",
        "GET", f"{BASE}/AllergyIntolerance", f"{BASE}/AllergyIntolerance?patient={GRACE}", down=ALL_SOURCES,
    ),
    Wanted(
        FHIR, "search-unknown-parameter", "A parameter that isn't offered is refused, not ignored", "gp",
        "GET", f"{BASE}/Observation", f"{BASE}/Observation?patient={GRACE}&subject.name=x",
    ),
    Wanted(
        FHIR, "search-xml", "FHIR XML isn't offered", "gp",
        "GET", f"{BASE}/Observation", f"{BASE}/Observation?patient={GRACE}", accept="application/fhir+xml",
    ),
    Wanted(
        OWN, "too-many", "More than fair use allows: the text and Retry-After say when to try again", "hospital-doctor",
        "POST", "/permissions", body=_UNASKED,
    ),
    Wanted(
        OWN, "opt-out", "The patient opts out, by phone", "privacy-officer",
        "POST", "/sharing-choices",
        body={"nhsNumber": SIOBHAN, "choice": "opted-out", "statedBy": "patient", "channel": "phone"},
    ),
    Wanted(
        OWN, "record-opted-out", "There is no Connect Care record of this patient", "gp",
        "POST", "/records", body={"nhsNumber": SIOBHAN},
    ),
    Wanted(
        OWN, "audit-of-patient", "Who looked at this patient's record", "privacy-officer",
        "POST", "/audit/_search", body={"nhsNumber": SIOBHAN},
    ),
    Wanted(
        OWN, "desk", "What the privacy officer must look into", "privacy-officer",
        "POST", "/desk/_search", body={"kinds": ["best-interests"]},
    ),
)  # fmt: skip
"""Each door that an engineer meets on the first day, and the refusals that they must handle."""
