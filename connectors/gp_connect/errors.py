"""What a practice's system means by an error: GP Connect's own codes, matched whatever their system is.

    NO_PATIENT_CONSENT        Dissented            withheld: the patient's dissent is never overridden
    NO_ORGANISATION_CONSENT   NotSharedWithUs      withheld
    NO_RELATIONSHIP           NoRelationship       refused
    ACCESS_DENIED             AccessDenied         refused
    NON_AUTHORITATIVE         NotAuthoritative     refused
    PATIENT_NOT_FOUND         NothingToShare       no record: also of inactive, deceased, sensitive patients
    NO_RECORD_FOUND           NothingToShare
    INVALID_NHS_NUMBER        NumberRefused        not understood
    INVALID_PATIENT_DEMOGRAPHICS  NotTraced        not understood
    NOT_IMPLEMENTED           NotOffered           not understood
    other codes of a request that can't be served  NotUnderstood
    INTERNAL_SERVER_ERROR     Unwell

Only the code is read: `diagnostics` may repeat the NHS number, and go nowhere. Where no code is known the HTTP status
decides (`connectors.sdk.intake.check_status`), as for the Spine Secure Proxy's own refusals.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from connectors.sdk.errors import (
    Busy,
    NoRecord,
    NotUnderstood,
    Refused,
    SourceError,
    Unusable,
    Unwell,
    Withheld,
    WrongContent,
)


class Dissented(Withheld):
    """The patient has dissented from sharing the record at the practice. There is no emergency that overrides it."""

    told = (
        "withholds this record because the patient does not agree to the practice sharing it; "
        "this can't be overridden here, not in an emergency either"
    )


class NotSharedWithUs(Withheld):
    """The practice doesn't share with the caller's organisation."""

    told = "withholds this record because the practice does not share records with your organisation"


class ForCareOnly(Refused):
    """GP Connect is for direct care, and its token says so in the caller's name: nothing else is asked through it, and
    nobody says that it were care (GP Connect, "Cross-organisation audit and provenance": `reason_for_request`)."""

    told = "can be asked for direct care only: put the request to the practice itself"


class NoRelationship(Refused):
    """The practice's system sees no legitimate relationship between the caller and the patient."""

    told = "refuses this record because its system knows of no relationship between your organisation and the patient"


class AccessDenied(Refused):
    """GP Connect, or this part of it, isn't switched on at the practice, or not for the caller's organisation."""

    told = "refuses access: sharing of this kind is not switched on there, or not for your organisation"


class NotAuthoritative(Refused):
    """The practice's system says that another one holds the record that counts."""

    told = "refuses this record because another system holds the one that counts"


class NothingToShare(NoRecord):
    """No record that could be shared. GP Connect says the same of a record that is inactive, of a patient who has died,
    is sensitive, or is registered elsewhere: so this doesn't say that there is none."""

    told = (
        "has no record of this patient that it can share: the patient may not be registered there, "
        "or the record may be closed or protected"
    )


class NumberRefused(NotUnderstood):
    """The practice's system doesn't take the NHS number, though its check digit is right."""

    told = "did not accept this NHS number"


class NotTraced(NotUnderstood):
    """The practice's system couldn't match the patient with the national register."""

    told = "could not match this patient with the national register"


class NotOffered(NotUnderstood):
    """The practice's system doesn't implement the question."""

    told = "does not offer this kind of record"


class NoRoute(Unusable):
    """The directory names no endpoint or no ASID, or several: nobody guesses where a patient's data comes from."""

    told = "could not be found in the national directory of GP systems"


class NoSender(Unusable):
    """There is no ASID for the caller's organisation, and nobody is asked under another's."""

    told = "can't be asked for your organisation, which has no entry in the national directory"


_MEANING: Final[Mapping[str, type[SourceError]]] = {
    "NO_PATIENT_CONSENT": Dissented,
    "NO_ORGANISATION_CONSENT": NotSharedWithUs,
    "NO_RELATIONSHIP": NoRelationship,
    "ACCESS_DENIED": AccessDenied,
    "ACCESS DENIED": AccessDenied,
    "NON_AUTHORITATIVE": NotAuthoritative,
    "INVALID_NHS_NUMBER": NumberRefused,
    "INVALID_PATIENT_DEMOGRAPHICS": NotTraced,
    "NOT_IMPLEMENTED": NotOffered,
    "BAD_REQUEST": NotUnderstood,
    "INVALID_PARAMETER": NotUnderstood,
    "INVALID_RESOURCE": NotUnderstood,
    "INVALID_IDENTIFIER_SYSTEM": NotUnderstood,
    "INVALID_IDENTIFIER_VALUE": NotUnderstood,
    "INVALID_ODS_CODE": NotUnderstood,
    "REFERENCE_NOT_FOUND": NotUnderstood,
    "ORGANISATION_NOT_FOUND": NotUnderstood,
    "PRACTITIONER_NOT_FOUND": NotUnderstood,
    "INTERNAL_SERVER_ERROR": Unwell,
    "PATIENT_NOT_FOUND": NothingToShare,
    "NO_RECORD_FOUND": NothingToShare,
}
"""In order: where an answer carries several codes the first here decides, so that a refusal never looks like no record.
The specification writes `ACCESS DENIED` both ways."""

_OF_FAILURES: Final = frozenset({"NOT_IMPLEMENTED"})
"""The codes that say more than a status from 500 on does: no other is believed beside one."""


class _Coding(msgspec.Struct):
    code: str = ""


class _Details(msgspec.Struct):
    coding: list[_Coding] = []


class _Issue(msgspec.Struct):
    details: _Details = msgspec.field(default_factory=_Details)


class _Outcome(msgspec.Struct):
    resourceType: Literal["OperationOutcome"]  # noqa: N815
    issue: list[_Issue] = []


_decode: Final = msgspec.json.Decoder(_Outcome).decode


def meant(error: SourceError) -> SourceError:
    """What the practice says by the body of an error; the error itself where it says no more than its status."""
    codes = _codes_of(error.said)
    if isinstance(error, Busy):
        return error
    if isinstance(error, Unwell):
        codes &= _OF_FAILURES
    return _named(codes, f"{error}: ") or error


def instead(body: bytes) -> SourceError:
    """The error of what came with status 200 and isn't a Bundle."""
    return _named(_codes_of(body), "") or WrongContent("the answer is not a Bundle")


def _named(codes: frozenset[str], before: str) -> SourceError | None:
    return next((kind(f"{before}{code}") for code, kind in _MEANING.items() if code in codes), None)


def _codes_of(body: bytes) -> frozenset[str]:
    try:
        outcome = _decode(body)
    except (ValueError, RecursionError):
        return frozenset()
    return frozenset(coding.code for issue in outcome.issue for coding in issue.details.coding)
