"""Several searches in one call (FHIR R4, "batch"): the source answers each by itself, in the order of the question.

One call costs a source and us less than a dozen, and stands as one line in the source's own access log. What comes is
taken apart here; each answer is then read like one that came alone (`connectors.sdk.bundle`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final, Required, TypedDict

import msgspec

from connectors.sdk.bundle import decode_within_bounds, refuse_crowds, refuse_doubled_keys
from connectors.sdk.errors import SourceError, WrongContent
from connectors.sdk.intake import check_status
from connectors.sdk.number import read_number


class _Response(TypedDict, total=False):
    status: Required[Annotated[str, msgspec.Meta(pattern=r"^[1-5][0-9][0-9]( |$)")]]
    location: str
    etag: str
    lastModified: str
    outcome: Any


class _Answered(TypedDict, total=False):
    response: Required[_Response]
    resource: msgspec.Raw
    fullUrl: str
    link: Any
    search: Any


class _Envelope(TypedDict, total=False):
    """What R4 puts into a batch-response; anything else is let pass, after a closer look at the keys."""

    resourceType: Required[str]
    type: Required[str]
    entry: Required[list[_Answered]]
    id: str
    meta: Any
    link: Any
    timestamp: str


_envelope: Final = msgspec.json.Decoder(_Envelope, float_hook=read_number)


def write_batch(searches: Sequence[str]) -> bytes:
    """A batch of GETs, as the body of a POST to the source's base address. `searches` are relative to that."""
    entries = [{"request": {"method": "GET", "url": search}} for search in searches]
    return msgspec.json.encode({"resourceType": "Bundle", "type": "batch", "entry": entries})


def read_batch(body: bytes, searches: Sequence[str]) -> dict[str, bytes | SourceError]:
    """By search, the body that came for it, or the error that its status means.

    Raises WrongContent where the body isn't a batch-response with one entry for each search: which answer belongs to
    which question is told by their order alone. Raises TooMuch beyond the bounds of one body.
    """
    refuse_crowds(body)
    envelope: _Envelope = decode_within_bounds(_envelope, body)
    entries = envelope["entry"]
    if (envelope["resourceType"], envelope["type"]) != ("Bundle", "batch-response"):
        raise WrongContent("the answer to a batch is not a batch-response")
    if len(entries) != len(searches):
        raise WrongContent("the answer to a batch does not have one entry for each search")
    # Keys inside each answer are looked at by whoever reads it: here, its colons count as they are.
    bodies = [bytes(entry.pop("resource", b"")) for entry in entries]
    colons = msgspec.json.encode(envelope).count(b":") + sum(1 + found.count(b":") for found in bodies if found)
    refuse_doubled_keys(body, colons)
    return {search: _one(entry, found) for search, entry, found in zip(searches, entries, bodies, strict=True)}


def _one(entry: _Answered, body: bytes) -> bytes | SourceError:
    try:
        check_status(int(entry["response"]["status"][:3]))
    except SourceError as error:
        return error
    return body or WrongContent("a search in a batch was answered without a body")
