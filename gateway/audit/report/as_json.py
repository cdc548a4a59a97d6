"""The report as JSON, and back: in one spelling, so that two that say the same are the same bytes."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from gateway.audit.report.model import Report


class NotAReport(ValueError):
    """The bytes aren't an access report. The text says why not."""


def as_json(report: Report) -> bytes:
    """Indented, in the order of the shape: what a person asks first stands first, and the proof at the end."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"


def from_json(data: bytes) -> Report:
    """Raises NotAReport for another shape: an unknown member, one that stands twice, a type that doesn't fit."""
    try:
        json.loads(data, object_pairs_hook=_once)
        return msgspec.json.decode(data, type=Report)
    except (ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise NotAReport(f"This isn't an access report of Connect Care: {error}.") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member stands twice")
    return members
