"""What a batch may hold: parse, allow-list, rebuild. Nothing of an entry travels further but a method, a path of plain
letters and a query that the search's own parser then reads."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from gateway.audit.entries import MOST_ENTRIES
from gateway.errors import BadRequest, GatewayError, NotAllowed, NotSupported, TooLarge
from gateway.search.pairs import pairs_of
from gateway.search.parse import once
from gateway.search.representation import check_accept

_BASE: Final = "/fhir/R4/"
_OF_BUNDLE: Final = frozenset(
    {"resourceType", "id", "meta", "language", "type", "identifier", "timestamp", "link", "entry"}
)
_OF_ENTRY: Final = frozenset({"id", "fullUrl", "link", "request"})
_OF_REQUEST: Final = frozenset({"id", "method", "url"})
_METHODS: Final = ("GET", "HEAD")
_TYPE: Final = r"[A-Z][A-Za-z]{0,63}"
_OPERATION: Final = r"\$(?:everything|summary)"
_ID: Final = r"[A-Za-z0-9-][A-Za-z0-9.-]{0,63}"
# A type; a type and an id; and below that an operation on it, or the type of its compartment.
_PATH: Final = re.compile(rf"{_TYPE}(?:/{_ID}(?:/(?:{_OPERATION}|{_TYPE}))?)?", re.ASCII)
_QUERY: Final = re.compile(r"[!-\"$-~]*")
_LONGEST_URL: Final = 16_384


@dataclass(frozen=True, slots=True)
class Wanted:
    """One entry's request, rebuilt: a path below the FHIR address, and the query's bytes."""

    method: str
    path: str
    query: bytes


def check_parameters(query: bytes, accept: str | None) -> None:
    """Raises BadRequest, NotAcceptable: the batch itself takes `_format` alone."""
    pairs = pairs_of(query)
    check_accept(accept, dict(pairs).get("_format"))
    once(pairs, "A batch takes", ("_format",))


def entries_of(body: Any) -> list[Any]:
    """The entries of a batch Bundle, as they came. Raises BadRequest where the Bundle itself is wrong: then no entry is
    asked. Raises TooLarge for more than twenty."""
    if not isinstance(body, dict) or body.get("resourceType") != "Bundle":
        raise BadRequest("The body must be a Bundle of type batch.", rule="batch.not-a-bundle")
    if body.get("type") != "batch":
        told = "Only a Bundle of type batch is taken: reads and searches, each of which succeeds or fails by itself."
        raise NotSupported(told, rule="batch.type", expression="Bundle.type")
    if unknown := sorted(body.keys() - _OF_BUNDLE):
        raise BadRequest(f"The Bundle has {_said(unknown)}, which a batch doesn't take.", rule="batch.member")
    entries = body.get("entry", [])
    if not isinstance(entries, list):
        raise BadRequest("Bundle.entry must be a list.", rule="batch.member", expression="Bundle.entry")
    if len(entries) > MOST_ENTRIES:
        told = f"A batch takes at most {MOST_ENTRIES} entries. Send the others in another."
        raise TooLarge(told, rule="batch.too-many", expression="Bundle.entry")
    return entries


def wanted(entry: Any, place: int) -> Wanted:
    """The request of the entry at `place` (from 1). Raises GatewayError that says what is wrong with it."""
    where = f"Bundle.entry[{place - 1}]"
    if not isinstance(entry, dict) or not isinstance(entry.get("request"), dict):
        raise BadRequest("The entry has no request.", rule="batch.no-request", expression=where)
    if unknown := sorted(entry.keys() - _OF_ENTRY):
        raise BadRequest(f"The entry has {_said(unknown)}; a read has none.", rule="batch.member", expression=where)
    request = entry["request"]
    if unknown := sorted(request.keys() - _OF_REQUEST):
        told = f"The request has {_said(unknown)}; conditional requests aren't offered."
        raise NotSupported(told, rule="batch.member", expression=f"{where}.request")
    return Wanted(_method(request.get("method"), where), *_target(request.get("url"), where))


def _method(method: object, where: str) -> str:
    if method not in _METHODS:
        told = "Only GET and HEAD are taken in a batch: Connect Care writes nothing, and a search goes by GET."
        raise NotAllowed(told, rule="batch.method", expression=f"{where}.request.method")
    return str(method)


def _target(url: object, where: str) -> tuple[str, bytes]:
    if not isinstance(url, str) or len(url) > _LONGEST_URL:
        raise _wrong_url(where)
    path, mark, query = url.removeprefix("/").partition("?")
    if not _PATH.fullmatch(path.removesuffix("/")) or not _QUERY.fullmatch(query) or (mark and not query):
        raise _wrong_url(where)
    return _BASE + path.removesuffix("/"), query.encode("ascii")


def _wrong_url(where: str) -> GatewayError:
    told = (
        "The url must be that of a read, a search, $everything or $summary, relative to this server's FHIR address: "
        "Observation?patient=… or Observation/…, in plain characters, everything else percent-encoded."
    )
    return BadRequest(told, rule="batch.url", expression=f"{where}.request.url")


def _said(names: list[str]) -> str:
    """A member's name where it is safe to repeat."""
    plain = [name for name in names if re.fullmatch(r"[A-Za-z]{1,32}", name)]
    return f"`{plain[0]}`" if plain else "a member"
