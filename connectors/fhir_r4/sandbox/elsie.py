"""Elsie Thompson, 89: what each organisation holds of her, and the codes that her record is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

Coded = tuple[str, str]

NHS_NUMBER: Final = "9990000964"


@dataclass(frozen=True, slots=True)
class Place:
    """What of Elsie's record one organisation holds, and who of its people (local ids) wrote it."""

    name: str
    organisation: str
    practitioner: str
    location: str
    dmd: bool
    observations: int
    reports: int
    encounters: int
    appointments: int
    medicines: slice
    conditions: slice


PLACES: Final[Mapping[str, Place]] = {
    "G85005": Place(
        "South Lewisham Group Practice", "5368096", "8115624", "8974966", False, 48, 8, 18, 3, slice(0, 18), slice(0, 9)
    ),
    "RJ2": Place(
        "Lewisham and Greenwich NHS Trust",
        "e5972667-0f4d-5985-a154-d608b728ba25",
        "5aaee3d9-d77e-5eec-99f6-a4d0b2a8555e",
        "2e4fe694-7603-5e0e-ba5a-bca049e08163",
        True,
        62,
        10,
        16,
        4,
        slice(4, 16),
        slice(2, 6),
    ),
    "RPG": Place(
        "Oxleas NHS Foundation Trust",
        "080026b4-01e2-5858-a047-5cad401de963",
        "82ca1b23-351a-54da-8f9e-529498d13980",
        "9611553d-ef29-54ab-ab5c-64d21e44f250",
        False,
        18,
        2,
        38,
        6,
        slice(8, 15),
        slice(6, 9),
    ),
}

MEDICINES: Final[Sequence[tuple[str, str, str, str, str]]] = (
    ("330062008", "Allopurinol 300mg tablets", "300", "mg", "once daily"),
    ("321745007", "Amitriptyline 10mg tablets", "10", "mg", "at night"),
    ("320030001", "Atorvastatin 20mg tablets", "20", "mg", "at night"),
    ("319799004", "Clopidogrel 75mg tablets", "75", "mg", "once daily"),
    ("317896006", "Digoxin 125microgram tablets", "125", "ug", "once daily"),
    ("318783003", "Doxazosin 4mg tablets", "4.0", "mg", "once daily"),
    ("327438003", "Ferrous sulfate 200mg tablets", "200", "mg", "twice daily"),
    ("327550006", "Folic acid 5mg tablets", "5", "mg", "once daily"),
    ("317972000", "Furosemide 40mg tablets", "40", "mg", "once daily"),
    ("374296008", "Levothyroxine sodium 100microgram tablets", "100", "ug", "once daily"),
    ("318859000", "Lisinopril 10mg tablets", "10", "mg", "once daily"),
    ("325278007", "Metformin 500mg tablets", "0.50", "g", "twice daily"),
    ("317291008", "Omeprazole 20mg gastro-resistant capsules", "20", "mg", "once daily"),
    ("322280009", "Paracetamol 500mg capsules", "1.00", "g", "four times daily"),
    ("318906001", "Ramipril 10mg capsules", "10", "mg", "once daily"),
    ("39113611000001102", "Salbutamol 100micrograms/dose inhaler CFC free", "200", "ug", "when required"),
    ("38754011000001109", "Tamsulosin 400microgram modified-release capsules", "400", "ug", "once daily"),
    ("321177003", "Zopiclone 3.75mg tablets", "3.75", "mg", "at night"),
)
CONDITIONS: Final[Sequence[Coded]] = (
    ("59621000", "Essential hypertension"),
    ("44054006", "Diabetes mellitus type 2"),
    ("84114007", "Heart failure"),
    ("49436004", "Atrial fibrillation"),
    ("433144002", "Chronic kidney disease stage 3"),
    ("13645005", "Chronic obstructive lung disease"),
    ("396275006", "Osteoarthritis"),
    ("64859006", "Osteoporosis"),
    ("129839007", "At risk for falls"),
)
TESTS: Final[Sequence[tuple[Coded, Coded, str, str, str]]] = (
    (("1000731000000107", "Serum creatinine level"), ("14682-9", "Creatinine"), "umol/L", "45", "84"),
    (("1000651000000109", "Serum potassium level"), ("2823-3", "Potassium"), "mmol/L", "3.50", "5.30"),
    (("1000661000000107", "Serum sodium level"), ("2951-2", "Sodium"), "mmol/L", "133", "146"),
    (("1022431000000105", "Haemoglobin estimation"), ("718-7", "Hemoglobin"), "g/L", "115", "165"),
    (("1022571000000108", "Basophil count"), ("704-7", "Basophils"), "10*9/L", "0.00", "0.10"),
    (("1022541000000102", "Total white cell count"), ("6690-2", "Leukocytes"), "10*9/L", "4.0", "10.0"),
)
REASONS: Final[Sequence[Coded]] = (
    ("84114007", "Heart failure"),
    ("267036007", "Dyspnea"),
    ("225358003", "Wound care"),
    ("44054006", "Diabetes mellitus type 2"),
    ("217082002", "Accidental fall"),
)
