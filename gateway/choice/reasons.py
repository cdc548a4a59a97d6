"""The national reasons for a look without the patient's word, and which of them are a clinician's to give.

The list is that of the national alerts to privacy officers (NHS England, Information Governance of the Spine: public
interest, statute, court order, self-claimed emergency, emergency, other).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class ReasonCode(StrEnum):
    """One reason of the national list."""

    EMERGENCY = "emergency"
    SELF_CLAIMED_EMERGENCY = "self-claimed-emergency"
    OTHER = "other"
    PUBLIC_INTEREST = "public-interest"
    STATUTE = "statute"
    COURT_ORDER = "court-order"


DISPLAY: Final[Mapping[ReasonCode, str]] = MappingProxyType(
    {
        ReasonCode.EMERGENCY: "Emergency",
        ReasonCode.SELF_CLAIMED_EMERGENCY: "Self-claimed emergency",
        ReasonCode.OTHER: "Other",
        ReasonCode.PUBLIC_INTEREST: "Public interest",
        ReasonCode.STATUTE: "Statute",
        ReasonCode.COURT_ORDER: "Court order",
    }
)

AT_THE_POINT_OF_CARE: Final[Mapping[ReasonCode, str]] = MappingProxyType(
    {
        ReasonCode.EMERGENCY: "the patient needs emergency treatment where you work",
        ReasonCode.SELF_CLAIMED_EMERGENCY: "an emergency that nothing but your word shows yet",
        ReasonCode.OTHER: "the patient can't be asked, and it is no emergency",
    }
)
"""What a clinician may give for acting in a patient's best interests, and when each is meant."""

FOR_DISCLOSURE: Final = frozenset({ReasonCode.PUBLIC_INTEREST, ReasonCode.STATUTE, ReasonCode.COURT_ORDER})
"""Reasons of the law. They concern others than those who treat the patient, and need a reference and a recipient, so
they are a privacy officer's, for a disclosure; at the point of care they would be a way round the patient's word."""
