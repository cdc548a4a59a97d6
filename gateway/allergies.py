"""What an AllergyIntolerance says: that there is an allergy, or that none is known, and of which kind.

FHIR writes "no known allergies" as one more AllergyIntolerance. Taking it for an allergy, or an allergy for it, are
both dangerous; so are "no known food allergies" read as "no known allergies", and a statement that was taken back.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from connectors.sdk.model import Item, Resource

_SNOMED: Final = "http://snomed.info/sct"
_IPS: Final = "http://hl7.org/fhir/uv/ips/CodeSystem/absent-unknown-uv-ips"
ANY: Final = "any"
_NO_KNOWN_ALLERGY: Final[Mapping[tuple[str, str], str]] = {
    (_SNOMED, "716186003"): ANY,  # No known allergy
    (_SNOMED, "160244002"): ANY,  # No known allergies (retired, in older records)
    (_SNOMED, "409137002"): "medication",  # No known drug allergy
    (_SNOMED, "429625007"): "food",  # No known food allergy
    (_SNOMED, "428607008"): "environment",  # No known environmental allergy
    (_SNOMED, "428197003"): "environment",  # No known insect allergy
    (_SNOMED, "716220001"): "environment",  # No known animal allergy
    (_SNOMED, "716184000"): "environment",  # No known latex allergy
    (_SNOMED, "1003774007"): "environment",  # No known Hevea brasiliensis latex allergy
    (_IPS, "no-known-allergies"): ANY,
    (_IPS, "no-known-medication-allergies"): "medication",
    (_IPS, "no-known-food-allergies"): "food",
    (_IPS, "no-known-environmental-allergies"): "environment",
    (_IPS, "no-allergy-info"): "",
}
"""What each statement denies: every allergy, or those of one `AllergyIntolerance.category`; "" denies none: it says
that nobody asked. (HL7, AllergyIntolerance Substance/Product, Condition and Negation Codes; IPS, absent or unknown.)"""
_DRUGS: Final = frozenset({_SNOMED, "https://dmd.nhs.uk"})
_IN_WORDS: Final = re.compile(
    r"\W*(?:(?:no|nil) (?:known )?(drug |medication |food |environmental |latex |insect |animal |other )?"
    r"allerg(?:y|ies)(?: known| recorded)?|(?:nil|none) known|(nkda)|nka)\W*"
)
_CATEGORY_OF_WORD: Final = {
    "": ANY,
    "drug": "medication",
    "medication": "medication",
    "nkda": "medication",
    "food": "food",
}
_NOT_TRUE: Final = frozenset({"refuted", "entered-in-error"})
_NO_LONGER: Final = frozenset({"inactive", "resolved"})


def is_no_known_allergy(item: Item) -> bool:
    """True for a statement that the patient has no (known) allergy, or none of a kind, rather than an allergy."""
    return denied_category(item) is not None


def denied_category(item: Item) -> str | None:
    """What the statement denies (see `_NO_KNOWN_ALLERGY`); None for an allergy.

    A concept that also carries the code of a substance is an allergy: it must not go unseen for a contradictory code.
    """
    return denied_by(item.resource)


def denied_by(resource: Resource) -> str | None:
    """The same, of the resource."""
    concept = resource.get("code", {})
    denied: str | None = None
    for coding in concept.get("coding", ()):
        found = _NO_KNOWN_ALLERGY.get((coding.get("system"), coding.get("code")))
        if found is None and coding.get("system") in _DRUGS:
            return None
        denied = found if denied is None else denied
    return _denied_in_words(concept) if denied is None else denied


def _denied_in_words(concept: Mapping[str, Any]) -> str | None:
    """For what has no code that we know. The whole text must say it: not "no known allergies except penicillin"."""
    texts = [concept.get("text"), *(coding.get("display") for coding in concept.get("coding", ()))]
    said = [_IN_WORDS.fullmatch(text.casefold()) for text in texts if isinstance(text, str)]
    if not said or not all(said):
        return None
    word = next((match[1] or match[2] or "" for match in said if match), "")
    return _CATEGORY_OF_WORD.get(word.strip(), "environment")


def stands(item: Item) -> bool:
    """False for what its source takes back: refuted, entered in error, or a "no known allergy" that no longer holds."""
    if _codes(item, "verificationStatus") & _NOT_TRUE:
        return False
    return not (is_no_known_allergy(item) and _codes(item, "clinicalStatus") & _NO_LONGER)


def _codes(item: Item, name: str) -> set[str]:
    return {str(coding.get("code")) for coding in item.resource.get(name, {}).get("coding", ())}


def contradicts(statement: Item, allergy: Item) -> bool:
    """True where a "no known allergy" denies an allergy of this kind, or one of which the kind isn't recorded."""
    denied = denied_category(statement)
    categories = allergy.resource.get("category", ())
    return bool(denied) and (denied == ANY or not categories or denied in categories)
