"""`POST /fhir/R4`: up to twenty reads and searches in one request. Each entry is a request of its own.

An entry goes the way that it would go alone: through the same routes, the same pipeline, with its own permission, its
own intent and release in the journal, under the batch's request id and its place in it (`<id>.3`). What fails, fails
alone, and no entry is lost. The answer's bytes are put into the batch-response as they are, so that each resource in it
is, byte by byte, what the journal's digests are of.

Source: FHIR R4, RESTful API, batch/transaction. Of the batch there are only reads here: Connect Care writes nothing,
and what must succeed or fail together (`transaction`) has no meaning for questions.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import msgspec
from fastapi import APIRouter, Request, Response
from starlette.types import Message, Scope

from gateway import log
from gateway.api.batch_entries import Wanted, check_parameters, entries_of, wanted
from gateway.api.bundle import SOURCES_HEADER, to_json
from gateway.api.door import Door, opened
from gateway.api.http import FHIR_JSON, authorization, read_json, request_id
from gateway.api.outcome import operation_outcome
from gateway.audit.entries import entry_id
from gateway.errors import GatewayError
from gateway.fair_use.count import Use

router = APIRouter(prefix="/fhir/R4", include_in_schema=False)
AT_ONCE: Final = 4
"""How many entries of one batch are under way together: one batch must not take what twenty people wait for."""
_TOLD: Final = "https://connect-care.example/fhir/StructureDefinition/"
_EXTENSIONS: Final = ((SOURCES_HEADER.lower(), f"{_TOLD}sources"), ("retry-after", f"{_TOLD}retry-after"))
"""Headers of an answer that a batch-response has no place for, and that a reader must not lose."""
# What is the batch's own: its body, its id, and what HTTP says of this one hop.
_NOT_PASSED_ON: Final = frozenset(
    {b"accept-encoding", b"connection", b"content-length", b"content-type", b"expect", b"transfer-encoding"}
    | {b"x-request-id"}
)


@router.post("")
async def batch(request: Request) -> Response:
    """A batch-response with an entry for each entry, in their order."""
    async with opened(request) as door:
        check_parameters(request.scope["query_string"], request.headers.get("accept"))
        entries = entries_of(await read_json(request, door.parts.settings.max_body_bytes))
    places = asyncio.Semaphore(AT_ONCE)
    runs = (_Entry(request, door, place, entry).answered(places) for place, entry in enumerate(entries, start=1))
    return Response(_response(await asyncio.gather(*runs)), media_type=FHIR_JSON)


@dataclass(frozen=True, slots=True)
class _Answer:
    """What one entry came to."""

    status: int
    headers: dict[str, str]
    body: bytes

    def as_entry(self) -> dict[str, Any]:
        """As `Bundle.entry`: the resource where it's an answer, the outcome where it's a refusal."""
        response: dict[str, Any] = {"status": _status_line(self.status)}
        told = [{"url": url, "valueString": self.headers[name]} for name, url in _EXTENSIONS if self.headers.get(name)]
        if told:
            response = {"extension": told, **response}
        if not self.body:
            return {"response": response}
        if self.status < 400:
            return {"resource": msgspec.Raw(self.body), "response": response}
        return {"response": {**response, "outcome": msgspec.Raw(self.body)}}


def _status_line(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _response(answers: Iterable[_Answer]) -> bytes:
    bundle: dict[str, Any] = {"resourceType": "Bundle", "id": str(uuid.uuid4()), "type": "batch-response"}
    entries = [answer.as_entry() for answer in answers]
    return to_json({**bundle, "entry": entries} if entries else bundle)


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry, on its way."""

    request: Request
    door: Door
    place: int
    entry: Any

    @property
    def request_id(self) -> str:
        return entry_id(request_id(self.request), self.place)

    async def answered(self, places: asyncio.Semaphore) -> _Answer:
        """The entry's answer, whatever becomes of it. Raises nothing but the end of the request itself."""
        async with places:
            try:
                return await self._asked(wanted(self.entry, self.place))
            except GatewayError as error:
                return await self._refused(error)
            except Exception as error:
                log.failed("request.fault", error, request_id=self.request_id)
                return self._told(GatewayError("Something went wrong here, and was noted. Try again.", rule="fault"))

    async def _asked(self, asked: Wanted) -> _Answer:
        collected = _Collected()
        await self.request.app(self._scope(asked), _no_body, collected.send)
        body = b"" if asked.method == "HEAD" else bytes(collected.body)
        if body and not collected.headers.get("content-type", "").startswith(FHIR_JSON):
            raise AssertionError("an answer that isn't FHIR JSON can't be put into a Bundle")
        return _Answer(collected.status, collected.headers, body)

    def _scope(self, asked: Wanted) -> Scope:
        """A request of its own, with the client's own headers and what it presented for sign-in: that is identified
        again for each entry, and a one-time proof is spent once for all of them."""
        outer = self.request.scope
        headers = [(name, value) for name, value in outer["headers"] if name.lower() not in _NOT_PASSED_ON]
        kept = ("type", "asgi", "http_version", "scheme", "server", "client", "root_path")
        return {
            **{name: outer[name] for name in kept if name in outer},
            "method": asked.method,
            "path": asked.path,
            "raw_path": asked.path.encode(),
            "query_string": asked.query,
            "headers": [*headers, (b"x-request-id", self.request_id.encode())],
            "state": {"presented": authorization(self.request), "parts": self.door.parts},
        }

    async def _refused(self, error: GatewayError) -> _Answer:
        """What is wrong with an entry before it can be asked is a request too, and a row."""
        try:
            await self.door.parts.fair_use.demand(self.door.caller, self.request_id, self.door.name, Use.REQUEST)
            await self.door.parts.journal.refuse(error, self.door.caller, self.request_id, self.door.name)
        except GatewayError as instead:
            return self._told(instead)
        return self._told(error)

    def _told(self, error: GatewayError) -> _Answer:
        headers = {name.lower(): value for name, value in error.headers.items()}
        return _Answer(error.status, headers, operation_outcome(error, self.request_id))


class _Collected:
    """The answer of one entry, as the application sends it."""

    def __init__(self) -> None:
        self.status = 500
        self.headers: dict[str, str] = {}
        self.body = bytearray()

    async def send(self, message: Message) -> None:
        """One message of ASGI."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {
                name.decode("latin-1").lower(): value.decode("latin-1") for name, value in message["headers"]
            }
        elif message["type"] == "http.response.body":
            self.body += message.get("body", b"")


async def _no_body() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}
