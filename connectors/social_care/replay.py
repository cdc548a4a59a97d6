"""Answers the connector's own calls from saved payloads: `connectcare connector replay social_care FILE…`.

A payload is a Bundle as the facade sent it. One that holds nothing but one kind of match answers that call byte for
byte, so that a cap or a missing total shows as it did. One that holds several kinds (someone put a whole person into
one file) is taken apart; then its totals are those of the file. A call that no payload answers is answered 404: that
section has a gap, since what isn't in the files isn't known.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import msgspec

from connectors.sdk.errors import WrongContent
from connectors.sdk.model import NHS_NUMBER_SYSTEM
from connectors.sdk.port import Call, Reply, Transport

_MATCHES: Final = ("Patient", "EpisodeOfCare", "Encounter")
_NOBODY: Final = b'{"resourceType":"Bundle","type":"searchset","total":0}'


class _Head(msgspec.Struct):
    resourceType: str  # noqa: N815


class _Entry(msgspec.Struct):
    resource: msgspec.Raw = msgspec.Raw(b"{}")


class _Bundle(msgspec.Struct):
    entry: list[_Entry] = []


class _Saved:
    """One call's reply."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self._body = body

    def header(self, name: str) -> str:
        return "application/fhir+json" if name.lower() == "content-type" else ""

    async def chunks(self) -> AsyncIterator[bytes]:
        yield self._body


class Replay:
    """A Transport without a network."""

    def __init__(self, answers: dict[str, bytes], nhs_number: str) -> None:
        self._answers = answers
        self._identifier = f"{NHS_NUMBER_SYSTEM}|{nhs_number}"

    @asynccontextmanager
    async def send(self, call: Call) -> AsyncIterator[Reply]:
        """See Transport. The facade knows one person: by the number that the replay is about, and by no other."""
        parts = urlsplit(call.url)
        kind = parts.path.rpartition("/")[2]
        if kind == "Patient" and dict(parse_qsl(parts.query)).get("identifier") != self._identifier:
            yield _Saved(200, _NOBODY)
        elif kind in self._answers:
            yield _Saved(200, self._answers[kind])
        else:
            yield _Saved(404, b"{}")

    async def aclose(self) -> None:
        """See Transport."""


def replaying(payloads: Sequence[bytes], nhs_number: str) -> Transport:
    """A Transport that answers for the person of these payloads. Raises WrongContent for one that isn't a Bundle."""
    read = [(payload, _resources(payload)) for payload in payloads]
    answers = {kind: found for kind in _MATCHES if (found := _answer(kind, read))}
    unanswered = [kind for kind in _MATCHES if kind not in answers]
    empty = [payload for payload, found in read if not found]
    # Which call an empty answer was to can't be seen: it counts where there is one for each that is left.
    if len(empty) >= len(unanswered) or not answers:
        answers.update(zip(unanswered, empty, strict=False))
    return Replay(answers, nhs_number)


def _resources(payload: bytes) -> list[tuple[str, msgspec.Raw]]:
    try:
        if msgspec.json.decode(payload, type=_Head).resourceType != "Bundle":
            raise WrongContent("a saved payload is not a Bundle")
        entries = msgspec.json.decode(payload, type=_Bundle).entry
        return [(msgspec.json.decode(one.resource, type=_Head).resourceType, one.resource) for one in entries]
    except ValueError as error:
        raise WrongContent("a saved payload is not a Bundle") from error


def _answer(kind: str, read: Sequence[tuple[bytes, list[tuple[str, msgspec.Raw]]]]) -> bytes | None:
    """The one payload about this kind as it is, or what all of them hold of it; None where none holds any."""
    about = [(payload, found) for payload, found in read if any(one == kind for one, _ in found)]
    if not about:
        return None
    if len(about) == 1 and not any(one in _MATCHES and one != kind for one, _ in about[0][1]):
        return about[0][0]
    others = set(_MATCHES) - {kind}
    kept = [raw for _, found in about for one, raw in found if one not in others]
    total = sum(one == kind for _, found in about for one, _ in found)
    body: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset", "total": total}
    return msgspec.json.encode({**body, "entry": [{"resource": raw} for raw in kept]})
