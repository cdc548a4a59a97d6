"""What each kind of case means, in a sentence for the officer who reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.desk.model import CaseKind

TITLES: Final[Mapping[CaseKind, str]] = {
    CaseKind.BEST_INTERESTS: "Look in the patient's best interests",
    CaseKind.OWN_RECORD: "Look at one's own record",
    CaseKind.SAME_SURNAME: "Same surname",
    CaseKind.SAME_ADDRESS: "Same address",
    CaseKind.COLLEAGUE: "Look at a colleague",
    CaseKind.UNUSUAL_VOLUME: "Unusually many looks",
    CaseKind.NO_RELATIONSHIP: "No care relationship found",
}
"""In a few words, for a list."""

MEANS: Final[Mapping[CaseKind, str]] = {
    CaseKind.BEST_INTERESTS: (
        "Somebody looked, or may look, without the patient's word, and said that it is in the patient's best interests."
    ),
    CaseKind.OWN_RECORD: "Somebody looked at their own record.",
    CaseKind.SAME_SURNAME: "Somebody looked at the record of a patient who has, or had, the same surname.",
    CaseKind.SAME_ADDRESS: "Somebody looked at the record of a patient who lives, or lived, at the same address.",
    CaseKind.COLLEAGUE: "Somebody looked at the record of a patient who works in the same organisation.",
    CaseKind.UNUSUAL_VOLUME: (
        "Somebody looked at the records of unusually many patients within 24 hours, or asked for more than fair use "
        "allows."
    ),
    CaseKind.NO_RELATIONSHIP: (
        "Somebody looked, and nothing that the sources said shows that their organisation cares for the patient."
    ),
}
