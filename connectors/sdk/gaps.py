"""What a part of an answer that didn't come whole leaves in its section: the same for every connector."""

from __future__ import annotations

from typing import Final

from connectors.sdk.bundle import Entry
from connectors.sdk.errors import Refused, SourceError, SourceTimeout, TooMuch
from connectors.sdk.model import Gap

_OMITTING: Final = frozenset(
    {"incomplete", "suppressed", "timeout", "throttled", "too-costly", "forbidden", "security"}
)


def gap_of(error: SourceError) -> Gap:
    """What a failed call means for the section that it was made for."""
    if isinstance(error, SourceTimeout):
        return Gap.TIMED_OUT
    if isinstance(error, Refused):
        return Gap.REFUSED
    return Gap.TOO_MUCH if isinstance(error, TooMuch) else Gap.FAILED


def tells_of_omission(entry: Entry) -> bool:
    """True for an OperationOutcome entry that says that something is missing from the answer."""
    issues = entry.resource.get("issue")
    return str(entry.resource["resourceType"]) == "OperationOutcome" and any(
        issue.get("severity") in ("fatal", "error") or issue.get("code") in _OMITTING
        for issue in (issues if isinstance(issues, list) else ())
        if isinstance(issue, dict)
    )
