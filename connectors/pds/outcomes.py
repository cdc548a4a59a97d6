"""The register's OperationOutcomes, read for their codes alone: `diagnostics` repeat what was asked.

Its own codes stand in `issue.details.coding` (Spine-ErrorOrWarningCode). The code decides, whatever its system.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from connectors.sdk.errors import Invalidated, NoRecord, NotUnderstood, SourceError, Unwell, WrongContent

TOO_MANY_MATCHES: Final = "TOO_MANY_MATCHES"

_MEANING: Final[tuple[tuple[str, type[SourceError], str], ...]] = (
    ("INVALIDATED_RESOURCE", Invalidated, "the number was invalidated"),
    ("RESOURCE_NOT_FOUND", NoRecord, "nobody has the number"),
    ("not-found", NoRecord, "nobody has the number"),
    ("UNABLE_TO_CALL_SERVICE", Unwell, "the register's own back end did not answer it"),
    ("not-supported", NotUnderstood, "the register does not support the question"),
)
"""Codes that say more than their status does, the most particular first."""


class _Coding(msgspec.Struct):
    code: str = ""


class _Details(msgspec.Struct):
    coding: list[_Coding] = []


class _Issue(msgspec.Struct):
    code: str = ""
    details: _Details = msgspec.field(default_factory=_Details)


class _Outcome(msgspec.Struct):
    resourceType: Literal["OperationOutcome"]  # noqa: N815
    issue: list[_Issue] = []


_decode: Final = msgspec.json.Decoder(_Outcome).decode


def codes_of(body: bytes) -> frozenset[str] | None:
    """Every code in the issues of an OperationOutcome; None for anything else."""
    try:
        outcome = _decode(body)
    except (ValueError, RecursionError):
        return None
    own = {coding.code for issue in outcome.issue for coding in issue.details.coding}
    return frozenset(own | {issue.code for issue in outcome.issue})


def meant(error: SourceError) -> SourceError:
    """What the register says by the body of a 4xx; the error itself where that says no more than its status."""
    if not isinstance(error, NotUnderstood):
        return error
    return _named(codes_of(error.said) or frozenset()) or error


def instead(codes: frozenset[str]) -> SourceError:
    """The error of an OperationOutcome that came with status 200, where a Patient or a searchset belongs."""
    return _named(codes) or WrongContent("an OperationOutcome came in place of an answer")


def _named(codes: frozenset[str]) -> SourceError | None:
    return next((kind(text) for code, kind, text in _MEANING if code in codes), None)
